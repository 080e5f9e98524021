"""What the candidate loses in one language beyond what it loses in another, on the same questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.margins import TAX
from lm_eval_fr.errors import InputError, UsageError, nearest
from lm_eval_fr.pairing import PairedTask, Pairing
from lm_eval_fr.report.model import LanguageTax
from lm_eval_fr.stats import assess, paired_difference

KEYS = ("line", "id")  # of a document: the same question has the same in both languages


def language_taxes(pairing: Pairing, options: CompareOptions) -> Iterator[LanguageTax]:
    """The difference of differences by question, for each pair of tasks that `options.parallel` names.

    Raises UsageError for a task that was not compared, InputError for tasks that share no questions.
    """
    scored = {task.task: task for task in pairing.tasks if not task.judged}
    margin = options.margins.get(TAX)
    for name, other in options.parallel.items():
        for wanted in (name, other):
            if wanted not in scored:
                remedy = nearest(wanted, scored) or f"scored tasks here: {', '.join(scored)}"
                raise UsageError(f"no scored task {wanted!r} in this comparison", where="--parallel", remedy=remedy)
        first, second = _losses(scored[name]), _losses(scored[other])
        common = [key for key in first if key in second]
        if len(common) < 2:
            what = f"{name} and {other} share {len(common)} questions by their `{'` or `'.join(KEYS)}`"
            raise InputError(what, where="--parallel", remedy="run both tasks on the same questions")
        paired = paired_difference(
            np.array([first[key] for key in common]),
            np.array([second[key] for key in common]),
            level=options.level,
            margin=margin,
        )
        yield LanguageTax(
            task=name, parallel=other, paired=paired, assessment=None if margin is None else assess(paired, margin)
        )


def _losses(task: PairedTask) -> Mapping[str, float]:
    """Candidate - reference of each question, turned so that below 0 is a loss."""
    metric = task.metrics[0]
    sign = 1.0 if task.higher_is_better[metric] else -1.0
    found: dict[str, float] = {}
    for i, pair in enumerate(task.pairs()):
        doc = pair.reference.doc
        key = next((f"{field}={doc[field]}" for field in KEYS if field in doc), None)
        if key is None or key in found:
            what = "no key" if key is None else f"the key {key} twice"
            raise InputError(
                f"document {pair.doc_id} of {task.task} has {what}",
                where="--parallel",
                remedy=f"give every question its own `{KEYS[0]}` or `{KEYS[1]}`, the same in both languages",
            )
        found[key] = sign * float(task.candidate[metric][i] - task.reference[metric][i])
    return found
