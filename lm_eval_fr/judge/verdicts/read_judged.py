"""The folder that a judge wrote, read back and aligned with the pairs of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lm_eval_fr.errors import InputError
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary, read_summary
from lm_eval_fr.judge.verdicts.judged_answers import check_answers
from lm_eval_fr.judge.verdicts.outcome import PairVerdict, read_verdicts
from lm_eval_fr.pairing import PairedTask, Pairing


@dataclass(frozen=True)
class Judged:
    """What the judge left: its verdicts in the plan's order, and how they came about."""

    verdicts: Sequence[PairVerdict]
    summary: JudgeSummary


def read_judged(judge_dir: Path, pairing: Pairing) -> Judged:
    """The judge's folder, its verdicts aligned with the pairs. InputError where they are on other runs."""
    summary = read_summary(judge_dir)
    check_answers(summary.answers, pairing.tasks, judge_dir)
    verdicts = align(read_verdicts(judge_dir), pairing.tasks, complete=summary.stopped is None, where=judge_dir)
    return Judged(verdicts, summary)


def align(
    verdicts: Iterable[PairVerdict], tasks: Sequence[PairedTask], *, complete: bool, where: Path | None = None
) -> list[PairVerdict]:
    """The verdicts of the pairs, in the plan's order, with the pairs' clusters.

    With `complete`, a pair without a verdict is there as unjudged. InputError for a verdict on a document that is not
    among the pairs: then the judge saw other runs.
    """
    judged = [task for task in tasks if task.judged]
    of_pair: dict[tuple[str, str], PairVerdict] = {}
    for verdict in verdicts:
        of_pair[verdict.task, verdict.doc_hash] = verdict
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
