"""Figures with their uncertainty, computed from arrays."""
