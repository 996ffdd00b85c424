"""One output folder: opened, resumed, completed, reported, and started from."""
