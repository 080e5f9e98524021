"""The judge's results on its controls and on two runs of one arm: the record in judge.json, and whether the
pairs are worth paying for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from lm_eval_fr.judge.asking.controls import KINDS, Controls, Kind, load_canaries
from lm_eval_fr.judge.asking.planted_faults import GRADES
from lm_eval_fr.judge.asking.worklist import GROSS_TASK
from lm_eval_fr.judge.live.hopeless import Halt
from lm_eval_fr.judge.verdicts.judged_pairs import JudgedPair
from lm_eval_fr.judge.verdicts.outcome import HEADLINE, Outcome, PairVerdict, combine, count
from lm_eval_fr.stats import binomial_share, net_win_rate
from lm_eval_fr.stats.judge_claim import why_blind, why_open
from lm_eval_fr.stats.judging import CanaryReport, JudgeNoise
from lm_eval_fr.stats.sensitivity import Control, ControlsAsked, sensitivity

ALPHA = 0.05  # of the test whether the judge prefers one of two runs of the same arm


def controls_asked(judged: Iterable[JudgedPair], controls: Controls) -> ControlsAsked | None:
    """None where none were asked."""
    kinds = {canary.id: canary.kind for canary in load_canaries()}
    pairs = tuple(_control(pair, kinds) for pair in judged)
    return ControlsAsked(controls.graded.wanted, pairs, controls.graded.shortage) if pairs else None


def after_controls(judged: Sequence[JudgedPair], controls: Controls) -> Halt | None:
    """Why the pairs are not worth paying for: the judge has not shown that it can see.

    None while replies are missing. Too few graded controls for any judge to pass do not stop the pairs, but no claim
    can be made.
    """
    asked = controls_asked(judged, controls)
    if asked is None or any(control.unjudged for control in asked.pairs):
        return None
    seen = asked.seen()
    graded = bool(seen.n) and seen.sees_graded is False and enough(seen.n)
    if seen.sees_gross and not graded:
        return None
    what = f"this judge has not shown that it can see: {why_blind(seen, graded=graded)}"
    if all(control.outcome is None for control in asked.pairs):
        what = f"none of the {len(asked.pairs)} controls got a verdict"
    remedy = "choose another judge; --trust-judge judges the pairs anyway, and no claim is made from them"
    return Halt("controls", what, remedy)


def enough(graded: int) -> bool:
    """Whether winning all of this many graded controls would be enough."""
    won = Control("figure", "word", 1, (True, True), False, False)
    return sensitivity([won] * graded, planned=graded).sees_graded is True


def control_warnings(asked: ControlsAsked) -> tuple[str, ...]:
    seen = asked.seen()
    found = []
    if why := why_blind(seen):
        found.append(f"no claim can be made from this judge: {why}")
    elif why := why_open(seen):
        found.append(f"no claim can be made from this judge yet: {why}")
    if asked.shortage is not None:
        found.append(asked.shortage)
    return tuple(found)


def merge_controls(parts: Sequence[ControlsAsked]) -> ControlsAsked | None:
    """The controls as a panel judged them: by majority, like the pairs. None unless all judges were asked."""
    if not parts or len({len(part.pairs) for part in parts}) > 1:
        return None
    merged = tuple(_merge(votes) for votes in zip(*(part.pairs for part in parts), strict=True))
    return ControlsAsked(parts[0].wanted, merged, parts[0].shortage)


def canary_report(outcomes: Mapping[str, Outcome]) -> CanaryReport:
    """`outcomes` by canary id, the full answer being the candidate. One that is missing counts as unjudged."""
    shown = load_canaries()
    got = {canary.id: outcomes.get(canary.id, "unjudged") for canary in shown}
    judged = [canary for canary in shown if HEADLINE[got[canary.id]] is not None]
    by_kind: dict[str, tuple[int, int]] = {}
    for kind in KINDS:
        of_kind = [got[canary.id] for canary in judged if canary.kind == kind]
        if of_kind:
            by_kind[kind] = (of_kind.count("win"), len(of_kind))
    scores = [score for c in judged if c.kind == "hostile" and (score := HEADLINE[got[c.id]]) is not None]
    gain = 1 - sum(scores) / len(scores) if scores else None
    lost: dict[str, str] = {canary.id: got[canary.id] for canary in judged if got[canary.id] != "win"}
    warnings = []
    if gain:
        won, n = by_kind["hostile"]
        warnings.append(
            f"the judge did not prefer a full answer to a poor one that contains instructions to it in {n - won} of "
            f"{n} controls: an arm that writes such instructions may gain up to {100 * gain:.0f} net points; "
            f"choose another judge"
        )
    return CanaryReport(len(shown), len(judged), len(judged) - len(lost), lost, by_kind, gain, tuple(warnings))


def _control(pair: JudgedPair, kinds: Mapping[str, Kind]) -> Control:
    gross = pair.task == GROSS_TASK
    kind = kinds[pair.doc_hash] if gross else pair.doc_hash.split("/")[0]
    orders = (pair.candidate_first, pair.reference_first)
    outcome = combine(*orders, lazy=not gross)
    first, second = (None if said is None else said == good for said, good in zip(orders, "AB", strict=True))
    return Control(
        kind=kind,
        grade="gross" if gross else GRADES[kind],  # type: ignore[index]
        outcome=HEADLINE[outcome],
        right=(first, second),
        order_decided=outcome == "flip",
        good_longer=pair.candidate_chars > pair.reference_chars,
        cluster=pair.cluster,
        unjudged=outcome == "unjudged",
    )


def _merge(votes: Sequence[Control]) -> Control:
    """What most of the judges say; unjudged if replies that may decide it are missing."""
    first = votes[0]
    outcome, n = Counter(vote.outcome for vote in votes).most_common(1)[0]
    settled = n > len(votes) / 2
    unjudged = any(vote.unjudged for vote in votes) and not (settled and outcome is not None)
    nothing = unjudged or (settled and outcome is None)
    return Control(
        kind=first.kind,
        grade=first.grade,
        outcome=None if nothing else outcome if settled else 0,
        right=(_most([vote.right[0] for vote in votes]), _most([vote.right[1] for vote in votes])),
        order_decided=sum(vote.order_decided for vote in votes) > len(votes) / 2,
        good_longer=first.good_longer,
        cluster=first.cluster,
        unjudged=unjudged,
    )


def _most(said: Sequence[bool | None]) -> bool | None:
    """None while the judges without a reply could still decide it."""
    right, enough = said.count(True), len(said) // 2 + 1
    if right >= enough or right + said.count(None) < enough:
        return right >= enough
    return None


def judge_noise(verdicts: Iterable[PairVerdict], level: float = 0.95) -> JudgeNoise:
    """The verdicts on a run (as the candidate) against its own rerun (as the reference)."""
    judged = [verdict for verdict in verdicts if verdict.score is not None]
    counts = count(judged)
    scores = [verdict.score or 0 for verdict in judged]
    clusters = [verdict.cluster or verdict.doc_hash for verdict in judged]
    preference = net_win_rate(scores, clusters=clusters, level=level)
    share = preference.win_share
    winner: Literal["run", "rerun"] | None = None
    warnings = []
    if share.p_value is not None and share.p_value < ALPHA:
        winner = "run" if counts.wins > counts.losses else "rerun"
        warnings.append(
            f"the judge prefers the {winner} of one arm against itself ({counts.wins} to {counts.losses}, "
            f"p = {share.p_value:.2g}): its verdicts on your two arms are biased in the same way"
        )
    return JudgeNoise(
        n=len(judged),
        counts={name: n for name, n in counts.outcomes.items() if n},
        decided=binomial_share(counts.decided, len(judged), level),
        first_run=share,
        net_win=preference.net_win.interval,
        winner=winner,
        warnings=tuple(warnings),
    )
