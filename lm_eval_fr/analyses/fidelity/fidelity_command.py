"""`lm-eval-fr fidelity`: two addresses and a text in, distances out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.analyses.fidelity.fidelity_model import SCHEMA_VERSION, Fidelity, FidelityArm, Unscored
from lm_eval_fr.analyses.fidelity.fidelity_section import fidelity_section
from lm_eval_fr.analyses.fidelity.fidelity_session import Obtained, check_tokens, obtain
from lm_eval_fr.analyses.fidelity.fidelity_summary import (
    Compared,
    by_entropy,
    by_position,
    compare_text,
    documents_of,
    excess,
    first_divergence,
    numbered,
    summarise,
    worst_passages,
)
from lm_eval_fr.analyses.fidelity.logprob_client import ScoringArm, find_arm
from lm_eval_fr.analyses.fidelity.reply_store import Store
from lm_eval_fr.analyses.fidelity.scored import Scored
from lm_eval_fr.analyses.fidelity.texts import Passage, Texts, answer_start, read_texts
from lm_eval_fr.analyses.part_output import shown_part
from lm_eval_fr.errors import InputError, UsageError, check_options
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.locks import Lock
from lm_eval_fr.io.loops import run_async
from lm_eval_fr.io.progress_bar import ProgressBar
from lm_eval_fr.io.reading import read_json_as
from lm_eval_fr.plan import LEVEL
from lm_eval_fr.report import words as w
from lm_eval_fr.report.destinations import Destinations, deliver

NO_NUMBERS = "no token has a log-probability in both arms: NaN, infinite, above 0, or -9999"
FARTHEST = 20  # documents of a fidelity result that a comparison's report keeps


@dataclass(frozen=True)
class FidelityOptions:
    """The flags of the command, by their names."""

    texts: Path
    out: Path = Path("fidelity-out")
    model: str | None = None
    candidate_model: str | None = None
    reference_model: str | None = None
    tasks: Sequence[str] = ()
    limit: int | None = None
    top: int = 20
    concurrency: int = 4
    rerun: bool = False
    level: float = LEVEL
    worst: int = 5
    key_env: str | None = None
    json_file: Path | None = None
    quiet: bool = False
    full: bool = False
    command: str = ""


def fidelity(
    candidate: str, reference: str, *, texts: str | Path, out: str | Path = "fidelity-out", **options: Any
) -> Fidelity:
    """How far apart two servers' next-token probabilities are on the same texts; `out` keeps the replies and resumes.

    candidate, reference: their addresses. texts: a text, JSONL, or a run, whose answers are used. options: those of
    `FidelityOptions`, named as the flags of `lm-eval-fr fidelity`. Raises UsageError, InputError, ArmError,
    MismatchError.
    """
    check_options("fidelity", options, FidelityOptions)
    asked = FidelityOptions(texts=Path(texts), out=Path(out), quiet=True, **options)
    return fidelity_command(candidate, reference, asked)


def fidelity_command(candidate: str, reference: str, options: FidelityOptions) -> Fidelity:
    """Asks, compares, writes the requested files, and shows the numbers unless stdout is taken."""
    if options.top < 1 or options.concurrency < 1:
        raise UsageError("--top and --concurrency must be 1 or more")
    texts = read_texts(options.texts, limit=options.limit, tasks=options.tasks)
    arms = {
        "candidate": find_arm("candidate", candidate, options.candidate_model or options.model, options.key_env),
        "reference": find_arm("reference", reference, options.reference_model or options.model, options.key_env),
    }
    journal = options.out / "journal.sqlite"
    with Lock(journal), Store(journal) as store:
        obtained = _obtain(arms, texts, store, options)
        found = measure(arms, texts, store, obtained, options)
    write_atomic(options.out / "fidelity.json", to_json(found))
    deliver(
        Destinations(json_file=options.json_file, quiet=options.quiet),
        json=lambda: to_json(found),
        text=lambda: shown_part(fidelity_section(found), options.full),
    )
    return found


def _obtain(arms: Mapping[str, ScoringArm], texts: Texts, store: Store, options: FidelityOptions) -> Obtained:
    total = len(texts.passages) * (3 if options.rerun else 2)
    watched = sys.stderr.isatty() and not options.quiet
    bar, done = ProgressBar("replies", sys.stderr) if watched else None, count(1)

    def step() -> None:
        if bar is not None:
            bar(next(done), total)

    try:
        return run_async(
            obtain(
                arms,
                texts.passages,
                store,
                top=options.top,
                concurrency=options.concurrency,
                rerun=options.rerun,
                step=step,
            )
        )
    finally:
        if bar is not None:
            bar.close()


@dataclass
class _Compared:
    """All texts, token by token: the candidate with the reference, and the reference with its rerun (floor).

    unaligned, without: ids of the texts whose answer was not found among the tokens, or that have no log-probability.
    unscored: by role; unscored_tokens: those that some reply did not score.
    """

    texts: list[Compared] = field(default_factory=list)
    floor: list[Compared] = field(default_factory=list)
    unaligned: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    unscored: dict[str, Unscored] = field(default_factory=dict)
    unscored_tokens: int = 0

    def add(self, passage: Passage, replies: Mapping[str, Scored]) -> None:
        """Raises MismatchError where the arms' tokenizers differ."""
        reference = replies["reference"]
        check_tokens(replies["candidate"], reference, passage)
        whole = not passage.prompt and not passage.turns  # otherwise only the answer is compared
        start = 0 if whole else answer_start(reference.tokens, passage.scored)
        if start is None or start >= reference.n:
            self.unaligned.append(passage.id)
            return
        parts = {role: reply.part(start) for role, reply in replies.items()}
        for role, part in parts.items():
            before = self.unscored.get(role, Unscored(no_probability=0, not_a_number=0))
            self.unscored[role] = Unscored(
                no_probability=before.no_probability + int(part.no_probability.sum()),
                not_a_number=before.not_a_number + int(part.not_a_number.sum()),
            )
        scored = numbered(*parts.values())
        self.unscored_tokens += int((~scored).sum())
        if not scored.any():
            self.without.append(passage.id)
            return
        for role, into in (("candidate", self.texts), ("rerun", self.floor)):
            if role in parts:
                into.append(compare_text(passage.id, passage.cluster, parts[role], parts["reference"], scored))


def measure(
    arms: Mapping[str, ScoringArm], texts: Texts, store: Store, obtained: Obtained, options: FidelityOptions
) -> Fidelity:
    """From the stored replies to the result. Raises MismatchError (tokenizers) and InputError (nothing is left)."""
    found = _Compared()
    for number, passage in enumerate(texts.passages):
        stored = {role: store.get(keys[number]) for role, keys in obtained.keys.items()}
        replies = {role: reply for role, reply in stored.items() if reply is not None}
        if {"candidate", "reference"} <= replies.keys():  # otherwise refused, and counted
            found.add(passage, replies)
    compared, level = found.texts, options.level
    if not compared:
        without = NO_NUMBERS if found.without else "its answer was not found among the tokens"
        why = next(iter(obtained.refused.values()), without)
        raise InputError(f"no text could be compared: {why}", where=options.texts, remedy="give other texts")
    floor = found.floor if len(found.floor) == len(compared) else []
    described = {
        role: FidelityArm(url=arm.url, model=arm.model, dialect=obtained.dialects[role]) for role, arm in arms.items()
    }
    return Fidelity(
        candidate=described["candidate"],
        reference=described["reference"],
        texts=texts.source,
        top=options.top,
        level=level,
        distance=summarise(compared, level=level),
        floor=summarise(floor, level=level) if floor else None,
        excess=excess(compared, floor, level=level) if floor else None,
        worst=worst_passages(compared, options.worst),
        documents=documents_of(compared),
        empty=texts.empty,
        refused=obtained.refused,
        unaligned=tuple(found.unaligned),
        compared_by=compared[0].reference.kind,
        by_position=by_position(compared, level=level),
        by_entropy=by_entropy(compared, level=level),
        first_divergence=first_divergence(compared, answers=texts.answers),
        unscored=found.unscored,
        unscored_tokens=found.unscored_tokens,
        notes=_notes(texts, obtained, found),
        command=options.command or None,
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _notes(texts: Texts, obtained: Obtained, found: _Compared) -> tuple[str, ...]:
    notes = []
    if texts.empty:
        notes.append(f"Left out: {w.plural(texts.empty, 'empty text')}.")
    if obtained.refused:
        name, why = next(iter(obtained.refused.items()))
        refused = w.plural(len(obtained.refused), "text")
        notes.append(f"Left out: {refused} refused by a server, the first {name}: {why}")
    if lost := found.unaligned:
        notes.append(f"Left out: {w.plural(len(lost), 'answer')} not found among the tokens, the first {lost[0]}.")
    if bare := found.without:
        notes.append(f"Left out: {w.plural(len(bare), 'text')} without any log-probability, the first {bare[0]}.")
    if found.texts[0].reference.kind == "text":
        notes.append("Tokens were matched by their text: an arm returned no token ids.")
    if obtained.resumed:
        notes.append(f"{obtained.resumed} replies are from an earlier run; another --out starts over.")
    return tuple(notes)


def to_json(found: Fidelity) -> str:
    return msgspec.json.format(msgspec.json.encode(msgspec.to_builtins(found)), indent=1).decode() + "\n"


def read_fidelity(path: Path) -> Fidelity:
    """What `fidelity` wrote, with its longest list shortened. Raises InputError."""
    remedy = "give the fidelity.json that `lm-eval-fr fidelity` wrote"
    found = read_json_as(path, Fidelity, what="a result of `fidelity`", remedy=remedy)
    if found.schema_version != SCHEMA_VERSION:
        raise InputError(f"schema version {found.schema_version}", where=path, remedy="measure again")
    return replace(found, documents=found.documents[:FARTHEST])
