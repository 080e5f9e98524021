"""How far one arm's next-token probabilities are from the other's, on the same text.

texts             which text, which part of it is compared, and which tokens are that part
logprob_request   what a server is asked, in its dialect, and what its reply says: `scored` holds the arrays
logprob_client    the HTTP edge; `reply_store` keeps every reply
fidelity_session  both arms (and the reference once more) asked about every text; resumes
divergence        two arms' arrays -> Kullback-Leibler divergence, agreement and log-probabilities at every token
fidelity_summary  all tokens -> means with intervals by document, percentiles, the worst passages
fidelity_places   by place in the text, by the reference's entropy, and the first token whose first choices differ
"""
