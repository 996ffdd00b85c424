"""The story of each command, one file a command, in named steps."""
