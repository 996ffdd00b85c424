"""Metadata of images: columns of a table, and facts about the image file."""
