"""The commands, one file per command, each as a sequence of named steps."""
