"""Analyses of cached features: probes, leak tests, comparisons, and the basis of a plan."""
