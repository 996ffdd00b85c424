"""The saved model: a description, weights and golden samples, from which tlkit builds the model again by its own code."""
