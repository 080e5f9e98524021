"""How far one arm's next-token probabilities are from the other's, on the same text.

texts       which text, and which part of it is compared
request     what a server is asked, in its dialect, and what its reply says: arrays
client      the HTTP edge; store keeps every reply
session     both arms (and the reference once more) asked about every text; resumes
align       which tokens are the answer
divergence  two arms' arrays -> Kullback-Leibler divergence, agreement and log-probabilities at every token
summary     all tokens -> means with intervals by document, percentiles, the worst passages
places      where: by place in the text, by the reference's entropy, and the first token at which first choices differ
"""

from lm_eval_fr.analyses.fidelity.divergence import Positions, diverge
from lm_eval_fr.analyses.fidelity.fidelity_summary import Compared, summarise
from lm_eval_fr.analyses.fidelity.scored import Scored
from lm_eval_fr.analyses.fidelity.texts import Passage, read_texts

__all__ = ["Compared", "Passage", "Positions", "Scored", "diverge", "read_texts", "summarise"]
