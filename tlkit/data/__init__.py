"""From the user's files to pixels: finding, checking and splitting images, and the one loader."""
