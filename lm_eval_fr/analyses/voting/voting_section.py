"""What voting recovers, in words, tables and charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from lm_eval_fr.analyses.voting.voting_model import AgreementBin, VoteArm, VotedTask, VoteMatch, VotePoint, VotingReport
from lm_eval_fr.report import words as w
from lm_eval_fr.report.sections import Chart, Line, LineKind, Part, Section, Table

WORDS = {"better": "better", "worse": "worse", "open": "undecided"}


def voting_section(voting: VotingReport) -> Section:
    parts = [part for task in voting.tasks for part in _task(task, voting)]
    notes = [f"Note: {caution}." for caution in voting.cautions]
    return Section("voting", "What voting recovers", (*parts, *notes))


def _task(task: VotedTask, voting: VotingReport) -> Iterator[Part]:
    yield sentence(task, voting)
    yield _curve_table(task, voting.level)
    yield _chart(task, voting.level)
    if task.equal_cost:
        caption = (
            f"{task.task} at equal cost, one reference answer for {voting.cost_ratio:.3g} of the candidate's"
            f"{f' ({voting.cost_source})' if voting.cost_source else ''}; paired, so shared errors count as measured"
        )
        yield _matches(task.equal_cost, caption, voting)
    if any(match.spare for match in task.equal_cost):
        yield f"* The candidate could pay for more votes than the {task.candidate.responses} that were taken."
    caption = (
        f"{task.task}: candidate votes against one reference answer, with the cost ratio at which both cost the same"
    )
    yield _matches(task.against_one, caption, voting)
    if task.candidate.agreement:
        yield _agreement(task, voting.level)


def sentence(task: VotedTask, voting: VotingReport) -> str:
    """The effect of voting on this task, in words that stand alone."""
    arm = task.candidate
    first, last = arm.curve[0], arm.curve[-1]
    text = (
        f"{task.task} ({task.metric}, {task.n:,} documents): {w.printable(arm.name)} goes from {w.plain(first.score)} "
        f"with one answer to {w.plain(last.score)} with the majority of {last.k}; one answer of "
        f"{w.printable(task.reference.name)} scores {w.plain(task.reference.curve[0].score)}."
    )
    if task.margin is None:
        pass
    elif task.recovers_at is None:
        text += (
            f" No number of votes up to {last.k} is shown to be within {w.plain(task.margin)} points of that answer."
        )
    elif task.recovers_at == 1:
        text += f" A single answer is already shown to be within {w.plain(task.margin)} points of it."
    else:
        text += (
            f" From {task.recovers_at} votes on it is shown to be within {w.plain(task.margin)} points of that "
            "answer (found by looking at every k: confirm it on new documents)."
        )
    if arm.error_correlation is not None:
        text += (
            f" Two votes on one document err with a correlation of {arm.error_correlation:.2f}; if they erred "
            f"independently, {w.plain(last.if_independent)} % of the documents would be right with {last.k} votes, and "
            f"{w.plain(last.right)} % are."
        )
    if task.shared_errors is not None:
        text += f" The arms' errors correlate by {task.shared_errors:.2f}."
    return text


def _curve_table(task: VotedTask, level: float) -> Table:
    name = w.level_text(level)
    header = ("votes", "candidate", name, "right %", "if independent", "reference", name)
    rows = []
    for k, (mine, other) in enumerate(zip_longest(task.candidate.curve, task.reference.curve), 1):
        right = (w.plain(mine.right), w.plain(mine.if_independent)) if mine else ("", "")
        rows.append((str(k), *_score(mine), *right, *_score(other)))
    drawn = (
        "" if all(p.exact for arm in (task.candidate, task.reference) for p in arm.curve) else ", some of them drawn"
    )
    caption = (
        f"{task.task}: {task.metric} by the majority of k votes, over all subsets of the responses{drawn}. right: "
        f"{task.metric} of {task.threshold:g} or more; if independent: an assumption, not a measurement"
    )
    return Table(header, tuple(rows), left=(), caption=caption, names=())


def _score(point: VotePoint | None) -> tuple[str, str]:
    return ("", "") if point is None else (w.plain(point.score), w.interval(point.low, point.high, sign=False))


def _matches(matches: Sequence[VoteMatch], caption: str, voting: VotingReport) -> Table:
    level = w.level_text(voting.level)
    header = ("votes", "against", "cost ratio", "cand.", "ref.", "diff.", level, "outcome", "within margin")
    rows = tuple(
        (
            f"{match.candidate_votes}{'*' if match.spare else ''}",
            str(match.reference_votes),
            f"{match.same_cost_at:.3g}",
            w.plain(match.candidate),
            w.plain(match.reference),
            w.signed(match.difference),
            w.interval(match.low, match.high),
            WORDS[match.outcome],
            {True: "yes", False: "not shown", None: w.UNKNOWN}[match.non_inferior],
        )
        for match in matches
    )
    return Table(header, rows, left=(7, 8), caption=caption, names=())


def _agreement(task: VotedTask, level: float) -> Table:
    interval = w.level_text(level)
    header = ("votes for it", "candidate n", "score", interval, "reference n", "score", interval)
    bins = zip_longest(task.candidate.agreement, task.reference.agreement)
    rows = tuple((_bin(one), *_bin_cells(one), *_bin_cells(other)) for one, other in bins)
    caption = (
        f"{task.task}: what the winner scores, by the share of the votes for it: agreement as a sign of confidence"
    )
    return Table(header, rows, caption=caption, names=())


def _bin(one: AgreementBin) -> str:
    if one.low == one.high:
        return "all"
    return f"up to {100 * one.high:g} %" if one.low == 0 else f"{100 * one.low:g} to {100 * one.high:g} %"


def _bin_cells(one: AgreementBin | None) -> tuple[str, str, str]:
    if one is None:
        return "", "", ""
    return w.count(one.n), w.plain(one.score), w.interval(one.score_low, one.score_high, sign=False)


def _chart(task: VotedTask, level: float) -> Chart:
    last = max(task.candidate.responses, task.reference.responses)
    lines = [_line(task.candidate, "candidate", last), _line(task.reference, "reference", last)]
    curve = task.candidate.curve
    if all(abs(point.right - point.score) < 1e-9 for point in curve):  # else on another scale
        x, y = tuple(float(point.k) for point in curve), tuple(point.if_independent for point in curve)
        lines.append(Line("candidate, if its votes were independent", "assumed", x, y))
    return Chart(
        f"{task.task}: {task.metric} by votes",
        f"Bands are {w.level_text(level)} intervals of each arm alone; the comparison is in the tables.",
        "votes",
        task.metric,
        tuple(lines),
        percent=True,
        whole_x=True,
    )


def _line(arm: VoteArm, kind: LineKind, last: int) -> Line:
    """An arm with one answer per document is a horizontal line: it does not vote."""
    curve = arm.curve
    x = tuple(float(point.k) for point in curve) if len(curve) > 1 else (1.0, float(last))
    points = curve if len(curve) > 1 else curve * 2
    band = tuple((point.low, point.high) for point in points if point.low is not None and point.high is not None)
    y = tuple(point.score for point in points)
    return Line(f"{kind}: {w.printable(arm.name)}", kind, x, y, band if len(band) == len(x) else ())
