"""`lm-eval-fr show`: one document with the answers of one or two runs, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.plan_history import is_study

if TYPE_CHECKING:
    from lm_eval_fr.logs import Run, Sample

MOST_RUNS = 2


def show_sample(paths: Sequence[Path], *, task: str | None, doc: str | None, columns: int) -> str:
    """The document `doc` (its number, or the start of its hash; None: the first) of `task` (None: the only one).

    paths: one or two runs, or a study.
    Raises UsageError for more than two runs or a task that must be named, InputError for a document that is not there.
    """
    from lm_eval_fr.logs import find_run

    if len(paths) == 1 and is_study(paths[0]):
        paths = [paths[0] / "candidate", paths[0] / "reference"]
    if len(paths) > MOST_RUNS:
        raise UsageError(f"{len(paths)} runs", remedy="show takes one or two")
    runs = [find_run(path) for path in paths]
    name = _task(runs, task)
    first = _find(runs[0], name, doc)
    samples = [first, *(_find(run, name, first.doc_hash) for run in runs[1:])]
    return "\n".join(_lines(runs, samples, columns))


def _task(runs: Sequence[Run], task: str | None) -> str:
    common = [name for name in runs[0].tasks if all(name in run.tasks for run in runs)]
    if task is None and len(common) == 1:
        return common[0]
    if task not in common:
        what = "several tasks" if task is None else f"no task {task}"
        raise UsageError(what, where=runs[0].path, remedy=f"--task one of: {', '.join(common) or 'none in common'}")
    return task


def _find(run: Run, task: str, doc: str | None) -> Sample:
    from lm_eval_fr.logs import read_samples

    for sample in read_samples(run.tasks[task]):
        if doc is None or doc == str(sample.doc_id) or (len(doc) >= 6 and sample.doc_hash.startswith(doc)):
            return sample
    remedy = "--doc takes a doc_id or six or more signs of a doc_hash"
    raise InputError(f"{task} has no document {doc}", where=run.path, remedy=remedy)


def _lines(runs: Sequence[Run], samples: Sequence[Sample], columns: int) -> Iterator[str]:
    from lm_eval_fr.logs import task_as_asked
    from lm_eval_fr.report.words import printable

    first = samples[0]
    system, user = task_as_asked(first)
    yield f"{first.task}, document {first.doc_id}, {first.doc_hash[:12]}"
    blocks = [("system", system), ("asked", user), ("gold", first.target)]
    for run, sample in zip(runs, samples, strict=True):
        scores = ", ".join(f"{metric} {score:g}" for metric, score in sample.scores.items())
        name = f"{run.model}{f' ({scores})' if scores else ''}"
        blocks += [(name, answer) for answer in sample.answers or ("",)]
    for title, content in blocks:
        if content is None or (title == "gold" and not content):
            continue
        yield f"\n{title}"
        for line in content.splitlines() if content.strip() else ["(empty)"]:
            yield from textwrap.wrap(printable(line), columns, initial_indent="  ", subsequent_indent="  ") or [""]
