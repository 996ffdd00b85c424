"""What each kind of output is measured by."""
