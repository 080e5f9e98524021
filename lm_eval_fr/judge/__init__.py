"""Blind pairwise judging of two arms: asking, keeping replies, cost and outcomes."""
