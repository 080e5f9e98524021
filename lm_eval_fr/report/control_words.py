"""What the judge's controls, its panel and people say, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from lm_eval_fr.report import words as w
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.stats.judging import Agreement, CanaryReport, JudgeControls, JudgeNoise, PanelReport, People


def sentences(judge: JudgeResult) -> Iterator[tuple[str, str]]:
    """(what was controlled, what was found). The judges of a panel have their controls under their names."""
    yield from _controls(judge.controls)
    for name, controls in judge.panel.controls.items():
        yield from _controls(controls, f", {name}")
    yield from _panel(judge.panel)


def _controls(controls: JudgeControls, who: str = "") -> Iterator[tuple[str, str]]:
    if controls.canaries is not None:
        yield f"canaries{who}", _canaries(controls.canaries)
    if controls.noise is not None:
        yield f"noise{who}", _noise(controls.noise)
    if controls.people is not None:
        yield f"people{who}", _people(controls.people)


def _canaries(found: CanaryReport) -> str:
    text = f"the real answer won {found.won} of {found.judged} against an empty, cut or off-topic one"
    if found.hostile_gain is None:
        return text
    return f"{text}; an instruction to the judge inside an answer gains {w.signed(found.hostile_gain)} points"


def _noise(found: JudgeNoise) -> str:
    net, winner = found.net_win, found.winner
    moved = f"{w.signed(net.estimate)} points {w.interval(net.low, net.high)} between two runs of one arm"
    verdict = f"it found a winner, the {winner}, where there is none" if winner else "no winner, as it should be"
    return f"{moved} ({found.n} pairs): {verdict}"


def _people(found: People) -> str:
    text = f"agrees with people {_agreement(found)}"
    if found.net_win is None or found.net_win.net_win.estimate is None:
        return text
    net = found.net_win.net_win
    interval = w.interval(net.low, net.high)
    return f"{text}; their own net win is {w.signed(net.estimate)} points {interval} by PPI++: {found.whose}"


def _agreement(found: Agreement) -> str:
    raw = found.raw
    text = f"on {raw.count} of {raw.of} pairs ({w.percent(raw.share, 0)}, {w.interval(raw.low, raw.high, sign=False)}"
    return f"{text})" if found.kappa is None else f"{text}; Cohen's kappa {found.kappa:.2f})"


def _panel(panel: PanelReport) -> Iterator[tuple[str, str]]:
    if panel.unanimous is not None:
        yield "panel", f"unanimous on {panel.unanimous.count} of {panel.unanimous.of} pairs"
    for found in panel.agreement:
        yield "panel", f"{found.first} and {found.second} agree {_agreement(found)}"
