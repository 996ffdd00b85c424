"""Features: what a frozen trunk makes of an image, computed once and kept on disk."""
