"""Runs: open, resume, complete, report, and start from an earlier one."""
