"""Backbones: what there is, how each is built, where its weights come from and go."""
