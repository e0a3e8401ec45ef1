"""What goes in: sources, splits, decoding and preprocessing of images."""
