"""Two runs on disk -> the ballots of both arms on the same documents."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lm_eval_fr.errors import InputError, MismatchError, UsageError
from lm_eval_fr.logs import Run, Sample, TaskLog, read_samples
from lm_eval_fr.logs.logged_prompts import prompt_difference, read_prompt
from lm_eval_fr.pairing.agreement import generation_difference
from lm_eval_fr.pairing.sent_settings import as_sent
from lm_eval_fr.stats.arrays import cluster_codes
from lm_eval_fr.tasklib.definitions import task_names
from lm_eval_fr.tasklib.metrics import parse_json_array
from lm_eval_fr.tasklib.votes import KINDS, PRIMARY, Ballot, ItemBallot, item_ballot, label_ballot, span_ballot

SUFFIX = "_vote"
# How votes are drawn may differ from one greedy answer.
FREE = ("temperature", "do_sample", "top_p", "top_k", "min_p", "repeats")

Ballots = Sequence[Ballot] | Sequence[ItemBallot]


@dataclass(frozen=True)
class PairedBallots:
    """One task: both arms' ballots, aligned. identical: whether every document's responses are identical."""

    task: str
    reference_task: str
    metric: str
    candidate: Ballots
    reference: Ballots
    clusters: np.ndarray | None
    identical: tuple[bool, bool]
    notes: tuple[str, ...]


def repeats_of(log: TaskLog) -> int:
    value = log.config.get("repeats")
    return value if isinstance(value, int) and value > 0 else 1


def voted_tasks(candidate: Run, reference: Run, tasks: Collection[str] | None) -> list[tuple[TaskLog, TaskLog]]:
    """The candidate's tasks with several responses, each with the reference's of the same name, or with one answer."""
    if unknown := sorted(set(tasks or ()) - candidate.tasks.keys()):
        raise UsageError(f"the candidate did not run {unknown[0]}", remedy=f"it ran {', '.join(candidate.tasks)}")
    found = []
    for name in tasks or candidate.tasks:
        log = candidate.tasks[name]
        if repeats_of(log) < 2:
            if tasks:
                what = f"{name} has one response per document; voting needs several"
                raise InputError(what, where=log.paths[0], remedy=_remedy(name))
            continue
        other = reference.tasks.get(name) or reference.tasks.get(name.removesuffix(SUFFIX))
        if other is None:
            remedy = f"run {name} on the reference too, or {name.removesuffix(SUFFIX)} for one answer"
            raise MismatchError("tasks", f"only the candidate ran {name}", where=reference.path, remedy=remedy)
        found.append((log, other))
    if not found:
        what = "the candidate has one response per document in every task; voting needs several"
        raise InputError(what, where=candidate.path, remedy=_remedy(next(iter(candidate.tasks))))
    return found


def tasks_with_votes(candidate: Run, reference: Run) -> list[str]:
    """Tasks whose answers say how they vote, with several of the candidate's and one or more of the reference's."""
    found = []
    for name, log in candidate.tasks.items():
        votes = log.metadata.get("voting") is not None and repeats_of(log) > 1
        if votes and {name, name.removesuffix(SUFFIX)} & reference.tasks.keys():
            found.append(name)
    return found


def _remedy(name: str) -> str:
    known = [task for task in task_names() if task.endswith(SUFFIX)]
    asked = [f"{name}{SUFFIX}"] if f"{name}{SUFFIX}" in known else known
    return f"run {' or '.join(asked)}, or your own task with `repeats` and a temperature"


def pair_ballots(
    candidate: TaskLog, reference: TaskLog, metric: str | None = None, allow: Collection[str] = ()
) -> PairedBallots:
    """Both arms' ballots on the documents of the reference. MismatchError if the work is not the same."""
    kind = _kind(candidate)
    metric = _metric(kind, metric, candidate.task)
    mine = {(sample.doc_hash, sample.target_hash): sample for sample in _first_filter(candidate)}
    pairs, notes = [], []
    for sample in _first_filter(reference):
        other = mine.pop((sample.doc_hash, sample.target_hash), None)
        if other is not None:
            pairs.append((other, sample))
        elif "documents" not in allow:
            raise _unpaired(sample, "candidate")
    if mine and "documents" not in allow:
        raise _unpaired(next(iter(mine.values())), "reference")
    if not pairs:
        raise InputError(f"the two runs of {candidate.task} have no document in common", where=candidate.paths[0])
    if mine:
        notes.append(f"{candidate.task}: only the {len(pairs)} documents that both arms answered")
    _check(pairs, (candidate, reference), allow, notes)
    read = _reader(kind, metric, candidate)
    sides = [_side([pair[side] for pair in pairs], read, log) for side, log in enumerate((candidate, reference))]
    return PairedBallots(
        task=candidate.task,
        reference_task=reference.task,
        metric=metric,
        candidate=sides[0][0],
        reference=sides[1][0],
        clusters=_clusters([sample for _, sample in pairs], candidate.cluster_field or reference.cluster_field),
        identical=(sides[0][1], sides[1][1]),
        notes=tuple(notes),
    )


def _kind(log: TaskLog) -> str:
    kind = log.metadata.get("voting")
    if kind not in KINDS:
        raise InputError(
            f"{log.task} does not declare how its answers are counted as votes",
            where=log.paths[0],
            remedy=f"set `voting:` in the task's metadata to one of {', '.join(KINDS)}",
        )
    return str(kind)


def _metric(kind: str, wanted: str | None, task: str) -> str:
    known = ("f1", "exact_match", "gold_recall") if kind == "span" else (PRIMARY[kind],)
    if wanted is not None and wanted not in known:
        raise UsageError(f"votes on {task} are not scored by {wanted}", remedy=f"by {' or '.join(known)}")
    return wanted or PRIMARY[kind]


def _first_filter(log: TaskLog) -> list[Sample]:
    return list(read_samples(log))


def _unpaired(sample: Sample, lacking: str) -> MismatchError:
    what = f"document {sample.doc_id} ({sample.doc_hash[:12]}) of {sample.task} is not in the {lacking}"
    remedy = "run both arms on the same documents, or compare the common ones with --allow documents"
    return MismatchError("documents", what, where=sample.path, line=sample.line, remedy=remedy)


def _check(
    pairs: Sequence[tuple[Sample, Sample]], logs: tuple[TaskLog, TaskLog], allow: Collection[str], notes: list[str]
) -> None:
    """The same prompt, and the same generation settings except how votes are sampled."""
    for mine, other in pairs:
        if mine.prompt_hash != other.prompt_hash and "prompts" not in allow:
            prompts = (read_prompt(sample.prompt, sample.rendering) for sample in (mine, other))
            if (difference := prompt_difference(*prompts)) is not None:
                what = f"document {mine.doc_id} ({mine.doc_hash[:12]}) of {mine.task}: the prompt is {difference}"
                raise MismatchError("prompts", what, where=mine.path, line=mine.line)
    settings = [as_sent(sample.generation, log) for sample, log in zip(pairs[0], logs, strict=True)]
    rest = [{name: value for name, value in one.items() if name not in FREE} for one in settings]
    difference = generation_difference(*rest)
    if difference and "generation" not in allow:
        mine = pairs[0][0]
        raise MismatchError("generation", f"{mine.task}: {difference}", where=mine.path, line=mine.line)
    drawn = [one.get("temperature") for one in settings]
    if drawn[0] != drawn[1]:
        notes.append(f"{pairs[0][0].task}: temperature {drawn[0]} in the candidate, {drawn[1]} in the reference")


def _reader(kind: str, metric: str, log: TaskLog) -> Callable[[Sample, Sequence[str]], Ballot | ItemBallot]:
    if kind == "items":
        return lambda sample, responses: item_ballot(responses, parse_json_array(sample.target) or [])
    if kind == "span":
        return lambda sample, responses: span_ballot(responses, _golds(sample), metric)
    labels = log.metadata.get("labels")
    return lambda sample, responses: label_ballot(responses, sample.target, _labels(sample, labels))


def _golds(sample: Sample) -> list[str]:
    """All right answers; lm-eval logs only the first as the target."""
    answers = sample.doc.get("answers")
    texts = answers.get("text") if isinstance(answers, Mapping) else None
    return [str(text).strip() for text in texts] if isinstance(texts, list) and texts else [sample.target]


def _labels(sample: Sample, known: Any) -> list[str]:
    labels = sample.doc.get("labels") or known
    if not labels:
        raise InputError(
            f"{sample.task} does not list its labels",
            where=sample.path,
            line=sample.line,
            remedy="list them under `labels:` in the task's metadata or in each document",
        )
    return [str(label) for label in labels]


def _side(
    samples: Sequence[Sample], read: Callable[[Sample, Sequence[str]], Ballot | ItemBallot], log: TaskLog
) -> tuple[Ballots, bool]:
    """One arm's ballots, and whether every document's responses are identical."""
    n = len(samples[0].responses)
    for sample in samples:
        if len(sample.responses) != n or not n:
            raise InputError(
                f"{len(sample.responses)} responses to document {sample.doc_id}, {n} to others",
                where=sample.path,
                line=sample.line,
                remedy="rerun the arm: answers it already has come from its cache",
            )
    if n > 64:
        raise InputError(f"{n} responses per document; voting reads at most 64", where=log.paths[0])
    ballots = [read(sample, sample.responses) for sample in samples]
    return ballots, n > 1 and all(len(set(sample.responses)) == 1 for sample in samples)  # type: ignore[return-value]


def _clusters(samples: Sequence[Sample], field: str | None) -> np.ndarray | None:
    """Cluster numbers; a document without a cluster is a cluster by itself."""
    if field is None:
        return None
    names = [sample.doc.get(field) for sample in samples]
    labels = [f"document {i}" if name is None else f"cluster {name}" for i, name in enumerate(names)]
    return cluster_codes(labels, len(labels))
