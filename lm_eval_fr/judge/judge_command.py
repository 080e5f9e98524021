"""`lm-eval-fr judge`: two runs and options in, verdicts on disk and a few lines for people out."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import UsageError, check_options
from lm_eval_fr.io.streams import say_on_stderr
from lm_eval_fr.judge.options import WITH_FILE, BatchAction, JudgeOptions
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
from lm_eval_fr.judge.verdicts.outcome import TIES, UNDECIDED
from lm_eval_fr.pairing import Pairing, pair_runs

Show = Callable[[str], None]


def judge(
    candidate: str | Path,
    reference: str | Path,
    *,
    out: str | Path = "judge-out",
    reference_rerun: str | Path | None = None,
    tasks: Collection[str] | None = None,
    allow: Collection[str] = (),
    metrics: Mapping[str, str] | None = None,
    filters: Mapping[str, str] | None = None,
    quiet: bool = False,
    **options: Any,
) -> JudgeSummary:
    """Judges the open-ended answers of two runs and returns the summary; rerun with the same `out` to resume.

    reference_rerun: a second run of the reference, judged against the first for the judge's noise floor.
    options: those of `JudgeOptions`, named as the flags of `lm-eval-fr judge`; one profile or several.
    The summary's `finished` is False if the budget or the server ended it: call it again to resume.
    Raises UsageError, InputError, JudgeError, JournalError.
    """
    check_options("judge", options, JudgeOptions)
    if isinstance(options.get("profile"), (str, Path)):
        options["profile"] = (str(options["profile"]),)
    chosen = {"tasks": tasks, "allow": allow, "metrics": metrics, "filters": filters}
    pairing = pair_runs(candidate, reference, **chosen)  # type: ignore[arg-type]
    rerun = None if reference_rerun is None else pair_runs(reference_rerun, reference, **chosen)  # type: ignore[arg-type]
    from lm_eval_fr.judge.session import judge_runs

    given = JudgeOptions(**options)
    return judge_runs(pairing, Path(out), given, rerun=rerun, progress=not quiet, say=say_on_stderr)


def judge_command(
    pairing: Pairing,
    out: Path,
    options: JudgeOptions,
    *,
    rerun: Pairing | None,
    batch: BatchAction | None,
    file: Path | None,
    estimate: bool,
    quiet: bool,
    show: Show,
    say: Show,
) -> None:
    """Judges, does one step of a batch, or estimates the cost; shows the result.

    Raises Unfinished if something is left, UsageError for flags that exclude each other.
    """
    _check(batch, file, estimate)
    if estimate:
        from lm_eval_fr.judge.estimate import estimate_runs

        show("\n\n".join(found.text() for found in estimate_runs(pairing, out, options, rerun)))
        return
    said: list[str] = []

    def tell(message: str) -> None:
        said.append(message)
        say(message)

    from lm_eval_fr.judge.session import check_finished, judge_runs

    if batch is None:
        summary: JudgeSummary | None = judge_runs(pairing, out, options, rerun=rerun, progress=not quiet, say=tell)
    else:
        from lm_eval_fr.judge.batch.batch_session import judge_by_batch

        name, file = (str(file), None) if batch == "abandon" and file is not None else (None, file)
        summary = judge_by_batch(pairing, out, options, batch, file=file, name=name, rerun=rerun, say=tell)
    if summary is None:
        return
    if not quiet:
        show("\n".join(lines_of(summary, pairing, out, said)))
    check_finished(summary, out)


def _check(batch: BatchAction | None, file: Path | None, estimate: bool) -> None:
    if batch != "abandon" and (batch in WITH_FILE) != (file is not None):
        what = f"--batch {batch} needs a file" if batch in WITH_FILE else f"{file}: unexpected third argument"
        raise UsageError(what, remedy="CANDIDATE REFERENCE --batch write FILE, and read FILE")
    if estimate and batch:
        raise UsageError("--estimate makes no calls, but --batch does", remedy="give one of them")


def lines_of(summary: JudgeSummary, pairing: Pairing, out: Path, said: Collection[str] = ()) -> Iterator[str]:
    """The summary for people at the end of judging. said: what they were already told."""
    counts = summary.counts
    wins, losses = counts.get("win", 0), counts.get("loss", 0)
    tied = {kind: counts.get(kind, 0) for kind in TIES}
    yield f"judge {summary.model}, rubric {summary.rubric}, orders {summary.orders}: {summary.planned:,} pairs"
    ties = ", ".join(f"{number} {kind}" for kind, number in tied.items())
    yield f"  {wins} wins, {sum(tied.values())} ties ({ties}), {losses} losses"
    apart = [f"{number:,} {outcome}" for outcome in UNDECIDED if (number := counts.get(outcome, 0))]
    if apart:
        yield f"  not counted as ties: {', '.join(apart)}"
    if summary.stopped is not None:
        stopped = summary.stopped
        decision = stopped.decision.replace("_", "-")
        yield f"  stopped after {stopped.pairs:,} of {stopped.pairs_planned:,} pairs: {decision} is decided"
    yield f"  {_cost(summary)}"
    for warning in summary.warnings:
        if (line := f"warning: {warning}") not in said:
            yield f"  {line}"
    arms = [str(pairing.candidate.path), str(pairing.reference.path)]
    yield f"next: {shlex.join(['lm-eval-fr', 'compare', *arms, '--judge', str(out)])}"


def _cost(summary: JudgeSummary) -> str:
    usage, parts = summary.usage, []
    for name, used in (("live", usage.live), ("batch", usage.batch)):
        cached = f" ({100 * used.cached_tokens / used.input_tokens:.0f} % cached)" if used.input_tokens else ""
        if used.calls:
            parts.append(
                f"{used.calls:,} {name} calls, {used.input_tokens:,} tokens in{cached}, {used.output_tokens:,} out"
            )
    if not parts:
        return "no call"
    total = f"unknown ({usage.unknown})" if usage.dollars is None else f"${usage.dollars:.2f}"
    if usage.lost_dollars:
        total += f", of which ${usage.lost_dollars:.2f} for failed calls"
    return f"{'; '.join(parts)}; cost {total}"
