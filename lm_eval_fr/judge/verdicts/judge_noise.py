"""The judge's noise floor: the reference against its own rerun, where the judge must find no winner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from lm_eval_fr.judge.verdicts.outcome import PairVerdict, count
from lm_eval_fr.stats import binomial_share, net_win_rate
from lm_eval_fr.stats.judging import JudgeNoise

ALPHA = 0.05


def judge_noise(verdicts: Iterable[PairVerdict], level: float = 0.95) -> JudgeNoise:
    """The verdicts on a run (as the candidate) against its own rerun (as the reference)."""
    judged = [verdict for verdict in verdicts if verdict.score is not None]
    counts = count(judged)
    scores = [verdict.score or 0 for verdict in judged]
    clusters = _codes([verdict.cluster or verdict.doc_hash for verdict in judged])
    preference = net_win_rate(scores, clusters=clusters, level=level)
    share = preference.win_share
    found = share.p_value is not None and share.p_value < ALPHA
    winner: Literal["run", "rerun"] | None = None
    if found:
        winner = "run" if counts.wins > counts.losses else "rerun"
    warnings = (
        (
            f"the judge prefers the {winner} of one arm against itself ({counts.wins} to {counts.losses}, "
            f"p = {share.p_value:.2g}): its verdicts on your two arms are biased in the same way",
        )
        if found
        else ()
    )
    return JudgeNoise(
        n=len(judged),
        counts={name: n for name, n in counts.outcomes.items() if n},
        decided=binomial_share(counts.decided, len(judged), level),
        first_run=share,
        net_win=preference.net_win.interval,
        winner=winner,
        warnings=warnings,
    )


def _codes(names: list[str]) -> list[int] | None:
    """Clusters as integers; None when each pair is its own."""
    index = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [index[name] for name in names] if len(index) < len(names) else None
