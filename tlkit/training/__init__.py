"""Fitting heads and unfrozen tails, stage by stage."""
