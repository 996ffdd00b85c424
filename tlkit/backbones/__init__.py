"""Pretrained networks: which there are, how they are built, cut at a boundary, weighed and run."""
