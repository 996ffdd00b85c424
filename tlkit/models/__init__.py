"""The saved model: a description, weights and golden samples, from which tlkit rebuilds the model with its own code."""
