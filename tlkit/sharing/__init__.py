"""Give a model to others: a model hub, and a container that serves it."""
