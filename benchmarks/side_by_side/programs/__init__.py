"""The programs that do tlkit's side of a row, each in a process of its own. Those of the others are `benchmarks.peers`."""
