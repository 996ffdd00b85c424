"""Readers for data set formats; each turns one format into candidates."""
