"""Dense detection from several feature maps: head, assignment and losses, decoding, overlaps."""
