"""Losses over features and labels, and which tuples of a batch enter them."""
