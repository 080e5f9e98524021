"""Blind pairwise judging of two arms: who is asked, what is kept, what it cost and what it says."""
