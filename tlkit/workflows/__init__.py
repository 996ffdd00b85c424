"""The story of one run of each command, in named steps."""
