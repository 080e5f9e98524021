"""What the task folders share: documents, records, metrics, votes, and where the definitions are."""
