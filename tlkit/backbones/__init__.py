"""Pretrained networks: the catalogue, building, cutting at a boundary, weights, and engines."""
