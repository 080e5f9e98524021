"""`--estimate`: what judging will ask and cost, without a call.

The judge's tokenizer is not available here. Tokens are estimated from bytes: at the rates of published tokenizers on
French text, or, once twenty replies are stored, at the rate that the judge itself reported.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from lm_eval_fr.judge.asking.controls import controls_for
from lm_eval_fr.judge.asking.envelope import open_body
from lm_eval_fr.judge.asking.profile import load_rubric
from lm_eval_fr.judge.asking.prompt import shared_part
from lm_eval_fr.judge.asking.protocol import CallUsage, Profile, Question
from lm_eval_fr.judge.asking.worklist import Item, Place, PlannedItems, Questioner, Work, sample_of, worklist
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.session import lives_of, profiles
from lm_eval_fr.judge.verdicts.journal import StoredReply
from lm_eval_fr.judge.verdicts.journal_guard import JOURNAL, open_journal
from lm_eval_fr.judge.verdicts.ledger import cost
from lm_eval_fr.judge.verdicts.question_life import Lives, QuestionLife, open_orders

if TYPE_CHECKING:
    from lm_eval_fr.pairing import Pairing

BYTES_PER_TOKEN = (4.8, 4.0, 3.2)  # least, expected and most tokens
OUTPUT_TOKENS = (40, 90)  # least and expected: two sentences in JSON; the most is the profile's limit
UNLIMITED_OUTPUT = 400
TIE_SHARE = 0.4  # of first orders, expected, for `--orders lazy`
CACHE_HITS = 0.9  # of second orders, expected
CACHE_LEAST, CACHE_STEP = 1024, 128  # tokens: what is cached at all, and in what steps
ENOUGH = 20  # stored replies from which their own rates are used
LOW, EXPECTED, HIGH = 0, 1, 2


class Range(NamedTuple):
    low: float
    expected: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What has yet to be asked. `dollars` is None, with a note, if a price is unknown; so is `batch_dollars`."""

    profile: str
    model: str
    controls: int  # pairs with a known better answer, asked before the others
    pairs: int
    rerun: int  # pairs of the reference and its rerun
    identical: int  # of both
    stored: int  # questions that have a verdict already
    calls: Range
    input_tokens: Range
    cached_tokens: Range
    output_tokens: Range
    dollars: Range | None
    batch_dollars: Range | None
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        rerun = f", {self.rerun:,} pairs of the rerun" if self.rerun else ""
        rows = [
            f"{self.profile} ({self.model}): {self.controls:,} controls, {self.pairs:,} pairs{rerun}, "
            f"{self.identical:,} of them identical and free; {self.stored:,} questions are already answered",
            f"{'':16}{'low':>12}{'expected':>12}{'high':>12}",
            _row("calls", self.calls),
            _row("input tokens", self.input_tokens),
            _row("  of them cached", self.cached_tokens),
            _row("output tokens", self.output_tokens),
            _row("dollars", self.dollars, ",.2f"),
            _row("dollars (batch)", self.batch_dollars, ",.2f"),
        ]
        return "\n".join([*rows, *(f"note: {note}" for note in self.notes)])

    @property
    def brief(self) -> str:
        price = self.dollars
        cost = "cost unknown" if price is None else f"${price.expected:.2f} expected, ${price.high:.2f} at most"
        return f"judge {self.profile}: {self.calls.expected:,.0f} calls; {cost}"


@dataclass
class _Open:
    """The open questions, by their bytes, and the judge's own rates from stored replies."""

    questioner: Questioner
    lives: Lives | None
    identical: int = 0
    stored: int = 0
    first: list[int] = field(default_factory=list)
    second: list[int] = field(default_factory=list)
    repeats: list[int] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)  # of these, shared by a second order with the first one just asked
    begun: list[int] = field(default_factory=list)  # of these, shared by a first order with an earlier document's
    learned: list[_Learned] = field(default_factory=list)
    _beginnings: set[int] = field(default_factory=set)

    def add(self, items: Iterable[Item], *, lazy: bool, sample: Container[Place] = (), repeats: int = 1) -> int:
        """How many items these are."""
        n = 0
        for item in items:
            n += 1
            self.identical += item.identical
            if not item.identical:
                self._ask(item, lazy=lazy and not item.gross)
                if item.place in sample:
                    again = self.questioner.again(item, repeats)
                    self.repeats += [_size(q) for q in again if self.lives is None or self.lives.of(q).open]
        return n

    def _ask(self, item: Item, *, lazy: bool) -> None:
        both = self.questioner.both(item)
        found = {order: QuestionLife() for order in both} if self.lives is None else self.lives.both(both)
        for order, life in found.items():
            if life.state == "answered" and self.lives is not None:
                self.stored += 1
                self._learn(self.lives.journal.replies(both[order].key), both[order], life)
        for place, order in enumerate(open_orders(found, lazy=lazy)):
            shared = shared_part(both[order].body["messages"]).encode("utf-8", "replace")
            if place == 0:
                self.first.append(_size(both[order]))
                self.begun.append(self._begin(shared))
            else:
                self.second.append(_size(both[order]))
                self.shared.append(len(shared))

    def _begin(self, content: bytes) -> int:
        """How many bytes it shares with the beginning of an earlier document; its own prefixes are recorded."""
        found, step = 0, int(CACHE_STEP * BYTES_PER_TOKEN[EXPECTED])
        for size in range(step, len(content) + 1, step):
            mark = hash(content[:size])
            if mark in self._beginnings:
                found = size
            self._beginnings.add(mark)
        return found

    def _learn(self, replies: Sequence[StoredReply], question: Question, life: QuestionLife) -> None:
        """From the last reply to the question itself."""
        last = [reply for reply in replies if reply.repeat == 0][-1]
        usage = open_body(last.raw).usage
        if usage is not None and usage.input:
            sent = last.sent or _size(question)
            self.learned.append(_Learned(sent, usage.input, usage.output, life.judgement == "tie"))


class _Learned(NamedTuple):
    sent: int  # bytes
    input: int
    output: int
    tie: bool


def _size(question: Question) -> int:
    return len(msgspec.json.encode(question.body))


def estimate_runs(
    runs: Pairing | PlannedItems, out: Path, options: JudgeOptions, rerun: Pairing | None = None
) -> tuple[Estimate, ...]:
    """What `judge_runs` with the same arguments would still ask: one estimate per judge. Writes nothing new."""
    work = runs if isinstance(runs, PlannedItems) else worklist(runs)
    controls, again = controls_for(work, options.controls), () if rerun is None else worklist(rerun)

    with open_journal(out) if (out / JOURNAL).exists() else nullcontext() as journal:
        lives = None if journal is None else lives_of(journal, options)
        return tuple(estimate_items(work, profile, options, lives, again, controls) for profile in profiles(options))


def estimate_items(
    work: Work,
    profile: Profile,
    options: JudgeOptions,
    lives: Lives | None = None,
    rerun: Iterable[Item] = (),
    controls: Iterable[Item] = (),
) -> Estimate:
    """What judging these pairs would still ask, with their controls, their repeats and the rerun's pairs."""
    salt = b"" if lives is None else lives.journal.salt
    open_ = _Open(Questioner(profile, load_rubric(options.rubric), salt), lives)
    sample, lazy = sample_of(work, options, salt), options.orders == "lazy"
    counts = {
        "controls": open_.add(controls, lazy=lazy),
        "pairs": open_.add(work, lazy=lazy, sample=sample, repeats=options.repeats),
        "rerun": open_.add(rerun, lazy=lazy),
    }
    return _price(profile, options, open_, counts)


def _price(profile: Profile, options: JudgeOptions, found: _Open, counts: Mapping[str, int]) -> Estimate:
    measured = len(found.learned) >= ENOUGH
    cases = [_case(profile, options, found, measured, case) for case in (LOW, EXPECTED, HIGH)]
    calls = [case[0] for case in cases]
    used = [case[1] for case in cases]
    uncached = [CallUsage(usage.input, 0, 0, usage.output) for usage in used]
    notes = [] if measured else ["tokens are estimated from bytes, at the rates of published tokenizers on French text"]
    dollars = _range([cost(usage, profile.prices) for usage in used])
    batch = _range([cost(usage, profile.prices, batch=True) for usage in uncached])
    if dollars is None:
        notes.append(f"profile {profile.name} gives no prices: the cost is unknown")
    if profile.max_output_tokens is None:
        notes.append(
            f"profile {profile.name} sets no output limit: the highest case assumes {UNLIMITED_OUTPUT} a reply"
        )
    if options.stop == "anytime":
        notes.append("--stop anytime asks less if the margin is decided early")
    return Estimate(
        profile=profile.name,
        model=profile.model,
        **counts,
        identical=found.identical,
        stored=found.stored,
        calls=Range(*calls),
        input_tokens=Range(*(usage.input for usage in used)),
        cached_tokens=Range(*(usage.cached for usage in used)),
        output_tokens=Range(*(usage.output for usage in used)),
        dollars=dollars,
        batch_dollars=batch,
        notes=tuple(notes),
    )


def _case(profile: Profile, options: JudgeOptions, found: _Open, measured: bool, case: int) -> tuple[int, CallUsage]:
    """Calls and tokens of the lowest, the expected or the highest case."""
    rate = BYTES_PER_TOKEN[case]
    if measured:
        rate = sum(one.sent for one in found.learned) / sum(one.input for one in found.learned)
        rate *= (1.05, 1.0, 0.95)[case]
    seconds = 1.0
    if options.orders == "lazy":
        tie = fmean(one.tie for one in found.learned) if measured else TIE_SHARE
        seconds = (0.0, 1 - tie, 1.0)[case]
    calls, sent = (of(found.first) + seconds * of(found.second) + of(found.repeats) for of in (len, sum))
    shared, begun = (sum(_cacheable(size / rate) for size in sizes) for sizes in (found.shared, found.begun))
    hits = (1.0, CACHE_HITS, 0.0)[case] if profile.prices.cached is not None else 0.0
    written = max(0.0, shared - begun) if profile.cache_breakpoint else 0.0
    tokens = round(sent / rate)
    cached = min(round((shared * seconds + begun) * hits), tokens)
    return round(calls), CallUsage(
        tokens, cached, min(round(written), tokens - cached), round(calls * _output(profile, found, measured, case))
    )


def _cacheable(tokens: float) -> int:
    return int(tokens) // CACHE_STEP * CACHE_STEP if tokens >= CACHE_LEAST else 0


def _output(profile: Profile, found: _Open, measured: bool, case: int) -> float:
    most = profile.max_output_tokens or UNLIMITED_OUTPUT
    if case == HIGH:
        return most
    if measured:
        return min(most, fmean(one.output for one in found.learned) * (0.9, 1.0)[case])
    reasons = profile.parameters.get("reasoning_effort", "none") != "none"
    return min(most, most / 2 if reasons and case == EXPECTED else OUTPUT_TOKENS[case])


def _range(values: list[float | None]) -> Range | None:
    low, expected, high = values
    return None if low is None or expected is None or high is None else Range(low, expected, high)


def _row(name: str, value: Range | None, form: str = ",.0f") -> str:
    return f"{name:16}" + ("".join(f"{case:12{form}}" for case in value) if value else f"{'unknown':>36}")
