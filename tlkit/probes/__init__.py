"""How cached features are questioned: probes, leak tests, comparisons, and what a plan is based on."""
