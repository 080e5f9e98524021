"""Both runs of a comparison: which tasks they share, and their settings side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError, MismatchError, UsageError
from lm_eval_fr.logs.columns import Columns
from lm_eval_fr.logs.find_run import Run, find_run
from lm_eval_fr.logs.parallel import read_many
from lm_eval_fr.logs.task_log import without_groups
from lm_eval_fr.pairing.agreement import arm_settings, generation_table
from lm_eval_fr.pairing.groups import PairedGroup, pair_groups
from lm_eval_fr.pairing.pairs import PairedTask
from lm_eval_fr.pairing.reruns import Rerun, Role, average, check_rerun
from lm_eval_fr.pairing.same_work import KINDS, Chosen, TaskDraft
from lm_eval_fr.report.arm_model import Setting

Kept = dict[tuple[Any, ...], Columns]


@dataclass(frozen=True)
class Pairing:
    candidate: Run
    reference: Run
    tasks: tuple[PairedTask, ...]
    groups: tuple[PairedGroup, ...]
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]
    reruns: tuple[Rerun, ...] = ()

    @property
    def same_run(self) -> str | None:
        """Why there is nothing to compare (both arms are the same run, or one is a copy of the other), or None."""
        return _same_run(self.candidate, self.reference)


def pair_runs(
    candidate: Run | str | Path,
    reference: Run | str | Path,
    *,
    tasks: Collection[str] | None = None,
    allow: Collection[str] = (),
    metrics: Mapping[str, str] | None = None,
    filters: Mapping[str, str] | None = None,
    candidate_reruns: Sequence[Run | str | Path] = (),
    reference_reruns: Sequence[Run | str | Path] = (),
) -> Pairing:
    """Pairs two runs, document by document. MismatchError if the work is not the same, unless `allow` has its kind.

    A path stands for the run that `find_run` finds there. metrics and filters choose one of a task's several, by task
    name. *_reruns: further runs of an arm; with its repeats they are averaged into its scores. The numbers are read
    once, the texts on demand.
    """
    tasks, allow = _words(tasks) or None, _words(allow) or ()
    candidate, reference = _found(candidate, tasks), _found(reference, tasks)
    if unknown := sorted(set(allow) - set(KINDS)):
        raise UsageError(f"there is no mismatch called {unknown[0]!r}", remedy=f"--allow takes {', '.join(KINDS)}")
    notes = [f"{name}: {note}" for name, run in _named(candidate, reference) for note in run.notes]
    names = _common_tasks(candidate, reference, tasks, allow, notes)
    for named in (metrics or {}, filters or {}):
        if unknown := sorted(set(named) - set(names)):
            raise UsageError(f"no task {unknown[0]!r} in this comparison", remedy=f"its tasks are {', '.join(names)}")
    chosen = Chosen(metrics or {}, filters or {}, allow)
    kept: Kept = {}
    drafts, paired = _pair_tasks(candidate, reference, names, chosen, kept)
    notes += [note for draft in drafts for note in draft.notes]
    further: tuple[tuple[Role, Run, Sequence[Run]], ...] = (
        ("candidate", candidate, [_found(one) for one in candidate_reruns]),
        ("reference", reference, [_found(one) for one in reference_reruns]),
    )
    notes += [note for role, run, given in further for one in given if (note := check_rerun(role, run, one, allow))]
    reruns = tuple(one for role, run, given in further for one in _reruns(role, run, given, names, chosen, kept))
    paired = tuple(average(task, reruns) for task in paired)
    notes += _several_answers(paired)
    groups, of_groups = pair_groups(candidate.groups, reference.groups, paired)
    if same := _same_run(candidate, reference):
        notes.append(same)
        paired = tuple(replace(task, no_verdict=same) for task in paired)
        groups = tuple(replace(group, no_verdict=same) for group in groups)
    settings = _settings(candidate, reference, drafts)
    return Pairing(candidate, reference, paired, groups, settings, tuple(dict.fromkeys([*notes, *of_groups])), reruns)


def _found(run: Run | str | Path, tasks: Collection[str] | None = None) -> Run:
    return run if isinstance(run, Run) else find_run(run, tasks=tasks)


def _words(given: str | Collection[str] | None) -> Collection[str] | None:
    return (given,) if isinstance(given, str) else given


def _same_run(candidate: Run, reference: Run) -> str | None:
    if candidate.results_path == reference.results_path:
        return "candidate and reference are the same run"
    if candidate.fingerprint == reference.fingerprint:
        return f"the reference ({reference.results_path}) is a copy of the candidate ({candidate.results_path})"
    return None


def _pair_tasks(
    candidate: Run, reference: Run, names: Sequence[str], chosen: Chosen, kept: Kept
) -> tuple[list[TaskDraft], tuple[PairedTask, ...]]:
    """kept: the reference's columns that have been read. All reruns of an arm are paired with its own run."""
    drafts = [TaskDraft(candidate.tasks[name], reference.tasks[name], chosen) for name in names]
    requests = [draft.requests() for draft in drafts]
    keys = [(*theirs.log.paths, theirs.filter, theirs.metrics, theirs.fields) for _, theirs in requests]
    new = [i for i, key in enumerate(keys) if key not in kept]
    found = read_many([mine for mine, _ in requests] + [requests[i][1] for i in new])
    kept |= zip((keys[i] for i in new), found[len(drafts) :], strict=True)
    columns = zip(drafts, found[: len(drafts)], keys, strict=True)
    return drafts, tuple(draft.pair(mine, kept[key]) for draft, mine, key in columns)


def _reruns(
    role: Role, run: Run, given: Sequence[Run], names: Sequence[str], chosen: Chosen, kept: Kept
) -> Iterator[Rerun]:
    """Further runs of an arm, its repeats first, paired with its own run; they may have fewer documents."""
    for rerun in (*run.repeats, *given):
        common = [name for name in names if name in rerun.tasks]
        _, paired = _pair_tasks(rerun, run, common, replace(chosen, allow={*chosen.allow, "documents"}), kept)
        yield Rerun(role, {task.task: task for task in paired})


def _several_answers(tasks: Sequence[PairedTask]) -> Iterator[str]:
    for side, role in enumerate(("candidate", "reference")):
        counts = {len(rows) for task in tasks if task.each is not None for rows in task.each[side].values()}
        if counts and max(counts) > 1:
            several = " to ".join(f"{count}" for count in sorted({min(counts), max(counts)}))
            yield f"{role}: {several} answers per document; scores are their means, texts are from the first run"


def _named(candidate: Run, reference: Run) -> tuple[tuple[str, Run], tuple[str, Run]]:
    return ("candidate", candidate), ("reference", reference)


def _common_tasks(
    candidate: Run, reference: Run, wanted: Collection[str] | None, allow: Collection[str], notes: list[str]
) -> list[str]:
    everywhere = sorted(candidate.tasks.keys() | reference.tasks.keys())
    if wanted is not None:
        wanted = without_groups(wanted, {**candidate.groups, **reference.groups})
        if unknown := sorted(wanted - set(everywhere)):
            raise UsageError(f"neither arm ran {unknown[0]}", remedy=f"they ran {', '.join(everywhere)}")
    names = everywhere if wanted is None else [name for name in everywhere if name in wanted]
    for name in names:
        for (has, run), (lacks, other) in (_named(candidate, reference), _named(candidate, reference)[::-1]):
            if name in run.tasks and name not in other.tasks:
                if "tasks" not in allow:
                    raise MismatchError(
                        "tasks",
                        f"only the {has} ran {name}",
                        where=other.path,
                        remedy=f"run it on the {lacks} too, or compare the others with --allow tasks",
                    )
                notes.append(f"tasks: only the {has} ran {name}; it is left out")
    common = [name for name in names if name in candidate.tasks and name in reference.tasks]
    if not common:
        what, remedy = "the two runs have no task in common", "run both arms on the same tasks"
        raise InputError(what, where=candidate.path, remedy=remedy)
    return common


def _settings(candidate: Run, reference: Run, drafts: Sequence[TaskDraft]) -> tuple[Setting, ...]:
    return (
        Setting("model", candidate.model, reference.model),
        Setting("source", candidate.source, reference.source),
        *arm_settings(candidate.model_args, reference.model_args, "model_args."),
        *arm_settings(candidate.settings, reference.settings),
        *generation_table({draft.task: draft.generation for draft in drafts}),
    )
