"""tlkit beside what a user would pick instead, on the same work in the same run: `python -m benchmarks.side_by_side`."""
