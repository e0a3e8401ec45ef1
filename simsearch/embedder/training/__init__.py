"""The training loop and what it draws on: batches, pixels, rates, checkpoints."""
