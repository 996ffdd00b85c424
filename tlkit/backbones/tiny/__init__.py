"""tlkit's own small network."""
