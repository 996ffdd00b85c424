"""Scores of a model on labelled images."""
