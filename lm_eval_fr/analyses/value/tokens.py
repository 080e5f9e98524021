"""How many tokens an arm used on each document: what the API billed, what its tokenizer counts, or an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lm_eval_fr.analyses.value.value_model import TokenSource
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import Run, TaskLog, read_samples, task_as_asked
from lm_eval_fr.tasklib.tokenizing import CHARACTERS_PER_TOKEN, TokenCount, is_local, local_count


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of one document, over all of its responses. cached is part of input."""

    input: float
    output: float
    cached: float = 0.0
    responses: int = 1

    @property
    def total(self) -> float:
        return self.input + self.output


@dataclass(frozen=True)
class TokenCounts:
    """by_document: doc_hash -> what was used on it. source: where the numbers come from; note: the same in words."""

    by_document: Mapping[str, Used]
    source: TokenSource
    note: str


def tokens_of(run: Run, log: TaskLog, tokenizer: str | None = None) -> TokenCounts:
    """For one task. tokenizer: a name or folder; None: the run's own, if it is on this machine."""
    used = usage_of(log)
    if used is not None:
        return TokenCounts(used, "usage", "tokens as the API counted them")
    count = _counter(run, tokenizer)
    if count.name is None:
        note = (
            f"tokens estimated at {CHARACTERS_PER_TOKEN:g} characters each: the run records no usage and "
            "its tokenizer is not on this machine"
        )
        return TokenCounts(_counted(log, count), "estimate", note)
    note = f"tokens counted with {count.name}, without the chat template's own tokens"
    return TokenCounts(_counted(log, count), "tokenizer", note)


def usage_of(log: TaskLog) -> dict[str, Used] | None:
    """What the API billed, by document; None if the arm recorded no usage. A failed request costs nothing."""
    if all(one.failed for one in log.replies.values()):
        return None
    found = {}
    for name, one in log.replies.items():
        if one.input is None or one.output is None:
            return None
        found[name] = Used(one.input, one.output, one.cached or 0.0, one.replies)
    return found


def _counted(log: TaskLog, count: TokenCount) -> dict[str, Used]:
    found = {}
    for sample in read_samples(log):
        system, user = task_as_asked(sample)
        responses = max(len(sample.responses), 1)
        prompt = count(f"{system}\n\n{user}" if system else user) * responses
        found[sample.doc_hash] = Used(prompt, sum(count(text) for text in sample.responses), 0.0, responses)
    return found


def _counter(run: Run, wanted: str | None) -> TokenCount:
    """The tokenizer that the user names, which must exist, or the run's own if it is on this machine."""
    if wanted is None:
        return local_count([run.model_args, {"model": run.model}])
    if not is_local(wanted):
        raise UsageError(
            f"--tokenizer {wanted}: its tokenizer.json is not on this machine",
            remedy=f"give its folder, or download it once: hf download {wanted} tokenizer.json",
        )
    return TokenCount(wanted)
