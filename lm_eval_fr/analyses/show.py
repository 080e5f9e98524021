"""`lm-eval-fr show`: one document with the answers of one or two runs, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.plan import is_study

if TYPE_CHECKING:
    from lm_eval_fr.logs import Run, Sample

MOST_RUNS = 2
SHORTEST_HASH = 6


def show_sample(
    paths: Sequence[Path], *, task: str | None, doc: str | None, columns: int, filter: str | None = None
) -> str:
    """The document `doc` (its number, or the start of its hash; None: the first) of `task` (None: the only one).

    paths: one or two runs, or a study. filter: one of the task's, the first where it is not said.
    Raises UsageError for more than two runs or a task that must be named, InputError for a document that is not there.
    """
    from lm_eval_fr.logs import find_run

    if len(paths) == 1 and is_study(paths[0]):
        paths = [paths[0] / "candidate", paths[0] / "reference"]
    if len(paths) > MOST_RUNS:
        raise UsageError(f"{len(paths)} runs", remedy="show takes one or two")
    runs = [find_run(path, tasks=None if task is None else [task]) for path in paths]
    name = _task(runs, task)
    first = _find(runs[0], name, doc, filter)
    samples = [first, *(_find(run, name, first.doc_hash, first.filter) for run in runs[1:])]
    return "\n".join(_lines(runs, samples, columns))


def _task(runs: Sequence[Run], task: str | None) -> str:
    common = [name for name in runs[0].tasks if all(name in run.tasks for run in runs)]
    if task is None and len(common) == 1:
        return common[0]
    if task not in common:
        what = "several tasks" if task is None else f"no task {task}"
        raise UsageError(what, where=runs[0].path, remedy=f"--task one of: {', '.join(common) or 'none in common'}")
    return task


def _find(run: Run, task: str, doc: str | None, filter: str | None) -> Sample:
    from lm_eval_fr.logs import read_samples

    log = run.tasks[task]
    name = filter or log.filters[0]
    if name not in log.filters:
        raise UsageError(f"{task} has no filter {name!r}", where=run.path, remedy=f"--filter {', '.join(log.filters)}")
    for sample in read_samples(log, filter=name):
        if doc is None or doc == str(sample.doc_id) or (len(doc) >= SHORTEST_HASH and sample.doc_hash.startswith(doc)):
            return sample
    remedy = f"--doc takes a doc_id, or {SHORTEST_HASH} or more characters of a doc_hash"
    raise InputError(f"{task} has no document {doc}", where=run.path, remedy=remedy)


def _lines(runs: Sequence[Run], samples: Sequence[Sample], columns: int) -> Iterator[str]:
    from lm_eval_fr.logs import task_as_asked
    from lm_eval_fr.report.words import printable

    first = samples[0]
    system, user = task_as_asked(first)
    yield f"{first.task}, document {first.doc_id}, {first.doc_hash[:12]}"
    blocks = [("system", system), ("asked", user), ("gold", first.right)]
    for run, sample in zip(runs, samples, strict=True):
        scores = ", ".join(f"{metric} {score:g}" for metric, score in sample.scores.items())
        name = f"{run.model}{f' ({scores})' if scores else ''}"
        blocks += [(name, text) for text in ([sample.shown] if sample.choices else sample.responses or ("",))]
        if not sample.choices and sample.answers != sample.responses:
            blocks += [(f"{run.model}, after the filter {sample.filter}", answer) for answer in sample.answers]
    for title, content in blocks:
        if content is None or (title == "gold" and not content):
            continue
        yield f"\n{printable(title)}"
        for line in content.splitlines() if content.strip() else ["(empty)"]:
            yield from textwrap.wrap(printable(line), columns, initial_indent="  ", subsequent_indent="  ") or [""]
