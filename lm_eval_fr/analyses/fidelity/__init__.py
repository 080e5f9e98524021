"""How far one arm's next-token probabilities are from the other's, on the same text."""
