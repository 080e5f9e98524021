"""What the task folders share: documents, records, metrics, votes, and the location of the definitions."""
