"""What this study covers: which kinds of work its documents are, and what a verdict on them says about the others.

docs/tasks.md says which kinds rounding damages first, with the evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from lm_eval_fr.pairing import PairedTask
from lm_eval_fr.report import words as w

SHORT, OPEN_ENDED = "short answers", "open-ended answers"
# Parts of the names of tasks without `metadata.kind`: lm-eval's, and older ones of ours. The first match counts.
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("long context", ("long_context", "longbench", "ruler", "niah", "babilong", "infinitebench")),
    ("instructions", ("ifeval", "ifbench")),
    ("structure", ("structured", "json", "humaneval", "mbpp", "tool", "function")),
    ("reasoning", ("mgsm", "gsm", "math", "aime", "gpqa", "mmlu_pro", "mmlu_prox", "bbh", "cot", "drop", "musr")),
)
ALL = (SHORT, *(kind for kind, _ in KINDS), OPEN_ENDED)
WEAK = "Rounding to four bits damages short prompts with short answers least: this is weak evidence about {}."


def kind_of(task: PairedTask) -> str:
    """The task's `metadata.kind`, one of `ALL`; else by its name."""
    declared = task.sides[1].log.metadata.get("kind")
    if declared in ALL:
        return str(declared)
    name = task.task.lower()
    found = next((kind for kind, parts in KINDS if any(part in name for part in parts)), None)
    return found or (OPEN_ENDED if task.judged else SHORT)


def coverage_of(tasks: Sequence[PairedTask], verdict: str | None) -> str:
    """One or two sentences. verdict: over all."""
    documents = dict.fromkeys(ALL, 0)
    for task in tasks:
        documents[kind_of(task)] += task.n
    seen = [f"{kind} ({w.plural(n, 'document')})" for kind, n in documents.items() if n]
    unseen = [kind for kind, n in documents.items() if not n]
    if not seen:
        return ""
    said = f"Covered: {', '.join(seen)}" + (f"; not covered: {', '.join(unseen)}." if unseen else ".")
    weak = verdict == "non_inferior" and all(n == 0 for kind, n in documents.items() if kind != SHORT)
    return f"{said} {WEAK.format(', '.join(unseen))}" if weak else said
