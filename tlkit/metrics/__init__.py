"""Metrics with their uncertainty, computed from arrays."""
