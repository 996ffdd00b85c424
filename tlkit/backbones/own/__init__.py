"""Networks of tlkit's own, and the weights that ship with it."""
