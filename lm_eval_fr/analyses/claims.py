"""Published tables checked against two runs: which of their differences hold here, which do not, which are undecidable.

A claim is the published difference. It is contradicted when the measured interval is farther from it than the
publication's rounding and own sampling error explain; compatible when the whole interval lies within its tolerance;
undecidable otherwise, with the number of documents that would decide it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from lm_eval_fr.analyses.claims_model import ClaimResult, Claims, Source, Status
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.io.reading import convert, read_yaml
from lm_eval_fr.pairing import PairedTask, clusters_over
from lm_eval_fr.report import words as w
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.stats import (
    Interval,
    Spread,
    documents_for_margin,
    judge_spread,
    net_win_rate,
    paired_difference,
    pilot_spread,
)
from lm_eval_fr.stats.distributions import normal_point
from lm_eval_fr.tasklib.definitions import claims_dir

POINT = 0.01  # the smallest tolerance: published differences are no more precise
EXACT = 1e-9
EACH_SIDE = 0.9  # both ends of the interval within the tolerance, with a joint power of 80 %
REMEDY = "claims/README.md shows a whole file"

Count = Annotated[int, msgspec.Meta(ge=0)]


class JudgedCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    wins: Count
    ties: Count
    losses: Count


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the published table."""

    name: str
    task: str | tuple[str, ...] | None = None
    judge: JudgedCounts | None = None
    untested: str = ""
    metric: str | None = None
    candidate: float | None = None
    reference: float | None = None
    scale: Literal["percent", "fraction"] = "percent"
    decimals: Count = 1
    documents: int | None = None
    tolerance: float | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        return (self.task,) if isinstance(self.task, str) else self.task or ()


class Published(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    source: Source
    candidate: str
    reference: str
    claims: tuple[Row, ...]
    settings: str = ""


@dataclass(frozen=True)
class MeasuredDifference:
    """What the runs say about one claim. needed: documents for a tolerance, by the data's own spread."""

    interval: Interval
    candidate_mean: float | None
    reference_mean: float | None
    spread: Spread | None
    metric: str | None


@dataclass(frozen=True)
class PublishedDifference:
    """What was published, in fractions. error: standard error of the published difference, as far as it is known."""

    difference: float
    candidate: float | None
    reference: float | None
    rounding: float
    error: float
    tolerance: float


def find_claims(given: str) -> Published:
    """A file, or the name of a table that ships with the package. Raises UsageError and InputError."""
    path = Path(given)
    if not path.is_file():
        shipped = claims_dir() / f"{given}.yaml"
        if path.suffix or path.parent != Path() or not shipped.is_file():
            known = ", ".join(sorted(one.stem for one in claims_dir().glob("*.yaml")))
            raise UsageError(f"{given}: no such file or table", where="--claims", remedy=f"a file, or one of {known}")
        path = shipped
    return read_claims(path)


def read_claims(path: Path) -> Published:
    """Raises InputError, with the line where YAML knows it."""
    found = convert(read_yaml(path, remedy=REMEDY), Published, what="a table of claims", where=path, remedy=REMEDY)
    if not found.claims:
        raise InputError("no claims", where=path, remedy=REMEDY)
    for row in found.claims:
        if wrong := next(_mistakes(row), None):
            raise InputError(f"{row.name}: {wrong}", where=path, remedy=REMEDY)
    return found


def _mistakes(row: Row) -> Iterator[str]:
    most = 100.0 if row.scale == "percent" else 1.0
    if row.judge is not None and row.judge.wins + row.judge.ties + row.judge.losses < 2:
        yield "no judged pairs"
    if bool(row.tasks) + (row.judge is not None) + bool(row.untested) != 1:
        yield "give one of task, judge and untested"
    if row.tasks and (row.candidate is None or row.reference is None):
        yield "the candidate's or the reference's score is missing"
    for name, score in (("candidate", row.candidate), ("reference", row.reference)):
        if score is not None and not 0 <= score <= most:
            yield f"{name} {score:g} is not between 0 and {most:g} (scale: {row.scale})"
    if row.tolerance is not None and not 0 < row.tolerance <= most:
        yield f"tolerance {row.tolerance:g} is not above 0"


def check_claims(
    published: Published, tasks: Sequence[PairedTask], judge: JudgeResult | None, *, level: float
) -> Claims:
    """Checks every row against the runs. Raises UsageError for a row whose task was not run."""
    return Claims(
        title=published.title,
        source=published.source,
        candidate=published.candidate,
        reference=published.reference,
        settings=published.settings,
        results=tuple(_result(row, tasks, judge, level) for row in published.claims),
        level=level,
    )


def _result(row: Row, tasks: Sequence[PairedTask], judge: JudgeResult | None, level: float) -> ClaimResult:
    claimed = claimed_of(row, level)
    if row.untested or claimed is None:
        return ClaimResult(
            name=row.name,
            claimed=claimed.difference if claimed else None,
            claimed_candidate=claimed.candidate if claimed else None,
            claimed_reference=claimed.reference if claimed else None,
            tolerance=claimed.tolerance if claimed else None,
            status="untested",
            benchmark=row.documents,
            sentence=f"not tested: {row.untested}.",
        )
    if row.judge is not None:
        return _held(row, "judge", claimed, _of_judge(row, judge), level)
    chosen = _chosen(row, tasks)
    name = chosen[0].task if len(chosen) == 1 else f"{row.tasks[0]} ({len(chosen)} tasks)"
    return _held(row, name, claimed, _of_tasks(row, chosen, level), level)


def claimed_of(row: Row, level: float) -> PublishedDifference | None:
    if row.judge is not None:
        n = row.judge.wins + row.judge.ties + row.judge.losses
        outcomes = np.repeat([1.0, 0.0, -1.0], [row.judge.wins, row.judge.ties, row.judge.losses])
        difference = (row.judge.wins - row.judge.losses) / n
        error = float(outcomes.std(ddof=1)) / math.sqrt(n)
        interval = net_win_rate(outcomes, level=level).net_win.interval
        ends = [abs(end - difference) for end in (interval.low, interval.high) if end is not None]
        return PublishedDifference(
            difference, None, None, 0.0, error, row.tolerance or max(abs(difference), POINT, *ends)
        )
    if row.candidate is None or row.reference is None:
        return None
    scale = 100.0 if row.scale == "percent" else 1.0
    candidate, reference = row.candidate / scale, row.reference / scale
    difference = round(row.candidate - row.reference, 10) / scale
    rounding = 10.0**-row.decimals / scale  # half a unit of the last digit in each of two scores
    tolerance = max(abs(difference), POINT, rounding) if row.tolerance is None else row.tolerance / scale
    return PublishedDifference(difference, candidate, reference, rounding, 0.0, tolerance)


def _chosen(row: Row, tasks: Sequence[PairedTask]) -> list[PairedTask]:
    """The tasks of the first name or pattern that was run."""
    for name in row.tasks:
        found = [task for task in tasks if fnmatchcase(task.task, name) and task.scored and task.n]
        if found:
            return found
    names = " or ".join(row.tasks)
    raise UsageError(
        f"{row.name}: {names} was not run",
        where="--claims",
        remedy="run it (plans/ has the plan), or take the row out of the file",
    )


def _of_tasks(row: Row, tasks: Sequence[PairedTask], level: float) -> MeasuredDifference:
    metric = row.metric or tasks[0].metrics[0]
    for task in tasks:
        if metric not in task.candidate:
            known = ", ".join(task.metrics)
            raise UsageError(
                f"{row.name}: {task.task} has no metric {metric}", where="--claims", remedy=f"it has {known}"
            )
    candidate = np.concatenate([task.candidate[metric] for task in tasks])
    reference = np.concatenate([task.reference[metric] for task in tasks])
    clusters = clusters_over(tasks)
    difference = paired_difference(candidate, reference, clusters=clusters, level=level)
    spread = None if candidate.size < 2 else pilot_spread(candidate, reference, clusters=clusters)
    return MeasuredDifference(difference.interval, difference.candidate_mean, difference.reference_mean, spread, metric)


def _of_judge(row: Row, judge: JudgeResult | None) -> MeasuredDifference:
    if judge is None or not judge.n:
        remedy = "give the judge's folder: --judge DIR, or take the row out of the file"
        raise UsageError(f"{row.name}: nothing was judged", where="--claims", remedy=remedy)
    return MeasuredDifference(judge.interval, None, None, judge_spread(judge.preference.ties / judge.n), "net win")


def _held(row: Row, task: str, claimed: PublishedDifference, measured: MeasuredDifference, level: float) -> ClaimResult:
    claimed = replace(claimed, error=math.hypot(claimed.error, _own_error(row, measured)))
    status, needed, sentence = decide_claim(claimed, measured.interval, measured.spread, level, row.documents)
    interval = measured.interval
    return ClaimResult(
        name=row.name,
        task=task,
        metric=measured.metric,
        claimed=claimed.difference,
        claimed_candidate=claimed.candidate,
        claimed_reference=claimed.reference,
        difference=interval.estimate,
        ci_low=interval.low,
        ci_high=interval.high,
        candidate_mean=measured.candidate_mean,
        reference_mean=measured.reference_mean,
        documents=interval.n,
        tolerance=claimed.tolerance,
        slack=_slack(claimed, level),
        status=status,
        documents_needed=needed,
        benchmark=row.documents,
        sentence=sentence,
    )


def _own_error(row: Row, measured: MeasuredDifference) -> float:
    """The standard error of published scores, from the spread seen here; 0 where both ran the whole benchmark.

    A publication that does not give its number of documents is assumed to have run as many as were run here.
    """
    spread, here = measured.spread, measured.interval.n
    if row.judge is not None or spread is None or (row.documents is not None and here >= row.documents):
        return 0.0
    return spread.sd * math.sqrt(spread.design_effect / (row.documents or here))


def _slack(claimed: PublishedDifference, level: float) -> float:
    return claimed.rounding + normal_point((1 - level) / 2) * claimed.error


def decide_claim(
    claimed: PublishedDifference, interval: Interval, spread: Spread | None, level: float, benchmark: int | None
) -> tuple[Status, int | None, str]:
    """The status, the documents needed where it is undecidable, and the sentence that says why."""
    low, high, here = interval.low, interval.high, interval.estimate
    if low is None or high is None or here is None:
        return "undecidable", None, f"undecidable: no interval, {interval.reason}."
    gap = claimed.difference - here
    reach = (high - here) if gap > 0 else (here - low)
    error = normal_point((1 - level) / 2) * claimed.error
    said = f"published {w.signed(claimed.difference)} points, here {w.interval(low, high)}"
    if abs(gap) > math.hypot(reach, error) + claimed.rounding:
        side = "better" if gap < 0 else "worse"
        return "contradicted", None, f"contradicted: {said}; the candidate does {side} here than published."
    within = f"within {w.plain(claimed.tolerance)} points of the claim"
    if max(abs(low - claimed.difference), abs(high - claimed.difference)) <= claimed.tolerance + EXACT:
        return "compatible", None, f"compatible: {said}, all of it {within}."
    needed, why = _needed(claimed.tolerance, spread, level, interval.n)
    more = f"about {needed:,} documents would show it to be {within}" if needed else why
    if needed and benchmark is not None and needed > benchmark:
        more += f", and the benchmark has {benchmark:,}: more samples of each question help, more runs do not"
    zero = ", an interval that also contains 0" if low <= 0 <= high and claimed.difference else ""
    return "undecidable", needed, f"undecidable with {interval.n:,} documents: {said}{zero}; {more}."


def _needed(tolerance: float, spread: Spread | None, level: float, n: int) -> tuple[int | None, str]:
    if spread is None or spread.sd == 0:
        return None, "the arms agree on every document, so the spread is unknown"
    plan = documents_for_margin(min(tolerance, 0.999), spread, level=level, power=EACH_SIDE)
    if plan.documents_guarded is None:
        return None, plan.reason or "no number of documents would decide it"
    return max(plan.documents_guarded, n + 1), ""
