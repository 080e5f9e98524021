"""Reads the judge's folder and aligns it with the pairs of a comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from lm_eval_fr.errors import InputError
from lm_eval_fr.judge.verdicts.judge_summary import FILE, JudgeSummary, check_answers, read_summary
from lm_eval_fr.judge.verdicts.outcome import VERDICT_FILE, Outcome, PairVerdict, combine, count, iter_verdicts
from lm_eval_fr.judge.verdicts.position import position_report
from lm_eval_fr.pairing import PairedTask, Pairing
from lm_eval_fr.stats.judging import PositionReport


@dataclass(frozen=True)
class JudgeOutput:
    """What the judge left: its verdicts in the plan's order, and how they came about."""

    verdicts: Sequence[PairVerdict]
    summary: JudgeSummary

    def position(self, level: float) -> PositionReport:
        """As the judge stored it, if its intervals have this level."""
        filed = self.summary.position
        return filed if filed is not None and filed.level == level else position_report(self.verdicts, level)


def read_judged(judge_dir: Path, pairing: Pairing) -> JudgeOutput:
    """The judge's folder, its verdicts aligned with the pairs. InputError if they are about other runs."""
    summary = read_summary(judge_dir)
    check_answers(summary.answers, pairing.tasks, judge_dir)
    verdicts = read_whole(summary, judge_dir / VERDICT_FILE if judge_dir.is_dir() else judge_dir)
    return JudgeOutput(align(verdicts, pairing.tasks, complete=summary.stopped is None, where=judge_dir), summary)


def read_whole(summary: JudgeSummary, file: Path) -> list[PairVerdict]:
    """InputError if verdicts.jsonl is not as the judge wrote it: edited, duplicated, truncated."""
    remedy = "it was changed after judging; rewrite it for free with `lm-eval-fr judge ... --reparse`"
    digest, verdicts = hashlib.sha256(), []

    def refuse(what: str, line: int | None = None) -> NoReturn:
        raise InputError(what, where=file, line=line, remedy=remedy)

    seen: set[tuple[str, str]] = set()
    for number, verdict in enumerate(iter_verdicts(file, digest), 1):
        place = (verdict.task, verdict.doc_hash)
        if place in seen:
            refuse(f"document {verdict.doc_id} of {verdict.task} appears twice", number)
        seen.add(place)
        told = None if summary.panel.judges else _told(verdict, lazy=summary.orders == "lazy")
        if told not in (None, verdict.outcome):
            refuse(f"says {verdict.outcome}, but its two orders say {told}", number)
        verdicts.append(verdict)
    counts = {outcome: n for outcome, n in count(verdicts).outcomes.items() if n}
    if counts != {outcome: n for outcome, n in summary.counts.items() if n}:
        refuse(f"its outcomes are not those that {FILE} beside it counts")
    if summary.verdicts_sha256 not in (None, digest.hexdigest()):
        refuse(f"its SHA-256 is not the one in {FILE} beside it")
    return verdicts


def _told(verdict: PairVerdict, *, lazy: bool) -> Outcome:
    """The outcome that the orders give; nothing was asked about identical answers."""
    orders = (verdict.candidate_first, verdict.reference_first)
    return "identical" if verdict.outcome == "identical" and orders == (None, None) else combine(*orders, lazy=lazy)


def align(
    verdicts: Iterable[PairVerdict], tasks: Sequence[PairedTask], *, complete: bool, where: Path | None = None
) -> list[PairVerdict]:
    """The verdicts of the pairs, in the plan's order, with the pairs' clusters.

    With `complete`, a pair without a verdict is included as unjudged. InputError for a verdict on a document
    outside the pairs: the judge saw other runs.
    """
    judged = [task for task in tasks if task.judged]
    of_pair = {(verdict.task, verdict.doc_hash): verdict for verdict in verdicts}
    aligned = []
    for task in judged:
        for i, doc_hash in enumerate(task.doc_hashes):
            found = of_pair.pop((task.task, doc_hash), None)
            if found is None and not complete:
                continue
            found = found or PairVerdict(task.task, int(task.doc_ids[i]), doc_hash, "unjudged")
            aligned.append(replace(found, cluster=_cluster(task, i)))
    if of_pair:
        stray = next(iter(of_pair.values()))
        raise InputError(
            f"{len(of_pair)} verdicts are on documents that these two runs do not share, the first on document "
            f"{stray.doc_id} ({stray.doc_hash[:12]}) of {stray.task}",
            where=where,
            remedy="give the --judge folder that was made from these two runs, or judge again",
        )
    return aligned


def _cluster(task: PairedTask, i: int) -> str | None:
    if task.clusters is None:
        return None
    code = int(task.clusters[i])
    return f"{task.task}/{code}/{task.cluster_names[code]}"
