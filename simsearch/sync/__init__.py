"""Keeping a build in step with its folder: what changed, by content, and a new state of dataset, features and index."""
