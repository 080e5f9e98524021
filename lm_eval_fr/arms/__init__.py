"""One arm through lm-eval: flags, cache, endpoint, checkpoint, records."""
