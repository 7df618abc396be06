"""Training: batches, losses, and the loops that fit each model."""
