"""What voting recovers: maj@k of both arms, and candidate votes against reference votes for the same money.

subsets   maj@k of one document, over the subsets of its responses
tables    the same for all documents of a task, as arrays
ballots   two runs on disk -> paired ballots
main      ballots -> what the report says
"""

from lm_eval_fr.analyses.voting.voting_builder import VoteOptions, vote_runs

__all__ = ["VoteOptions", "vote_runs"]
