"""Object storage and web servers: what a URL names is copied to this machine, and results are put there."""
