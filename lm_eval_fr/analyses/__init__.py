"""What a report may add to a comparison, and the commands around it."""
