"""What an answer costs in both arms: tokens, seconds, cut answers. Accuracy can hold while answers grow longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.logs.samples import read_responses
from lm_eval_fr.pairing import PairedTask
from lm_eval_fr.report.model import Answers, Caution, Cost
from lm_eval_fr.stats import recovery_interval
from lm_eval_fr.tasklib.tokenizing import CHARACTERS_PER_TOKEN, TokenCount, local_tokenizer

DRAWS = 2_000
MOST_COUNTED = 20_000  # documents whose texts are read again to count tokens, where no server counted them
LONGER = 1.05  # a ratio whose whole interval is above it is said near the verdict

Numbers = npt.NDArray[np.float64]


def answers_of(task: PairedTask, options: CompareOptions) -> Answers | None:
    """None for a task without generated text. Raises InputError for a record of replies that cannot be read."""
    if not task.generates or not task.n:
        return None
    candidate, reference = (_records(task, side) for side in (0, 1))
    reported, source = _reported(candidate, reference), "as the servers counted them"
    if reported is None and task.n <= MOST_COUNTED:
        count, source = _counter(task)
        reported = _counted(task, count)
    seconds = _both(candidate, reference, lambda record: record.get("seconds"))
    reasoning = _both(candidate, reference, lambda record: _usage(record, "reasoning_tokens"))
    cut = tuple(flags.mean() for flags in task.truncated)
    return Answers(
        tokens=None if reported is None else _cost(task, reported, options, source),
        reasoning=None if reasoning is None or not any(x.any() for x in reasoning) else _cost(task, reasoning, options),
        seconds=None if seconds is None else _cost(task, seconds, options),
        truncated=Cost(candidate=float(cut[0]), reference=float(cut[1])),
    )


def longer_answers(answers: Mapping[str, Answers | None]) -> Iterator[Caution]:
    """One line a task whose candidate needs more tokens beyond doubt. answers: by task."""
    for task, found in answers.items():
        ratio = None if found is None or found.tokens is None else found.tokens.ratio
        if ratio is None or ratio.estimate is None or ratio.low is None or ratio.high is None or ratio.low <= LONGER:
            continue
        text = (
            f"{task}: the candidate needs {ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] times the "
            "reference's tokens for its answers, which a price or a speed per token does not show."
        )
        yield Caution(kind="longer_answers", text=text)


def _records(task: PairedTask, side: int) -> Sequence[Mapping[str, Any]]:
    found = read_responses(task.sides[side].log)
    return [found.get(name, {}) for name in task.doc_hashes] if found else ()


def _usage(record: Mapping[str, Any], name: str) -> Any:
    usage = record.get("usage")
    return usage.get(name) if isinstance(usage, Mapping) else None


def _reported(
    candidate: Sequence[Mapping[str, Any]], reference: Sequence[Mapping[str, Any]]
) -> tuple[Numbers, Numbers] | None:
    return _both(candidate, reference, lambda record: _usage(record, "completion_tokens"))


def _both(
    candidate: Sequence[Mapping[str, Any]],
    reference: Sequence[Mapping[str, Any]],
    value: Callable[[Mapping[str, Any]], Any],
) -> tuple[Numbers, Numbers] | None:
    """One number a document and arm; an answer that was never obtained used nothing. None where one is unknown."""
    arms = []
    for records in (candidate, reference):
        found = [0 if record.get("error") else value(record) for record in records]
        if not found or any(not isinstance(one, int | float) or isinstance(one, bool) or one < 0 for one in found):
            return None
        arms.append(np.array(found, dtype=float))
    return arms[0], arms[1]


def _counter(task: PairedTask) -> tuple[Callable[[str], float], str]:
    """One tokenizer for both arms, or the ratio would be that of two vocabularies."""
    arguments = (side.log.model_args for side in task.sides)
    names = (str(given[key]) for given in arguments for key in ("tokenizer", "pretrained") if given.get(key))
    for name in names:
        if local_tokenizer(name) is not None:
            return TokenCount(name), f"counted with {name} for both arms"
    return TokenCount(None), f"estimated at {CHARACTERS_PER_TOKEN:g} characters each"


def _counted(task: PairedTask, count: Callable[[str], float]) -> tuple[Numbers, Numbers]:
    arms: tuple[list[float], list[float]] = ([], [])
    for pair in task.pairs():
        for found, sample in zip(arms, (pair.candidate, pair.reference), strict=True):
            found.append(sum(count(text) for text in sample.responses))
    return np.array(arms[0]), np.array(arms[1])


def _cost(task: PairedTask, used: tuple[Numbers, Numbers], options: CompareOptions, source: str = "") -> Cost:
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
