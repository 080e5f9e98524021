"""Results: the journal, the outcomes, the summary."""
