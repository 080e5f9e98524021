"""What an answer costs in both arms: tokens, seconds, cut answers. Accuracy can hold while answers get longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.logs.reply_records import Replied
from lm_eval_fr.pairing import PairedTask
from lm_eval_fr.report.model import Caution
from lm_eval_fr.report.task_model import AnswerCosts, Cost
from lm_eval_fr.stats import recovery_interval
from lm_eval_fr.tasklib.tokenizing import CHARACTERS_PER_TOKEN, TokenCount, local_count

DRAWS = 2_000
MOST_COUNTED = 20_000  # documents whose texts are read again to count tokens, if no server counted them
LONGER = 1.05  # a ratio whose whole interval is above it is shown near the verdict
ESTIMATED = f"estimated at {CHARACTERS_PER_TOKEN:g} characters each"

Numbers = npt.NDArray[np.float64]


def answers_of(task: PairedTask, options: CompareOptions) -> AnswerCosts | None:
    """None for a task without generated text. Raises InputError for a record of replies that cannot be read."""
    if not task.generates or not task.n:
        return None
    reported, source = _on_record(task, lambda one: one.output), "as the servers counted them"
    if reported is None and task.n <= MOST_COUNTED:
        count = local_count(side.log.model_args for side in task.sides)  # one tokenizer for both
        source = f"counted with {count.name} for both arms" if count.name else ESTIMATED
        reported = _counted(task, count)
    seconds = _on_record(task, lambda one: one.seconds)
    reasoning = _on_record(task, lambda one: one.reasoning)
    cut = [float(answers.truncated.mean()) for answers in task.answers]
    return AnswerCosts(
        tokens=None if reported is None else _cost(task, reported, options, source),
        reasoning=None if reasoning is None or not any(x.any() for x in reasoning) else _cost(task, reasoning, options),
        seconds=None if seconds is None else _cost(task, seconds, options),
        truncated=Cost(candidate=cut[0], reference=cut[1]),
    )


def longer_answers(answers: Mapping[str, AnswerCosts | None]) -> Iterator[Caution]:
    """One line per task whose candidate clearly uses more tokens. answers: by task."""
    for task, found in answers.items():
        ratio = None if found is None or found.tokens is None else found.tokens.ratio
        if ratio is None or ratio.estimate is None or ratio.low is None or ratio.high is None or ratio.low <= LONGER:
            continue
        text = (
            f"{task}: the candidate needs {ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] times the "
            "reference's tokens for its answers, which a price or a speed per token does not show."
        )
        yield Caution(kind="longer_answers", text=text)


def _on_record(task: PairedTask, value: Callable[[Replied], float | None]) -> tuple[Numbers, Numbers] | None:
    """One number per document and arm. None if one arm's record lacks it."""
    arms = []
    for side in task.sides:
        known = [side.log.replies.get(name) for name in task.doc_hashes]
        found = [None if one is None else value(one) for one in known]
        if None in found:
            return None
        arms.append(np.array(found, dtype=float))
    return arms[0], arms[1]


def _counted(task: PairedTask, count: TokenCount) -> tuple[Numbers, Numbers]:
    arms: tuple[list[float], list[float]] = ([], [])
    for pair in task.pairs():
        for found, sample in zip(arms, (pair.candidate, pair.reference), strict=True):
            found.append(sum(count(text) for text in sample.responses))
    return np.array(arms[0]), np.array(arms[1])


def _cost(task: PairedTask, used: tuple[Numbers, Numbers], options: CompareOptions, source: str | None = None) -> Cost:
    candidate, reference = used
    ratio = recovery_interval(
        candidate,
        reference,
        clusters=task.clusters,
        level=options.level,
        draws=DRAWS,
        seed=options.seed,
        kind="unbounded",
    )
    return Cost(candidate=float(candidate.mean()), reference=float(reference.mean()), ratio=ratio, source=source)
