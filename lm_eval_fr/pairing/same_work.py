"""One task of two runs: into a PairedTask, or a MismatchError that names the first document concerned."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lm_eval_fr.errors import InputError, MismatchError, UsageError
from lm_eval_fr.logs.columns import Columns, Request, read_logged_prompts
from lm_eval_fr.logs.logged_prompts import Prompt, prompt_difference, read_prompt
from lm_eval_fr.logs.samples import TaskLog, read_responses
from lm_eval_fr.pairing.agreement import filter_definition, generation_difference, generation_settings, scoring_changed
from lm_eval_fr.pairing.joining import HexColumn, Join, hex_of, join_rows, joint_keys
from lm_eval_fr.pairing.pairs import ArmHealth, PairedTask, Side

KINDS = ("tasks", "documents", "prompts", "targets", "versions", "generation", "filters")  # the words of --allow


class TaskDraft:
    """One task on its way to being paired."""

    def __init__(
        self, candidate: TaskLog, reference: TaskLog, metric: str | None, filter: str | None, allow: Collection[str]
    ) -> None:
        self.task = reference.task
        self.candidate, self.reference = candidate, reference
        self.allow = allow
        self.allowed: list[str] = []
        self.notes: list[str] = []
        self.filter = self._choose_filter(filter)
        self.metrics = self._choose_metrics(metric)
        self.generation: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
        if candidate.version != reference.version:
            self._mismatch(
                "versions",
                f"{self.task} is version {candidate.version} in the candidate, {reference.version} in the reference",
                candidate.paths[0],
            )
        elif changed := scoring_changed(candidate.config, reference.config):
            self.notes.append(
                f"{self.task}: the arms' {' and '.join(changed)} differ though the version is the same: "
                "check that both were scored by the same code"
            )

    def requests(self) -> tuple[Request, Request]:
        return (
            Request(self.candidate, self.filter, self.metrics),
            Request(self.reference, self.filter, self.metrics, self.reference.cluster_field),
        )

    def pair(self, mine: Columns, theirs: Columns) -> PairedTask:
        """`mine` are the candidate's columns, `theirs` the reference's."""
        self.notes += [*mine.notes, *theirs.notes]
        join = self._join(mine, theirs)
        self._check_generation(mine, theirs, join)
        self._check_prompts(mine, theirs, join)
        health, failed, truncated = zip(
            *(self._health(log, columns, rows) for log, columns, rows in self._arms(mine, theirs, join)), strict=True
        )
        scores = self._scores(mine, theirs, join, failed)
        clusters, names = _clusters(theirs, join.reference)
        sides = tuple(
            Side(log, columns.paths, columns.file[rows], columns.line[rows], columns.offset[rows])
            for log, columns, rows in self._arms(mine, theirs, join)
        )
        return PairedTask(
            task=self.task,
            filter=self.filter,
            metrics=self.metrics,
            higher_is_better={name: self.reference.higher_is_better.get(name, True) for name in self.metrics},
            n=len(join.reference),
            doc_ids=theirs.doc_id[join.reference],
            doc_hashes=HexColumn(theirs.doc_hash[join.reference]),
            clusters=clusters,
            cluster_names=names,
            candidate=scores[0],
            reference=scores[1],
            candidate_health=health[0],
            reference_health=health[1],
            allowed=tuple(self.allowed),
            sides=(sides[0], sides[1]),
            failed=(failed[0], failed[1]),
            truncated=(truncated[0], truncated[1]),
        )

    def _arms(self, mine: Columns, theirs: Columns, join: Join) -> tuple[tuple[TaskLog, Columns, np.ndarray], ...]:
        return (self.candidate, mine, join.candidate), (self.reference, theirs, join.reference)

    def _mismatch(self, kind: str, what: str, where: Path, line: int | None = None, remedy: str = "") -> None:
        if kind not in self.allow:
            raise MismatchError(kind, what, where=where, line=line, remedy=remedy)
        self.allowed.append(f"{kind}: {what}")

    def _choose_filter(self, wanted: str | None) -> str:
        ours, theirs = self.candidate.filters, self.reference.filters
        name = wanted or theirs[0]
        if wanted is not None and wanted not in theirs and wanted not in ours:
            raise UsageError(f"{self.task} has no filter {wanted!r}", remedy=f"its filters are {', '.join(theirs)}")
        if wanted is None and len(theirs) > 1:
            self.notes.append(f"{self.task}: the filter {name} counts, of {', '.join(theirs)}")
        if name not in ours or name not in theirs:
            lacking = self.candidate if name not in ours else self.reference
            raise MismatchError(
                "filters",
                f"{self.task} was filtered by {', '.join(ours)} in the candidate, {', '.join(theirs)} in the reference",
                where=lacking.paths[0],
                remedy=f"choose one that both have, or run the arm again: it lacks {name}",
            )
        definitions = [filter_definition(log.config, name) for log in (self.candidate, self.reference)]
        if definitions[0] != definitions[1]:
            self._mismatch(
                "filters",
                f"filter {name} of {self.task} is {definitions[0]} in the candidate, {definitions[1]} in the reference",
                self.candidate.paths[0],
            )
        return name

    def _choose_metrics(self, wanted: str | None) -> tuple[str, ...]:
        ours, theirs = self.candidate.metrics, self.reference.metrics
        primary = wanted or next(iter(theirs), next(iter(ours), None))
        common = ", ".join(name for name in theirs if name in ours) or "none is common to both arms"
        for has, log in (("candidate", self.candidate), ("reference", self.reference)):
            if primary is not None and primary not in log.metrics:
                raise InputError(
                    f"the {has}'s samples of {self.task} have no metric {primary!r} that is a number",
                    where=log.paths[0],
                    remedy=f"choose one of those that both arms log: {common}",
                )
        if wanted is not None:
            return (wanted,)
        if left := [name for name in dict.fromkeys([*theirs, *ours]) if name not in ours or name not in theirs]:
            self.notes.append(f"{self.task}: only one arm has {', '.join(left)}; left out")
        return tuple(name for name in theirs if name in ours)

    def _join(self, mine: Columns, theirs: Columns) -> Join:
        by_target = "targets" not in self.allow
        keys = [
            joint_keys(*((columns.doc_hash, columns.target_hash) if by_target else (columns.doc_hash,)))
            for columns in (mine, theirs)
        ]
        join = join_rows(keys[0], mine.doc_id, keys[1], theirs.doc_id)
        sides = (("candidate", mine, join.candidate_only, theirs), ("reference", theirs, join.reference_only, mine))
        for name, columns, alone, others in reversed(sides):
            if len(alone):
                self._unpaired(name, columns, alone, others)
        if not by_target:
            self._allow_targets(mine, theirs, join)
        if not len(join.reference):
            raise InputError(
                f"the two runs of {self.task} have no document in common",
                where=mine.paths[0],
                remedy="run both arms on the same data",
            )
        return join

    def _unpaired(self, name: str, columns: Columns, alone: np.ndarray, others: Columns) -> None:
        """Documents of the arm `name` that the other has not, or has with another target."""
        other = "candidate" if name == "reference" else "reference"
        retargeted = alone[np.isin(columns.doc_hash[alone], others.doc_hash)]
        row = int(retargeted[0] if len(retargeted) else alone[0])
        path, line = columns.place(row)
        document = f"document {columns.doc_id[row]} ({hex_of(columns.doc_hash[row])[:12]}) of {self.task}"
        if len(retargeted):
            there = int(np.flatnonzero(others.doc_hash == columns.doc_hash[row])[0])
            targets = [hex_of(arm.target_hash[at])[:12] for arm, at in ((columns, row), (others, there))]
            place = "{}:{}".format(*others.place(there))
            what = f"{document} has the target {targets[0]} in the {name}, {targets[1]} in the {other} ({place})"
            raise MismatchError("targets", what, where=path, line=line)
        what = f"{document} is not in the {other}, which lacks {len(alone)} of the {name}'s {len(columns)} documents"
        self._mismatch(
            "documents",
            what,
            path,
            line,
            "run both arms on the same documents, or --allow documents compares the common ones",
        )

    def _allow_targets(self, mine: Columns, theirs: Columns, join: Join) -> None:
        changed = np.flatnonzero(mine.target_hash[join.candidate] != theirs.target_hash[join.reference])
        if len(changed):
            self.allowed.append(f"targets: {len(changed)} documents of {self.task} have another target in each arm")

    def _check_generation(self, mine: Columns, theirs: Columns, join: Join) -> None:
        """What was sent with the requests, which --gen_kwargs may have changed from what the task says."""
        ours = [generation_settings(raw) for raw in mine.generations]
        others = [generation_settings(raw) for raw in theirs.generations]
        codes = mine.generation[join.candidate].astype(np.int64) * len(others) + theirs.generation[join.reference]
        for code, first in sorted(zip(*np.unique(codes, return_index=True), strict=True), key=lambda found: found[1]):
            sent = ours[code // len(others)], others[code % len(others)]
            if not any(self.generation):
                self.generation = sent
            if difference := generation_difference(*sent):
                row = int(join.candidate[first])
                document = f"document {mine.doc_id[row]} ({hex_of(mine.doc_hash[row])[:12]}) of {self.task}"
                self._mismatch("generation", f"{document}: {difference}", *mine.place(row))
                return

    def _check_prompts(self, mine: Columns, theirs: Columns, join: Join) -> None:
        """Equal hashes are equal prompts; all others are read and proven."""
        unequal = np.flatnonzero(mine.prompt_hash[join.candidate] != theirs.prompt_hash[join.reference])
        ours, others = join.candidate[unequal], join.reference[unequal]
        different = 0
        logged = zip(read_logged_prompts(mine, ours), read_logged_prompts(theirs, others), ours, others, strict=True)
        for one, other, row, there in logged:
            prompts = read_prompt(one, self.candidate.rendering), read_prompt(other, self.reference.rendering)
            difference = prompt_difference(*prompts)
            self._note_unknown_templates(prompts)
            if difference is None:
                continue
            different += 1
            if different == 1:
                place = "{}:{}".format(*theirs.place(there))
                document = f"document {theirs.doc_id[there]} ({hex_of(theirs.doc_hash[there])[:12]}) of {self.task}"
                self._mismatch("prompts", f"{document}: the prompt is {difference} ({place})", *mine.place(row))
        if different > 1:
            self.allowed.append(f"prompts: so are those of {different - 1} other documents of {self.task}")

    def _note_unknown_templates(self, prompts: tuple[Prompt, Prompt]) -> None:
        for arm, prompt in zip(("candidate", "reference"), prompts, strict=True):
            if prompt.form == "template" and not prompt.rendering.template:
                note = (
                    f"{self.task}: the {arm}'s chat template is not on record: its prompts hold the task's text, "
                    "what else they hold cannot be told"
                )
                self.notes += [] if note in self.notes else [note]

    def _health(self, log: TaskLog, columns: Columns, rows: np.ndarray) -> tuple[ArmHealth, np.ndarray, np.ndarray]:
        """The arm's health, which of its answers were never obtained, and which look cut off."""
        failed, truncated, by = columns.missing[rows].copy(), columns.cut_looking[rows], "heuristic"
        if responses := read_responses(log):
            hashes = HexColumn(columns.doc_hash[rows])
            known = [responses.get(name, {}) for name in hashes]
            failed |= np.array([bool(record.get("error")) for record in known], dtype=bool)
            truncated, by = np.array([record.get("finish_reason") == "length" for record in known]), "finish_reason"
        health = ArmHealth(
            n=len(rows),
            empty=int((columns.empty[rows] & ~failed).sum()),
            truncated=int(truncated.sum()),
            failed=int(failed.sum()),
            truncated_by=by,  # type: ignore[arg-type]
        )
        return health, failed, truncated

    def _scores(
        self, mine: Columns, theirs: Columns, join: Join, failed: Sequence[np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Aligned scores. An answer that was never obtained counts 0, or the worst on record where lower is better."""
        found: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = ({}, {})
        for name in self.metrics:
            both = [columns.scores[name][rows] for _, columns, rows in self._arms(mine, theirs, join)]
            worst = 0.0
            if not self.reference.higher_is_better.get(name, True):
                worst = max((float(np.nanmax(values)) for values in both if not np.isnan(values).all()), default=0.0)
            for values, lost, scores in zip(both, failed, found, strict=True):
                values[lost] = worst
                scores[name] = values
        kept = tuple(name for name in self.metrics if self._complete(name, mine, theirs, join, found))
        self.metrics = kept
        return {name: found[0][name] for name in kept}, {name: found[1][name] for name in kept}

    def _complete(
        self, name: str, mine: Columns, theirs: Columns, join: Join, scores: Sequence[Mapping[str, np.ndarray]]
    ) -> bool:
        """Whether every document has this score in both arms; the first metric must have it."""
        lacking = [np.isnan(arm[name]) for arm in scores]
        if not (lacking[0] | lacking[1]).any():
            return True
        at = int(np.flatnonzero(lacking[0] | lacking[1])[0])
        if name != self.metrics[0] and (lacking[0] == lacking[1]).all():
            self.notes.append(
                f"{self.task}: {name} is on {int((~lacking[0]).sum())} of {len(lacking[0])} documents; left out"
            )
            return False
        _, columns, rows = self._arms(mine, theirs, join)[0 if lacking[0][at] else 1]
        path, line = columns.place(int(rows[at]))
        whose = "both arms'" if lacking[0][at] and lacking[1][at] else "this arm's"
        raise InputError(
            f"{whose} sample of document {columns.doc_id[rows[at]]} of {self.task} has no {name}",
            where=path,
            line=line,
            remedy="choose another metric, or correct the task's process_results: it must score every document",
        )


def _clusters(columns: Columns, rows: np.ndarray) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Cluster numbers in order of appearance, or None if every document is its own cluster.

    A document without a cluster's name is a cluster of its own.
    """
    if columns.cluster is None:
        return None, ()
    codes = columns.cluster[rows].astype(np.int64)
    nameless = [i for i, name in enumerate(columns.cluster_names) if name == "null"]
    alone = np.isin(codes, nameless)
    codes[alone] = len(columns.cluster_names) + np.arange(int(alone.sum()))
    distinct, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    if len(distinct) == len(codes):
        return None, ()
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    known = columns.cluster_names
    names = tuple(known[code] if code < len(known) else "" for code in distinct[order])
    return rank[inverse], names
