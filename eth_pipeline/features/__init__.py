"""What a model sees of an hour: one definition for the batch and for the last row."""
