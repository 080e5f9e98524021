"""What a report may add to a comparison, and the commands that stand beside it."""
