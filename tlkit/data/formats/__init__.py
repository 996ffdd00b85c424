"""The shapes in which a data set can come; each reader turns one into candidates."""
