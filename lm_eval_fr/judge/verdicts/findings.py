"""Writes the results of judging: the verdicts, and a summary that says how far to trust them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lm_eval_fr.errors import JournalError, UsageError
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.judge.asking.controls import Controls
from lm_eval_fr.judge.asking.judge_instructions import PROMPT_VERSION
from lm_eval_fr.judge.asking.protocol import Rubric
from lm_eval_fr.judge.asking.worklist import GROSS_TASK, Work
from lm_eval_fr.judge.live.hopeless import Halt
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.verdicts.control_results import (
    canary_report,
    control_warnings,
    controls_asked,
    judge_noise,
    merge_controls,
)
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.judge_summary import FILE, JournalMark, JudgeSummary, Stopped, answers_of, write_summary
from lm_eval_fr.judge.verdicts.judged_pairs import Harvest, JudgedPair
from lm_eval_fr.judge.verdicts.ledger import sum_usage
from lm_eval_fr.judge.verdicts.outcome import (
    VERDICT_FILE,
    Outcome,
    OutcomeCounts,
    PairVerdict,
    count,
    read_verdicts,
    write_verdicts,
)
from lm_eval_fr.stats.judging import JudgeControls, PairUsage, Usage
from lm_eval_fr.stats.sensitivity import ControlsAsked

CONTROL_FILE = "control_verdicts.jsonl"
TROUBLE_SHARE = 0.02  # share of pairs without a verdict that is worth a warning


@dataclass
class JudgingResults:
    """What one judge's calls left in memory: pairs without texts. `waiting`: questions in a batch."""

    pairs: list[JudgedPair] = field(default_factory=list)
    controls: Controls = field(default_factory=Controls)
    asked: list[JudgedPair] = field(default_factory=list)  # the controls, as far as they were asked
    rerun: list[JudgedPair] = field(default_factory=list)
    halt: Halt | None = None
    stopped: Stopped | None = None
    spent: Usage = field(default_factory=Usage)
    waiting: int = 0


def write_findings(
    out: Path,
    results: JudgingResults,
    harvest: Harvest,
    rubric: Rubric,
    options: JudgeOptions,
    work: Work,
    seconds: float,
) -> JudgeSummary:
    """Writes verdicts.jsonl and judge.json."""
    from lm_eval_fr.judge.verdicts.position import position_report

    profile, journal, redactor = harvest.profile, harvest.lives.journal, Redactor.from_environment()
    bare: list[PairVerdict] = []  # the figures below need every pair but no text

    def verdicts() -> Iterator[PairVerdict]:
        for verdict in map(harvest.verdict, results.pairs):
            bare.append(replace(verdict, reasons={}, usage=PairUsage()))
            # A key split over two parts of a reply is complete only in the joined text.
            yield replace(verdict, reasons={order: redactor.exact(said) for order, said in verdict.reasons.items()})

    with _disk(out):
        out.mkdir(parents=True, exist_ok=True)
        digest = write_verdicts(out / VERDICT_FILE, verdicts())
        controls = _controls(out, harvest, results, bare, options)
        asked = controls_asked(results.asked, results.controls)
    counts = count(bare)
    position = position_report(bare, options.level)
    usage = harvest.ledger.usage()
    warnings = [*(control_warnings(asked) if asked is not None else ()), *controls.warnings]
    warnings += [*position.warnings, *_trouble(bare, counts, usage)]
    left, remedy = _left(counts, asked, results)
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
        remedy=remedy,
        stopped=results.stopped,
        controls=controls,
        controls_asked=asked,
        prompt_version=PROMPT_VERSION,
        position=position,
        warnings=tuple(warnings),
        command=redactor.message(options.command),
        answers=answers_of(work.tasks),
        shutdown=profile.shutdown.isoformat() if profile.shutdown else None,
        successor=profile.successor,
        seconds=seconds,
        journal=JournalMark(journal.name, journal.count()),
        verdicts_sha256=digest,
    )
    with _disk(out):
        write_summary(out / FILE, summary)
    return summary


def write_panel(out: Path, parts: Mapping[str, JudgeSummary], journal: Journal, level: float) -> JudgeSummary:
    """The majority's verdicts of judges that were written to OUT/panel, and a summary that adds their costs up."""
    from lm_eval_fr.judge.verdicts.panel import panel
    from lm_eval_fr.judge.verdicts.position import position_report

    report, verdicts = panel({name: read_verdicts(out / "panel" / name) for name in parts}, level)
    left = [f"{name}: {part.left}" for name, part in parts.items() if part.left]
    summary = replace(
        next(iter(parts.values())),
        profile="+".join(parts),
        model="+".join(part.model for part in parts.values()),
        counts=count(verdicts).outcomes,
        usage=sum_usage(part.usage for part in parts.values()),
        spent=sum_usage(part.spent for part in parts.values()),
        finished=not left,
        left="; ".join(left) or None,
        remedy=next((part.remedy for part in parts.values() if part.remedy), None),
        controls=JudgeControls(),
        controls_asked=merge_controls([part.controls_asked for part in parts.values() if part.controls_asked]),
        position=position_report(verdicts, level),
        panel=replace(report, controls={name: part.controls for name, part in parts.items()}),
        warnings=tuple(f"{name}: {warning}" for name, part in parts.items() for warning in part.warnings),
        shutdown=min((part.shutdown for part in parts.values() if part.shutdown), default=None),
        seconds=sum(part.seconds for part in parts.values()),
        journal=JournalMark(journal.name, journal.count()),
    )
    with _disk(out):
        summary = replace(summary, verdicts_sha256=write_verdicts(out / VERDICT_FILE, verdicts))
        write_summary(out / FILE, summary)
    return summary


def _controls(
    out: Path, harvest: Harvest, results: JudgingResults, verdicts: list[PairVerdict], options: JudgeOptions
) -> JudgeControls:
    canaries, noise, said = None, None, None
    if results.asked:
        write_verdicts(out / CONTROL_FILE, map(harvest.verdict, results.asked))
        canaries = canary_report(
            {pair.doc_hash: pair.outcome(False) for pair in results.asked if pair.task == GROSS_TASK}
        )
    if results.rerun:
        rerun = [harvest.verdict(pair) for pair in results.rerun]
        write_verdicts(out / "rerun_verdicts.jsonl", rerun)
        noise = judge_noise(rerun, options.level)
    if options.labels is not None:
        from lm_eval_fr.judge.verdicts.people import people, read_labels

        said = people(verdicts, read_labels(options.labels), harvest.profile.name, options.level)
    return JudgeControls(canaries, noise, said)


def _trouble(verdicts: Sequence[PairVerdict], counts: OutcomeCounts, usage: Usage) -> Iterator[str]:
    asked_in_vain: tuple[tuple[Outcome, str], ...] = (
        ("invalid", "choose a judge that follows the format, or raise the output limit; --retry-invalid asks again"),
        ("refused", "another judge may accept them"),
    )
    for outcome, remedy in asked_in_vain:
        number = counts.outcomes[outcome]
        if number > TROUBLE_SHARE * counts.n:
            yield f"{number:,} of {counts.n:,} pairs are {outcome}, see their reasons in verdicts.jsonl: {remedy}"
    if cut := [verdict for verdict in verdicts if verdict.cautions]:
        first = ", ".join(f"{verdict.task}/{verdict.doc_id}" for verdict in cut[:3])
        yield (
            f"the server cut the prompts of {len(cut):,} pairs (first: {first}), and the judge saw only a part: "
            "raise its context length, or set `context` in a copy of the profile to the tokens that it reads"
        )
    if usage.dollars is None:
        yield f"the cost is unknown: {usage.unknown}"
    elif usage.without_usage:
        yield f"{usage.without_usage:,} replies did not report their usage: each counts at its greatest possible cost"


def _left(counts: OutcomeCounts, asked: ControlsAsked | None, results: JudgingResults) -> tuple[str | None, str | None]:
    """What is not judged yet and why, and the remedy; None if everything is."""
    missing, of, what, where = counts.outcomes["unjudged"], counts.n, "pairs", VERDICT_FILE
    if not missing and asked is not None:
        missing, of = sum(control.unjudged for control in asked.pairs), len(asked.pairs)
        what, where = "controls", CONTROL_FILE
    halt, waiting = results.halt, f"{results.waiting:,} questions wait for a batch" if results.waiting else None
    if waiting and (halt is None or halt.why == "no calls"):
        why, remedy = waiting, "--batch collect when it is finished, or give it up: --batch abandon"
    elif halt is None:
        why, remedy = f"their calls failed; see the reasons in {where}", None
    else:
        why, remedy = f"{waiting}; {halt.what}" if waiting else halt.what, halt.remedy
    if missing:
        return f"{missing:,} of {of:,} {what} are not judged: {why}", remedy
    return (waiting, remedy) if waiting else (None, None)


@contextmanager
def _disk(out: Path) -> Iterator[None]:
    """A disk failure while results are written: one line; the replies are in the journal."""
    remedy = "free space or give another --out; rerun with --reparse: every reply is kept"
    try:
        yield
    except OSError as error:
        raise JournalError(f"cannot be written: {error.strerror}", where=out, remedy=remedy) from error
    except UsageError as error:
        raise JournalError(error.what, where=error.where, remedy=remedy) from error
