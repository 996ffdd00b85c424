"""What speaks for a model's answer: maps of evidence from cached features and from pixels, and how far they can be trusted."""
