"""How a trained model is asked: images in, scores and rows of predictions out."""
