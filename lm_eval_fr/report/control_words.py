"""What the judge's controls, its panel and people say, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import JudgeResult

CONTROLS = ("canaries", "noise", "people")


def sentences(judge: JudgeResult) -> list[tuple[str, str]]:
    """(what was controlled, what was found). Several judges of a panel have their controls under their names."""
    return [*_controls(judge.controls), *_panel(judge.panel)]


def _controls(controls: Mapping[str, Any], who: str = "") -> Iterator[tuple[str, str]]:
    said = {"canaries": _canaries, "noise": _noise, "people": _people}
    for name, found in controls.items():
        if not isinstance(found, Mapping):
            continue
        if name in CONTROLS:
            yield f"{name}{who}", said[name](found)
        else:
            yield from _controls(found, f", {name}")


def _canaries(found: Mapping[str, Any]) -> str:
    text = f"the real answer won {found.get('won')} of {found.get('judged')} against an empty, cut or off-topic one"
    gain = found.get("hostile_gain")
    return (
        text if gain is None else f"{text}; an instruction to the judge inside an answer gains {w.signed(gain)} points"
    )


def _noise(found: Mapping[str, Any]) -> str:
    net, winner = found.get("net_win") or {}, found.get("winner")
    interval = w.interval(net.get("low"), net.get("high"))
    verdict = f"it found a winner, the {winner}, where there is none" if winner else "no winner, as it should be"
    moved = f"{w.signed(net.get('estimate'))} points {interval} between two runs of one arm ({found.get('n')} pairs)"
    return f"{moved}: {verdict}"


def _people(found: Mapping[str, Any]) -> str:
    text, net = f"agrees with people {_agreement(found)}", (found.get("net_win") or {}).get("net_win") or {}
    if not isinstance(net.get("estimate"), float):
        return text
    interval = w.interval(net.get("low"), net.get("high"))
    return f"{text}; their own net win is {w.signed(net['estimate'])} points {interval} by PPI++: {found.get('whose')}"


def _agreement(found: Mapping[str, Any]) -> str:
    raw, kappa = found.get("raw") or {}, found.get("kappa")
    text = f"on {raw.get('count')} of {raw.get('of')} pairs ({w.percent(raw.get('share'), 0)}"
    return f"{text}, {w.interval(raw.get('low'), raw.get('high'), sign=False)}" + (
        f"; Cohen's kappa {kappa:.2f})" if isinstance(kappa, float) else ")"
    )


def _panel(panel: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    whole = panel.get("unanimous")
    if isinstance(whole, Mapping):
        yield "panel", f"unanimous on {whole.get('count')} of {whole.get('of')} pairs"
    for found in panel.get("agreement") or ():
        yield "panel", f"{found.get('first')} and {found.get('second')} agree {_agreement(found)}"
