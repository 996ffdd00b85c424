"""Usual column names of tables, in lower case."""

from __future__ import annotations

IMAGE_COLUMNS = ("path", "image_path", "image", "filepath", "file_path", "filename", "file_name", "file", "image_name")
LABEL_COLUMNS = ("label", "class_name", "label_name", "class", "category", "category_name", "target", "labels", "tags")
SPLIT_COLUMNS = ("split", "subset", "partition")
