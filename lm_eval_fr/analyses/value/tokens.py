"""How many tokens an arm used on each document: what the API billed, what its tokenizer counts, or an estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lm_eval_fr.analyses.value.value_model import TokenSource
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.logs import Run, TaskLog, read_samples, task_as_asked
from lm_eval_fr.logs.samples import COPY_AGAIN, decode_line
from lm_eval_fr.tasklib.tokenizing import CHARACTERS_PER_TOKEN, local_tokenizer

_NAMES = ("tokenizer", "pretrained", "model")
Count = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of one document, all of its responses together. cached is part of input."""

    input: float
    output: float
    cached: float = 0.0
    responses: int = 1

    @property
    def total(self) -> float:
        return self.input + self.output


@dataclass(frozen=True)
class Tokens:
    """by_document: doc_hash -> what was used on it. source: where the numbers come from; note: in words."""

    by_document: Mapping[str, Used]
    source: TokenSource
    note: str


def tokens_of(run: Run, log: TaskLog, tokenizer: str | None = None) -> Tokens:
    """Of one task. tokenizer: a name or folder; None: the run's own, if it is on this machine."""
    used = usage_of(log)
    if used is not None:
        return Tokens(used, "usage", "tokens as the API counted them")
    name, count = _counter(run, tokenizer)
    if count is not None:
        return Tokens(
            _counted(log, count), "tokenizer", f"tokens counted with {name}, without the chat template's own marks"
        )
    return Tokens(
        _counted(log, lambda text: len(text) / CHARACTERS_PER_TOKEN),
        "estimate",
        f"tokens estimated at {CHARACTERS_PER_TOKEN:g} characters each: the run has no usage on record and its "
        "tokenizer is not on this machine",
    )


def usage_of(log: TaskLog) -> dict[str, Used] | None:
    """What the API billed, by document; None if the arm kept no usage. A failed request costs nothing."""
    found: dict[str, Used] = {}
    answered = 0
    for file in log.files:
        if not file.responses.is_file():
            return None
        with file.responses.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                row = decode_line(line, file.responses, number)
                if not isinstance(row, dict) or not isinstance(row.get("doc_hash"), str):
                    raise InputError("not a record of a response", where=file.responses, line=number, remedy=COPY_AGAIN)
                usage = row.get("usage")
                if not isinstance(usage, dict) and not row.get("error"):
                    return None
                answered += isinstance(usage, dict)
                before = found.get(row["doc_hash"], Used(0, 0, 0, 0))
                found[row["doc_hash"]] = _plus(before, usage if isinstance(usage, dict) else {})
    return found if answered else None


def _plus(before: Used, usage: Mapping[str, Any]) -> Used:
    new = [usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens", "cached_tokens")]
    return Used(before.input + new[0], before.output + new[1], before.cached + new[2], before.responses + 1)


def _counted(log: TaskLog, count: Count) -> dict[str, Used]:
    found = {}
    for sample in read_samples(log, filter=log.filters[0]):
        system, user = task_as_asked(sample)
        responses = max(len(sample.responses), 1)
        prompt = count(f"{system}\n\n{user}" if system else user) * responses
        found[sample.doc_hash] = Used(prompt, sum(count(text) for text in sample.responses), 0.0, responses)
    return found


def _counter(run: Run, wanted: str | None) -> tuple[str, Count | None]:
    """The tokenizer that the user names, which must be there, or the run's own if it is on this machine."""
    own = next((str(run.model_args[name]) for name in _NAMES if run.model_args.get(name)), run.model)
    name = wanted or own
    tokenizer = local_tokenizer(name)
    if tokenizer is None:
        if wanted:
            raise UsageError(
                f"--tokenizer {wanted}: no tokenizer.json of it on this machine",
                remedy=f"give its folder, or download it once: hf download {wanted} tokenizer.json",
            )
        return name, None
    return name, lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
