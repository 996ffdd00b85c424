"""Run a network backwards: find the picture for an answer, a channel, features or a texture, or what fools a model."""
