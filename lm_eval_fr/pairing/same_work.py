"""One task of two runs as a PairedTask, or a MismatchError that names the first document that differs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lm_eval_fr.errors import InputError, MismatchError, UsageError
from lm_eval_fr.logs.columns import Columns, Request, hex_of, read_arguments
from lm_eval_fr.logs.logged_prompts import Prompt, prompt_difference, read_prompt
from lm_eval_fr.logs.task_log import Metric, TaskLog
from lm_eval_fr.pairing.agreement import (
    LENGTH,
    filter_definition,
    generation_difference,
    generation_settings,
    scoring_changed,
)
from lm_eval_fr.pairing.alignment import align_scores
from lm_eval_fr.pairing.answers import read_answers
from lm_eval_fr.pairing.chance import chance_of
from lm_eval_fr.pairing.grouping import clusters_of, strata_of
from lm_eval_fr.pairing.joining import HexColumn, Join, join_rows, joint_keys
from lm_eval_fr.pairing.pairs import PairedTask, Side
from lm_eval_fr.pairing.sent_settings import as_sent, length_decided_by

KINDS = ("tasks", "documents", "prompts", "targets", "versions", "generation", "filters", "reruns")  # --allow's words


@dataclass(frozen=True)
class Chosen:
    """metrics and filters of a task's several, by task name; kinds of mismatches to let through."""

    metrics: Mapping[str, str]
    filters: Mapping[str, str]
    allow: Collection[str]


class TaskDraft:
    """One task while it is being paired."""

    def __init__(self, candidate: TaskLog, reference: TaskLog, chosen: Chosen) -> None:
        self.task = reference.task
        self.candidate, self.reference = candidate, reference
        self.allow = chosen.allow
        self.allowed: list[str] = []
        self.notes: list[str] = []
        self.filter = self._choose_filter(chosen.filters.get(self.task))
        self.metric = chosen.metrics.get(self.task)
        self._check_metrics()
        self.generation: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
        if candidate.version != reference.version:
            self._mismatch(
                "versions",
                f"{self.task} is version {candidate.version} in the candidate, {reference.version} in the reference",
                candidate.paths[0],
            )
        elif changed := scoring_changed(candidate.config, reference.config):
            self.notes.append(
                f"{self.task}: the arms' {' and '.join(changed)} differ although the version is "
                "the same: check that the same code scored both"
            )

    def requests(self) -> tuple[Request, Request]:
        fields = tuple(dict.fromkeys([*filter(None, (self.reference.cluster_field,)), *self.reference.strata_fields]))
        return (
            Request(self.candidate, self.filter, self._metrics(self.candidate)),
            Request(self.reference, self.filter, self._metrics(self.reference), fields),
        )

    def pair(self, mine: Columns, theirs: Columns) -> PairedTask:
        """`mine` are the candidate's columns, `theirs` the reference's."""
        self.notes += [*mine.notes, *theirs.notes]
        join = self._join(mine, theirs)
        self._check_generation(mine, theirs, join)
        self._check_prompts(mine, theirs, join)
        joined = (self.candidate, mine, join.candidate), (self.reference, theirs, join.reference)
        answers = [read_answers(*arm) for arm in joined]
        arms = [(*arm, found.failed) for arm, found in zip(joined, answers, strict=True)]
        aligned = align_scores(arms[0], arms[1], self.metric, self.filter)
        self.notes += aligned.notes
        rows = [arm[2][aligned.keep] for arm in arms]
        sides = [
            Side(log, self.filter, columns.paths, columns.file[at], columns.line[at], columns.offset[at])
            for (log, columns, _, _), at in zip(arms, rows, strict=True)
        ]
        clusters = clusters_of(self.reference, theirs, rows[1])
        return PairedTask(
            task=self.task,
            filter=self.filter,
            judged=self.candidate.judged and self.reference.judged,
            metrics=aligned.metrics,
            higher_is_better=aligned.higher_is_better,
            n=len(rows[1]),
            doc_ids=theirs.doc_id[rows[1]],
            doc_hashes=HexColumn(theirs.doc_hash[rows[1]]),
            clusters=clusters.codes,
            cluster_names=clusters.names,
            candidate=aligned.candidate,
            reference=aligned.reference,
            answers=(answers[0].rows(aligned.keep), answers[1].rows(aligned.keep)),
            allowed=tuple(self.allowed),
            sides=(sides[0], sides[1]),
            identical=mine.digest[rows[0]] == theirs.digest[rows[1]],
            weights=aligned.weights,
            ends=aligned.ends,
            printed=aligned.printed,
            no_verdict=aligned.no_verdict,
            strata=tuple(strata_of(self.reference, theirs, rows[1])),
            copies=clusters.copies,
            chance=chance_of(self.reference, theirs.target_hash[rows[1]]),
        )

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
                remedy=f"choose a filter that both arms have, or rerun the arm that lacks {name}",
            )
        definitions = [filter_definition(log.config, name) for log in (self.candidate, self.reference)]
        if definitions[0] != definitions[1]:
            self._mismatch(
                "filters",
                f"filter {name} of {self.task} is {definitions[0]} in the candidate, {definitions[1]} in the reference",
                self.candidate.paths[0],
            )
        return name

    def _check_metrics(self) -> None:
        """Both arms must have been scored by the metric that counts."""
        ours, theirs = self.candidate.metric_names, self.reference.metric_names
        primary = self.metric or next(iter(theirs), next(iter(ours), None))
        common = ", ".join(name for name in theirs if name in ours) or "none is common to both arms"
        for has, log, names in (("candidate", self.candidate, ours), ("reference", self.reference, theirs)):
            if primary is not None and self.metric is None and primary not in names:
                raise InputError(
                    f"the {has}'s samples of {self.task} have no metric {primary!r}",
                    where=log.paths[0],
                    remedy=f"choose one of those that both arms log: {common}",
                )
        left = [name for name in dict.fromkeys([*theirs, *ours]) if name not in ours or name not in theirs]
        if self.metric is None and left:
            self.notes.append(f"{self.task}: only one arm has {', '.join(left)}; left out")

    def _metrics(self, log: TaskLog) -> tuple[Metric, ...]:
        """What to read: the chosen metric, or all, also where the choice is the name of a score that is made of one."""
        return tuple(metric for metric in log.metrics if metric.name == self.metric) or log.metrics

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
        """Documents of the arm `name` that the other lacks, or has with another target."""
        other = "candidate" if name == "reference" else "reference"
        known = np.isin(columns.doc_hash[alone], others.doc_hash)
        ours, theirs = (joint_keys(arm.doc_hash, arm.target_hash) for arm in (columns, others))
        copied = np.isin(ours[alone], theirs)
        retargeted = alone[known & ~copied]
        row = int(retargeted[0] if len(retargeted) else alone[0])
        path, line = columns.place(row)
        document = columns.named(row)
        if len(retargeted):
            there = int(np.flatnonzero(others.doc_hash == columns.doc_hash[row])[0])
            targets = [hex_of(arm.target_hash[at])[:12] for arm, at in ((columns, row), (others, there))]
            both = f"{targets[0]} in the {name}, {targets[1]} in the {other} ({others.where(there)})"
            what = f"{document} has the target {both}"
            raise MismatchError("targets", what, where=path, line=line)
        lacking = "is listed more often than in the" if copied[0] else "is not in the"
        what = f"{document} {lacking} {other}, which lacks {len(alone)} of the {name}'s {len(columns)} documents"
        self._mismatch(
            "documents",
            what,
            path,
            line,
            "run both arms on the same documents, or compare the common ones with --allow documents",
        )

    def _allow_targets(self, mine: Columns, theirs: Columns, join: Join) -> None:
        changed = np.flatnonzero(mine.target_hash[join.candidate] != theirs.target_hash[join.reference])
        if len(changed):
            self.allowed.append(f"targets: {len(changed)} documents of {self.task} have different targets")

    def _check_generation(self, mine: Columns, theirs: Columns, join: Join) -> None:
        """Checks what was sent with the requests, decided by --gen_kwargs, the model's arguments or its client."""
        if not self.reference.generates:
            return
        arms = (self.candidate, mine), (self.reference, theirs)
        sent = [[as_sent(raw, log) for raw in columns.generations] for log, columns in arms]
        codes = mine.generation[join.candidate].astype(np.int64) * len(sent[1]) + theirs.generation[join.reference]
        for code, first in sorted(zip(*np.unique(codes, return_index=True), strict=True), key=lambda found: found[1]):
            at = divmod(int(code), len(sent[1]))
            both = sent[0][at[0]], sent[1][at[1]]
            if not any(self.generation):
                self.generation = both
            if difference := generation_difference(*both):
                row = int(join.candidate[first])
                why = self._who_decided(difference, mine.generations[at[0]], theirs.generations[at[1]])
                self._mismatch("generation", f"{mine.named(row)}: {difference}{why}", *mine.place(row))
                return
        self._note_unknown_lengths()
        self._note_seeds()

    def _who_decided(self, difference: str, mine: bytes, theirs: bytes) -> str:
        """Who set a length that the task did not set; `mine` and `theirs` are the settings as logged."""
        arms = ("candidate", self.candidate, mine), ("reference", self.reference, theirs)
        by = [(arm, length_decided_by(log, generation_settings(logged))) for arm, log, logged in arms]
        said = [f"the {arm}'s is {how}" for arm, how in by if how is not None]
        return f" ({'; '.join(said)})" if said and difference.startswith(LENGTH) else ""

    def _note_seeds(self) -> None:
        """Notes arms that sample with different seeds; they are not refused."""
        seeds = [sent.get("seed", sent.get("random_seed")) for sent in self.generation]
        if seeds[0] != seeds[1] and any(sent.get("temperature") for sent in self.generation):
            mine, theirs = ("none" if seed is None else seed for seed in seeds)
            self.notes.append(f"{self.task}: sampled with seed {mine} in the candidate, {theirs} in the reference")

    def _note_unknown_lengths(self) -> None:
        for arm, sent in zip(("candidate", "reference"), self.generation, strict=True):
            if sent.get(LENGTH) is None:
                self.notes.append(f"{self.task}: there is no record of the {arm}'s maximum answer length")

    def _check_prompts(self, mine: Columns, theirs: Columns, join: Join) -> None:
        """Equal hashes mean equal prompts; all others are read and proven."""
        unequal = np.flatnonzero(mine.prompt_hash[join.candidate] != theirs.prompt_hash[join.reference])
        ours, others = join.candidate[unequal], join.reference[unequal]
        different = 0
        logged = zip(_prompts(mine, ours), _prompts(theirs, others), ours, others, strict=True)
        for one, other, row, there in logged:
            prompts = read_prompt(one, self.candidate.rendering), read_prompt(other, self.reference.rendering)
            difference = prompt_difference(*prompts)
            self._note_unknown_templates(prompts)
            if difference is None:
                continue
            different += 1
            if different == 1:
                what = f"{theirs.named(there)}: the prompt is {difference} ({theirs.where(there)})"
                self._mismatch("prompts", what, *mine.place(row))
        if different > 1:
            self.allowed.append(f"prompts: so are those of {different - 1} other documents of {self.task}")

    def _note_unknown_templates(self, prompts: tuple[Prompt, Prompt]) -> None:
        for arm, prompt in zip(("candidate", "reference"), prompts, strict=True):
            if prompt.form == "template" and not prompt.rendering.template:
                note = (
                    f"{self.task}: the {arm}'s chat template is not recorded: its prompts contain the "
                    "task's text, but what else they contain is unknown"
                )
                self.notes += [] if note in self.notes else [note]


def _prompts(columns: Columns, rows: np.ndarray) -> Iterator[Any]:
    return (arguments.get("gen_args_0", {}).get("arg_0") for arguments in read_arguments(columns, rows))
