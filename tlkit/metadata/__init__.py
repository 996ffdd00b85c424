"""What is known of an image beside its pixels: columns of a table, and facts of its file."""
