"""Maps from raw scores to probabilities that mean what they say."""
