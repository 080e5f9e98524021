"""Is the judge fit to judge? Pairs with a known answer, asked before money is spent, and pairs without a difference.

Canaries: a full answer against an empty, cut, foreign, strayed or invented one, and against a poor one that orders the
judge to prefer it. The full answer must win them all. Noise floor: the reference against its own rerun, where the judge
must find no winner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.judge.verdicts.outcome import HEADLINE, Outcome, PairVerdict, count
from lm_eval_fr.stats import Interval, Proportion, binomial_share, net_win_rate

Kind = Literal["empty", "cut", "wrong_language", "off_topic", "invented", "hostile"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CANARIES = Path(__file__).resolve().parents[2] / "demo" / "canaries.jsonl"
CANARY_TASK = "canary"  # the task name of a canary's verdict; its doc_hash is the canary's id
ALPHA = 0.05


class Canary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pair whose better answer is known."""

    id: str
    kind: Kind
    instruction: str
    text: str
    good: str
    bad: str

    @property
    def task_text(self) -> str:
        return f"{self.instruction}\n\n{self.text}"


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """`won`: canaries whose full answer won in both orders. `lost`: ids of the others that were judged.

    `hostile_gain`: what an arm would gain in net win (0 to 2) by writing an order to the judge into poor answers; 0 for
    a judge that obeys none, None when no hostile canary was judged.
    """

    n: int
    judged: int
    won: int
    lost: Mapping[str, Outcome]
    by_kind: Mapping[Kind, tuple[int, int]]  # won, judged
    hostile_gain: float | None
    warnings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.won == self.n


@dataclass(frozen=True, slots=True)
class JudgeNoise:
    """The judge on two runs of one arm. `winner` is the run that it prefers where there is nothing to prefer."""

    n: int
    counts: Mapping[Outcome, int]
    decided: Proportion  # pairs in which it saw a difference between two answers of one arm
    first_run: Proportion  # of those, the ones that the first run won
    net_win: Interval
    winner: Literal["run", "rerun"] | None
    warnings: tuple[str, ...]


def load_canaries(path: Path = CANARIES) -> tuple[Canary, ...]:
    """The shipped canaries, or the user's: one JSON object a line."""
    decode = msgspec.json.Decoder(Canary).decode
    found: dict[str, Canary] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"no canaries to read: {error.strerror}", where=path) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            canary = decode(line)
        except msgspec.DecodeError as error:
            remedy = f"each line has {', '.join(Canary.__struct_fields__)}"
            raise InputError(f"not a canary: {error}", where=path, line=number, remedy=remedy) from error
        if canary.id in found:
            raise InputError(f"two canaries are called {canary.id}", where=path, line=number, remedy="rename one")
        found[canary.id] = canary
    if not found:
        raise InputError("holds no canary", where=path)
    return tuple(found.values())


def canary_report(canaries: Iterable[Canary], outcomes: Mapping[str, Outcome]) -> CanaryReport:
    """`outcomes` by canary id, the full answer being the candidate. One that is missing counts as unjudged."""
    shown = list(canaries)
    got = {canary.id: outcomes.get(canary.id, "unjudged") for canary in shown}
    judged = [canary for canary in shown if HEADLINE[got[canary.id]] is not None]
    by_kind: dict[Kind, tuple[int, int]] = {}
    for kind in KINDS:
        of_kind = [got[canary.id] for canary in judged if canary.kind == kind]
        if of_kind:
            by_kind[kind] = (of_kind.count("win"), len(of_kind))
    scores = [score for c in judged if c.kind == "hostile" and (score := HEADLINE[got[c.id]]) is not None]
    gain = 1 - sum(scores) / len(scores) if scores else None
    lost = {canary.id: got[canary.id] for canary in judged if got[canary.id] != "win"}
    won = len(judged) - len(lost)
    warnings = _canary_warnings(shown, len(judged), lost, by_kind, gain)
    return CanaryReport(len(shown), len(judged), won, lost, by_kind, gain, warnings)


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


def _canary_warnings(
    shown: list[Canary],
    judged: int,
    lost: Mapping[str, Outcome],
    by_kind: Mapping[Kind, tuple[int, int]],
    gain: float | None,
) -> tuple[str, ...]:
    warnings = []
    if judged < len(shown):
        warnings.append(
            f"{len(shown) - judged} of {len(shown)} canaries got no verdict: the judge's fitness is unknown"
        )
    plain = Counter(outcome for c in shown if c.kind != "hostile" and (outcome := lost.get(c.id)) is not None)
    if plain:
        ids = ", ".join(c.id for c in shown if c.kind != "hostile" and c.id in lost)
        warnings.append(
            f"the judge did not prefer a full answer to an empty, cut, foreign, strayed or invented one in "
            f"{plain.total()} of {sum(n for kind, (_, n) in by_kind.items() if kind != 'hostile')} canaries ({ids}): "
            "do not trust its verdicts, choose another judge"
        )
    if gain:
        won, n = by_kind["hostile"]
        warnings.append(
            f"the judge did not prefer a full answer to a poor one that gives it orders in {n - won} of {n} canaries: "
            f"an arm that writes such orders may gain up to {100 * gain:.0f} net points; choose another judge"
        )
    return tuple(warnings)


def _codes(names: list[str]) -> list[int] | None:
    """Clusters as integers; None when each pair is its own."""
    index = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [index[name] for name in names] if len(index) < len(names) else None
