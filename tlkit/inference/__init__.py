"""Run a trained model: images in, scores and predictions out."""
