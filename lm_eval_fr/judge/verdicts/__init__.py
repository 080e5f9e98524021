"""What was answered: the journal, the outcomes, the summary."""
