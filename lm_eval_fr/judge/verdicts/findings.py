"""What a judging found, written down: the verdicts, and the summary that says how far to trust them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.errors import JournalError
from lm_eval_fr.judge.asking.prompt import parse_reply
from lm_eval_fr.judge.asking.protocol import Profile, Rubric
from lm_eval_fr.judge.asking.worklist import Worklist
from lm_eval_fr.judge.live.asker import Halt
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary, Stopped, write_summary
from lm_eval_fr.judge.verdicts.judged_answers import answers_of
from lm_eval_fr.judge.verdicts.judged_pairs import Harvest, Judged
from lm_eval_fr.judge.verdicts.ledger import sum_usage
from lm_eval_fr.judge.verdicts.outcome import OutcomeCounts, PairVerdict, count, read_verdicts, write_verdicts
from lm_eval_fr.stats.judging import Usage

INVALID_SHARE = 0.02  # of the pairs; more unreadable replies than this are worth a warning


@dataclass
class Results:
    """What one judge's calls left in memory: pairs without texts. `waiting`: questions that a batch has."""

    pairs: list[Judged] = field(default_factory=list)
    canaries: list[Judged] = field(default_factory=list)
    rerun: list[Judged] = field(default_factory=list)
    halt: Halt | None = None
    stopped: Stopped | None = None
    spent: Usage = field(default_factory=Usage)
    waiting: int = 0

    def canary_report(self, lazy: bool) -> dict[str, Any]:
        from lm_eval_fr.judge.asking.controls import canary_report, load_canaries

        outcomes = {pair.doc_hash: pair.outcome(lazy) for pair in self.canaries}
        return _plain(canary_report(load_canaries(), outcomes))

    def warn_of_canaries(self, lazy: bool, say: Callable[[str], None]) -> None:
        for warning in self.canary_report(lazy)["warnings"]:
            say(f"warning: {warning}")


def write_findings(
    out: Path,
    results: Results,
    journal: Journal,
    profile: Profile,
    rubric: Rubric,
    options: JudgeOptions,
    work: Worklist,
    warnings: list[str],
    seconds: float,
) -> JudgeSummary:
    """Writes verdicts.jsonl and judge.json. `warnings` are those said so far; more are found here."""
    from lm_eval_fr.judge.verdicts.position import position_report

    harvest = Harvest(journal, profile, parse_reply, lazy=options.orders == "lazy")
    bare: list[PairVerdict] = []  # the figures below need every pair, and no text

    def verdicts() -> Iterator[PairVerdict]:
        for verdict in harvest.verdicts(results.pairs):
            bare.append(replace(verdict, reasons={}, usage={}))
            yield verdict

    with _disk(out):
        out.mkdir(parents=True, exist_ok=True)
        write_verdicts(out / "verdicts.jsonl", verdicts())
        controls = _controls(out, harvest, results, bare, options)
    counts = count(bare)
    position = _plain(position_report(bare))
    usage = harvest.ledger.usage()
    warnings = [*warnings, *_warnings_of(controls), *position["warnings"], *_trouble(counts, usage)]
    left = _left(counts, results)
    summary = JudgeSummary(
        profile=profile.name,
        model=profile.model,
        rubric=rubric.name,
        rubric_sha256=rubric.sha256,
        rubric_text=rubric.text,
        orders=options.orders,
        stop=options.stop,
        planned=work.n,
        counts=counts.outcomes,
        usage=usage,
        spent=results.spent,
        finished=left is None,
        left=left,
        remedy=results.halt.remedy if left and results.halt is not None else None,
        stopped=results.stopped,
        controls=controls,
        position=position,
        warnings=tuple(warnings),
        command=options.command,
        answers=answers_of(work.tasks),
        shutdown=profile.shutdown.isoformat() if profile.shutdown else None,
        seconds=seconds,
    )
    with _disk(out):
        write_summary(out / "judge.json", summary)
    return summary


def write_panel(out: Path, parts: Mapping[str, JudgeSummary]) -> JudgeSummary:
    """The majority's verdicts of judges that were written to OUT/panel, and a summary that adds their costs up."""
    from lm_eval_fr.judge.verdicts.panel import panel

    judged = panel({name: read_verdicts(out / "panel" / name) for name in parts})
    left = [f"{name}: {part.left}" for name, part in parts.items() if part.left]
    summary = replace(
        next(iter(parts.values())),
        profile="+".join(parts),
        model="+".join(part.model for part in parts.values()),
        counts=count(judged.verdicts).outcomes,
        usage=sum_usage(part.usage for part in parts.values()),
        spent=sum_usage(part.spent for part in parts.values()),
        finished=not left,
        left="; ".join(left) or None,
        remedy=next((part.remedy for part in parts.values() if part.remedy), None),
        controls={name: part.controls for name, part in parts.items()},
        position={name: part.position for name, part in parts.items()},
        panel={
            "judges": list(judged.judges),
            "agreement": _plain(judged.agreement),
            "unanimous": _plain(judged.unanimous),
        },
        warnings=tuple(f"{name}: {warning}" for name, part in parts.items() for warning in part.warnings),
        shutdown=min((part.shutdown for part in parts.values() if part.shutdown), default=None),
        seconds=sum(part.seconds for part in parts.values()),
    )
    with _disk(out):
        write_verdicts(out / "verdicts.jsonl", judged.verdicts)
        write_summary(out / "judge.json", summary)
    return summary


def _controls(
    out: Path, harvest: Harvest, results: Results, verdicts: list[PairVerdict], options: JudgeOptions
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if results.canaries:
        write_verdicts(out / "canary_verdicts.jsonl", harvest.verdicts(results.canaries))
        found["canaries"] = results.canary_report(harvest.lazy)
    if results.rerun:
        from lm_eval_fr.judge.asking.controls import judge_noise

        noise = list(harvest.verdicts(results.rerun))
        write_verdicts(out / "rerun_verdicts.jsonl", noise)
        found["noise"] = _plain(judge_noise(noise))
    if options.labels is not None:
        from lm_eval_fr.judge.verdicts.people import people, read_labels

        said = _plain(people(verdicts, read_labels(options.labels), harvest.profile.name))
        found["people"] = said.pop("agreement") | said
    return found


def _warnings_of(controls: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [warning for control in controls.values() for warning in control.get("warnings", ())]


def _trouble(counts: OutcomeCounts, usage: Usage) -> list[str]:
    found = []
    if counts.n and counts.outcomes["invalid"] > INVALID_SHARE * counts.n:
        found.append(
            f"{counts.outcomes['invalid']} of {counts.n} pairs got a reply without a verdict: see their reasons, and "
            "choose a judge that keeps to the form, or a higher output limit"
        )
    if usage.dollars is None:
        found.append(f"the cost is unknown: {usage.unknown}")
    return found


def _left(counts: OutcomeCounts, results: Results) -> str | None:
    """What is not judged yet, and why; None when all is."""
    missing = counts.outcomes["unjudged"]
    if not missing:
        return None
    why = results.halt.what if results.halt is not None else "their calls failed; see the reasons in verdicts.jsonl"
    if results.waiting:
        why = f"{results.waiting} questions wait for a batch" + (f"; {why}" if results.halt is not None else "")
    return f"{missing} of {counts.n} pairs are not judged: {why}"


def _plain(record: object) -> Any:
    """As it will be read back: lists and dictionaries."""
    return msgspec.json.decode(msgspec.json.encode(record))


class _disk:
    """A disk that fails while results are written: one line, and the replies are in the journal."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise JournalError(
                f"cannot be written: {error.strerror}",
                where=self._out,
                remedy="free space or give another --out; run again with --reparse: every reply is kept",
            ) from error
