"""What runs the frozen part of a backbone."""
