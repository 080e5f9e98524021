"""What voting recovers: maj@k of both arms, and candidate votes against reference votes for the same money.

subsets         maj@k of one document, over the subsets of its responses
vote_tables     the same for all documents of a task, as arrays
ballots         two runs on disk -> paired ballots
voting_builder  ballots -> what the report says
"""
