"""Backbones by family, the head on top, and where their weights come from and go."""
