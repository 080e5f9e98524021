"""A judge's folder as `lm-eval-fr judge` leaves it, from a list of outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lm_eval_fr.judge.asking.protocol import Order
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary, write_summary
from lm_eval_fr.judge.verdicts.outcome import Judgement, Outcome, PairVerdict, count, write_verdicts
from lm_eval_fr.pairing import PairedTask
from lm_eval_fr.stats.judging import Tokens, Usage
from lm_eval_fr.stats.sensitivity import Control, ControlsAsked

ORDERS: dict[Outcome, tuple[Judgement, Judgement]] = {
    "win": ("A", "B"),
    "loss": ("B", "A"),
    "tie": ("tie", "tie"),
    "flip": ("A", "A"),
    "split": ("tie", "A"),
    "identical": (None, None),
    "invalid": ("A", "invalid"),
    "refused": ("refused", None),
    "unjudged": (None, None),
}
SEES = ControlsAsked(
    40,
    tuple(
        Control(kind, grade, 1, (True, True), False, bool(i % 2))
        for kind, grade, n in (("empty", "gross", 14), ("figure", "word", 20), ("dropped", "sentence", 20))
        for i in range(n)
    ),
)
"""The controls of a judge that sees everything."""
SEED_STUDY: tuple[Outcome, ...] = ("win",) * 50 + ("loss",) * 40 + ("tie",) * 21 + ("flip",) * 29 + ("split",) * 10


def exchanged(verdict: PairVerdict) -> PairVerdict:
    """The same verdict with the names of the two arms exchanged."""
    swap: dict[Outcome, Outcome] = {"win": "loss", "loss": "win"}
    other: dict[str, Order] = {"candidate_first": "reference_first", "reference_first": "candidate_first"}
    return PairVerdict(
        task=verdict.task,
        doc_id=verdict.doc_id,
        doc_hash=verdict.doc_hash,
        outcome=swap.get(verdict.outcome, verdict.outcome),
        candidate_first=verdict.reference_first,
        reference_first=verdict.candidate_first,
        reasons={other[order]: reason for order, reason in verdict.reasons.items()},
        usage=verdict.usage,
        candidate_chars=verdict.reference_chars,
        reference_chars=verdict.candidate_chars,
        cluster=verdict.cluster,
        repeats={other[order]: judgements for order, judgements in verdict.repeats.items()},
        cautions=verdict.cautions,
    )


def verdicts_on(task: PairedTask, outcomes: Sequence[Outcome], **fields: Any) -> list[PairVerdict]:
    """One verdict for each of the task's first documents."""
    return [
        PairVerdict(
            task.task,
            int(task.doc_ids[i]),
            task.doc_hashes[i],
            outcome,
            *ORDERS[outcome],
            reasons={"candidate_first": f"raison {i}", "reference_first": f"autre raison {i}"},
            candidate_chars=100 + i % 7,
            reference_chars=103,
            **fields,
        )
        for i, outcome in enumerate(outcomes)
    ]


def judge_folder(folder: Path, verdicts: Sequence[PairVerdict], **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    live = Tokens(calls=300, input_tokens=900_000, cached_tokens=400_000, output_tokens=30_000, dollars=1.5)
    usage = Usage(live=live, dollars=1.5)
    summary: dict[str, Any] = {
        "controls_asked": SEES,
        "profile": "gpt-4.1",
        "model": "gpt-4.1-2025-04-14",
        "rubric": "analyses_fr",
        "rubric_sha256": "ab" * 32,
        "rubric_text": "Compare les deux analyses.",
        "orders": "both",
        "stop": "never",
        "planned": len(verdicts),
        "counts": count(verdicts).outcomes,
        "usage": usage,
        "spent": usage,
        "finished": True,
    }
    summary["verdicts_sha256"] = write_verdicts(folder / "verdicts.jsonl", verdicts)
    write_summary(folder / "judge.json", JudgeSummary(**(summary | changes)))
    return folder
