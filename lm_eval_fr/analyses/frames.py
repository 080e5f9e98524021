"""Runs and verdicts as pandas data frames: one row per pair, one row per verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval_fr.analyses.value.tokens import Used, usage_of
from lm_eval_fr.judge.verdicts.outcome import PairVerdict, read_verdicts
from lm_eval_fr.judge.verdicts.read_judged import read_judged
from lm_eval_fr.pairing import PairedTask, Pairing, pair_runs

if TYPE_CHECKING:
    import pandas

COUNTED = ("calls", "input_tokens", "cached_tokens", "output_tokens")
PAIRS = (
    *("task", "doc_id", "doc_hash", "cluster", "strata", "metric", "gold", "candidate_answer", "reference_answer"),
    *("candidate_score", "reference_score", "difference", "outcome", "candidate_tokens", "reference_tokens"),
)
VERDICTS = (
    *("task", "doc_id", "doc_hash", "cluster", "outcome", "score", "candidate_first", "reference_first"),
    *("reason_candidate_first", "reason_reference_first", "candidate_chars", "reference_chars"),
    *COUNTED,
)


def pairs_frame(
    candidate: str | Path,
    reference: str | Path,
    *,
    judge: str | Path | None = None,
    tasks: Collection[str] | None = None,
    allow: Collection[str] = (),
    metrics: Mapping[str, str] | None = None,
    filters: Mapping[str, str] | None = None,
) -> pandas.DataFrame:
    """One row per pair of the two runs, judged ones too; the columns are `PAIRS`.

    judge: the folder that `judge` wrote; its outcomes are in `outcome`. Scores are of the task's first metric (or of
    `metrics`), and missing on a judged task. `strata` is a dictionary, as {"length": "4k", "kind": "one"}, empty where
    the task declares none: `frame.strata.str.get("length")` is a column to group by. Tokens are those of the answer, by
    the server's own count, and missing where the run has none. Raises what pairing raises: InputError, MismatchError,
    UsageError.
    """
    import pandas

    pairing = pair_runs(candidate, reference, tasks=tasks, allow=allow, metrics=metrics, filters=filters)
    judged = () if judge is None else read_judged(Path(judge), pairing).verdicts
    verdicts = {(verdict.task, verdict.doc_hash): verdict for verdict in judged}
    return pandas.DataFrame(_pair_rows(pairing, verdicts), columns=list(PAIRS))


def verdicts_frame(judge: str | Path) -> pandas.DataFrame:
    """One row per verdict of the folder that `judge` wrote; the columns are `VERDICTS`.

    `score` is +1, 0 or -1 for the candidate, and missing where the judge did not decide.
    """
    import pandas

    return pandas.DataFrame((verdict_row(verdict) for verdict in read_verdicts(Path(judge))), columns=list(VERDICTS))


def _pair_rows(pairing: Pairing, verdicts: Mapping[tuple[str, str], PairVerdict]) -> Iterator[dict[str, Any]]:
    for task in pairing.tasks:
        used = [usage_of(side.log) or {} for side in task.sides]
        for i, pair in enumerate(task.pairs()):
            verdict = verdicts.get((task.task, pair.doc_hash))
            yield {
                "task": task.task,
                "doc_id": pair.doc_id,
                "doc_hash": pair.doc_hash,
                "cluster": pair.cluster,
                "strata": {strata.name: strata.labels[strata.codes[i]] for strata in task.strata},
                "gold": None if task.judged else pair.reference.right,
                "candidate_answer": pair.candidate.chosen,
                "reference_answer": pair.reference.chosen,
                "outcome": None if verdict is None else verdict.outcome,
                "candidate_tokens": _tokens(used[0].get(pair.doc_hash)),
                "reference_tokens": _tokens(used[1].get(pair.doc_hash)),
                **_scores(task, i),
            }


def _scores(task: PairedTask, i: int) -> dict[str, Any]:
    if not task.scored:
        return {}
    metric = task.metrics[0]
    candidate, reference = float(task.candidate[metric][i]), float(task.reference[metric][i])
    return {
        "metric": metric,
        "candidate_score": candidate,
        "reference_score": reference,
        "difference": candidate - reference,
    }


def _tokens(used: Used | None) -> float | None:
    return None if used is None else used.output


def verdict_row(verdict: PairVerdict) -> dict[str, Any]:
    found = {f"reason_{order}": verdict.reasons.get(order) for order in ("candidate_first", "reference_first")}
    found |= {name: getattr(verdict.usage, name) for name in COUNTED}
    return {name: found[name] if name in found else getattr(verdict, name) for name in VERDICTS}
