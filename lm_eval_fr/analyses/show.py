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
ASKED = "asked"
SHORTEST_HASH = 6


def show_sample(
    paths: Sequence[Path],
    *,
    task: str | None,
    doc: str | None,
    columns: int,
    filter: str | None = None,
    most: int | None = None,
) -> str:
    """The document `doc` (its number, or the start of its hash; None: the first) of `task` (None: the only one).

    paths: one or two runs, or a study. filter: one of the task's, by default the first. most: lines in all,
    for which long texts are cut; None: whole texts.
    Raises UsageError for more than two runs or a task that must be named, InputError for a missing document.
    """
    from lm_eval_fr.logs import find_run
    from lm_eval_fr.report.layout import shorten

    if len(paths) == 1 and is_study(paths[0]):
        paths = [paths[0] / "candidate", paths[0] / "reference"]
    if len(paths) > MOST_RUNS:
        raise UsageError(f"{len(paths)} runs", remedy="show takes one or two")
    runs = [find_run(path, tasks=None if task is None else [task]) for path in paths]
    name = _task(runs, task)
    first = _find(runs[0], name, doc, filter)
    samples = [first, *(_find(run, name, first.doc_hash, first.filter) for run in runs[1:])]
    blocks = [(title, _wrapped(content, columns)) for title, content in _blocks(runs, samples)]
    head = f"{first.task}, document {first.doc_id}, {first.doc_hash[:12]}"
    if most is not None and 1 + sum(2 + len(lines) for _, lines in blocks) > most:
        blocks = [(shorten(title, columns), lines) for title, lines in blocks]
        return "\n".join([shorten(f"{head} (in full: --full)", columns), *_cut(blocks, most - 1)])
    return "\n".join([head, *(line for title, lines in blocks for line in ("", title, *lines))])


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


def _blocks(runs: Sequence[Run], samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    """Each text with its label."""
    from lm_eval_fr.logs import task_as_asked
    from lm_eval_fr.report.words import printable

    system, user = task_as_asked(samples[0])
    blocks: list[tuple[str, str | None]] = [("system", system), (ASKED, user), ("gold", samples[0].right or None)]
    for run, sample in zip(runs, samples, strict=True):
        scores = ", ".join(f"{metric} {score:g}" for metric, score in sample.scores.items())
        name = f"{run.model}{f' ({scores})' if scores else ''}"
        blocks += [(name, text) for text in ([sample.shown] if sample.choices else sample.responses or ("",))]
        if not sample.choices and sample.answers != sample.responses:
            blocks += [(f"{run.model}, after the filter {sample.filter}", answer) for answer in sample.answers]
    yield from ((printable(title), content) for title, content in blocks if content is not None)


def _wrapped(content: str, columns: int) -> list[str]:
    from lm_eval_fr.report.words import printable

    return [
        part
        for line in (content.splitlines() if content.strip() else ["(empty)"])
        for part in textwrap.wrap(printable(line), columns, initial_indent="  ", subsequent_indent="  ") or [""]
    ]


def _cut(blocks: Sequence[tuple[str, list[str]]], most: int) -> Iterator[str]:
    """As many lines of each text as fit; of the prompt the last ones, which contain the question."""
    texts = [(title, [line for line in lines if line]) for title, lines in blocks]
    each, longest = 1, max(len(lines) for _, lines in texts)
    while each < longest and len(texts) + sum(min(len(lines), each + 1) for _, lines in texts) <= most:
        each += 1
    for title, lines in texts:
        yield title
        if len(lines) <= each:
            yield from lines
        elif title == ASKED:
            yield f"… {lines[-each].strip()}"
            yield from lines[len(lines) - each + 1 :]
        else:
            yield from lines[: each - 1]
            yield f"{lines[each - 1][:-1]}…"
