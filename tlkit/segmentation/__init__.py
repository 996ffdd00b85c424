"""What is at every place of an image: the head, its losses, and how well its masks agree with those drawn by people."""
