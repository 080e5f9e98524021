"""A ladder's tables: every arm against the reference, what was expected, and whether it came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lm_eval_fr import Comparison, Fidelity, TaskResult
from lm_eval_fr.report import words as w
from lm_eval_fr.report.sections import Forest, Items, Section, Table
from lm_eval_fr.report.terminal_writer import forest_lines
from lm_eval_fr.report.verdict_section import forest_of

COLUMNS = 100


@dataclass(frozen=True)
class Rung:
    """One arm against the reference. damage: as its checkpoint says. fidelity: None where not measured."""

    name: str
    damage: str
    same_weights: bool
    report: Comparison
    fidelity: Fidelity | None = None

    @property
    def tasks(self) -> dict[str, TaskResult]:
        return {task.task: task for task in self.report.tasks}


@dataclass(frozen=True)
class Climbed:
    """Every rung in the order of the damage. step: a rung against the one above it on one task, without a claim."""

    tasks: tuple[str, ...]
    rungs: tuple[Rung, ...]
    step: Callable[[str, str, str], Comparison]

    @property
    def damaged(self) -> tuple[Rung, ...]:
        return tuple(rung for rung in self.rungs if not rung.same_weights)


def sections_of(climbed: Climbed) -> list[Section]:
    found = [Section("expected", "What was expected, and what came out", (_verdicts(expectations(climbed)),))]
    found += [_task(climbed.rungs, task) for task in climbed.tasks]
    scored = [rung for rung in climbed.rungs if rung.fidelity]
    return [*found, _fidelity(scored)] if scored else found


def drawings(climbed: Climbed) -> Iterator[str]:
    """The forest of every task in signs, for a page that shows plain text."""
    for task in climbed.tasks:
        title = f"{task}: {_metric(climbed.rungs, task)}"
        yield "\n".join([title, *forest_lines(_forest(climbed.rungs, task), COLUMNS)])


@dataclass(frozen=True)
class Expectation:
    """holds: None where the data cannot tell."""

    sentence: str
    holds: bool | None


def _verdicts(found: Sequence[Expectation]) -> Items:
    words = {True: "holds", False: "DOES NOT HOLD", None: "cannot be told"}
    return Items(tuple(f"{words[one.holds]}: {one.sentence}" for one in found))


def expectations(climbed: Climbed) -> list[Expectation]:
    """The expected results, checked against the measured ones."""
    found = [_same_weights(rung) for rung in climbed.rungs if rung.same_weights]
    found += [one for task in climbed.tasks if (one := _in_order(climbed, task)) is not None]
    found += [one for task in climbed.tasks if (one := _gross(climbed.damaged, task)) is not None]
    found += [_blind(climbed.rungs, task) for task in climbed.tasks]
    return [*found, *_divergence(climbed.damaged)]


def _same_weights(rung: Rung) -> Expectation:
    """An arm against itself, in the same engine or in another."""
    inferior = [name for name, task in rung.tasks.items() if task.verdict == "inferior"]
    floors = rung.report.noise.floors if rung.report.noise else ()
    beyond = [floor.task for floor in floors if floor.compared.exceeds]
    lost = [name for name, task in rung.tasks.items() if not floors and task.degradation_detected]
    said = f"{rung.name}: the same weights are not inferior, and move no farther than the noise floor"
    wrong = dict.fromkeys([*inferior, *beyond, *lost])
    return Expectation(f"{said}{f' (not so: {_listed(wrong)})' if wrong else ''}", not wrong)


def _in_order(climbed: Climbed, task: str) -> Expectation | None:
    """Each rung is at or below the one above it; where it is not, the two are compared with each other."""
    rungs = [rung for rung in climbed.damaged if task in rung.tasks]
    if len(rungs) < 2 or not rungs[0].tasks[task].reference_mean:
        return None
    within: list[str] = []
    broken: list[str] = []
    for upper, lower in pairwise(rungs):
        if _difference(lower.tasks[task]) <= _difference(upper.tasks[task]):
            continue
        step = climbed.step(lower.name, upper.name, task).task(task)
        said = f"{lower.name} above {upper.name} by {w.signed(step.difference)} {w.bounds(step.ci, sign=True)}"
        (broken if step.ci_low is not None and step.ci_low > 0 else within).append(said)
    order = f"{task}: the coarser the rounding, the larger the loss, {' > '.join(rung.name for rung in rungs)}"
    if broken:
        return Expectation(f"{order}; {'; '.join(broken)}", False)
    if within:
        return Expectation(f"{order}, except for steps within their intervals: {'; '.join(within)}", None)
    return Expectation(order, True)


def _difference(task: TaskResult) -> float:
    return 0.0 if task.difference is None else task.difference


def _gross(rungs: Sequence[Rung], task: str) -> Expectation | None:
    """The last rung is ruined: inferior wherever the reference has something to lose."""
    if not rungs or task not in rungs[-1].tasks:
        return None
    found = rungs[-1].tasks[task]
    if found.assay is not None and found.assay.holds is False:
        return None
    return Expectation(f"{task}: {rungs[-1].name} is inferior", found.verdict == "inferior")


def _blind(rungs: Sequence[Rung], task: str) -> Expectation:
    """Where no loss could have shown, no arm is called non-inferior."""
    found = [rung for rung in rungs if task in rung.tasks]
    blind = [rung for rung in found if (assay := rung.tasks[task].assay) is not None and not assay.holds]
    called = [rung.name for rung in blind if rung.tasks[task].verdict == "non_inferior"]
    if not blind:
        return Expectation(f"{task}: the reference is far enough above chance for a claim", True)
    said = f"{task}: too near chance, or in too few documents, for a claim: none of {len(blind)} arms is non-inferior"
    return Expectation(f"{said}{f' (but {_listed(called)})' if called else ''}", not called)


def _divergence(rungs: Sequence[Rung]) -> Iterator[Expectation]:
    scored = [(rung.name, rung.fidelity.distance.divergence.value or 0.0) for rung in rungs if rung.fidelity]
    if len(scored) > 1:
        steps = ", ".join(f"{name} {value:.3f}" for name, value in scored)
        rises = all(a < b for (_, a), (_, b) in pairwise(scored))
        yield Expectation(f"the divergence (KL) from the reference rises with the damage: {steps}", rises)


def _task(rungs: Sequence[Rung], task: str) -> Section:
    """The forest of all arms, and what it does not show."""
    rows = tuple(_row(rung, rung.tasks[task]) for rung in rungs if task in rung.tasks)
    columns = ("arm", "empty", "empty, ref.", "same score", "damage")
    return Section(task, f"{task}: {_metric(rungs, task)}", (_forest(rungs, task), Table(columns, rows, left=(0, 4))))


def _forest(rungs: Sequence[Rung], task: str) -> Forest:
    """Every arm's claim about the task, on one scale."""
    forests = [(rung.name, forest_of(rung.report)) for rung in rungs if task in rung.tasks]
    claims = [
        replace(c, name=name, metric="", strata=()) for name, forest in forests for c in forest.claims if c.name == task
    ]
    return Forest(tuple(claims), ("arm", *forests[0][1].header[1:]), forests[0][1].in_margins)


def _metric(rungs: Sequence[Rung], task: str) -> str:
    return next(rung.tasks[task].metric for rung in rungs if task in rung.tasks)


def _row(rung: Rung, task: TaskResult) -> tuple[str, ...]:
    health = (task.candidate_health, task.reference_health)
    empty = [w.percent(one.empty / one.answers if one and one.answers else None, 0) for one in health]
    same = w.percent(task.identical / task.n if task.n else None, 0)
    return (rung.name, *empty, same, rung.damage)


def _fidelity(rungs: Sequence[Rung]) -> Section:
    rows = []
    for rung in rungs:
        assert rung.fidelity is not None
        found, floor = rung.fidelity.distance, rung.fidelity.floor
        ends = found.divergence
        interval = "-" if ends.low is None or ends.high is None else f"[{ends.low:.3f}, {ends.high:.3f}]"
        itself = "-" if floor is None or floor.divergence.value is None else f"{floor.divergence.value:.4f}"
        numbers = (w.count(found.documents), w.count(found.tokens), f"{ends.value or 0.0:.3f}", interval, itself)
        perplexity = f"{found.perplexity:.4g} / {found.reference_perplexity:.4g}"
        rows.append((rung.name, *numbers, w.percent(found.agreement.value), perplexity))
    header = ("arm", "texts", "tokens", "KL", "95 %", "KL of a rerun", "same first choice", "perplexity, cand. / ref.")
    caption = "Next-token probabilities on the same French texts, in nats per token, both on vLLM servers."
    return Section("fidelity", "Fidelity", (Table(header, tuple(rows), caption=caption),))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
