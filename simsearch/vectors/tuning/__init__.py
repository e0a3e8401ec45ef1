"""The fastest index that reaches a recall target, found by measuring."""
