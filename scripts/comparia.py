"""Measures how far a judge agrees with French readers, before a study rests on it.

    python scripts/comparia.py --profile gpt-4.1                       # what it would cost; nothing is asked
    python scripts/comparia.py --profile gpt-4.1 --ask --max-usd 2     # asks, within two dollars
    python scripts/comparia.py --profile local --data votes.parquet --ask

The readers are those of compar:IA, the French Ministry of Culture's blind comparisons (hub data set
ministere-culture/comparia-votes, Etalab 2.0): accept its conditions on the hub and set HF_TOKEN, or give the votes as a
file (.jsonl, .parquet) in the hub's columns. A fair sample of them is judged in both orders: one vote per visitor, one
turn, in French, with or without a winner. Replies are kept in OUT and never paid for twice; the same command resumes.
The printed results are also written to OUT/agreement.json.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.io.clean import BadJson, parse_untrusted
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.script import run_script, script_parser
from lm_eval_fr.io.streams import say_on_stderr
from lm_eval_fr.judge.asking.worklist import Item, PlannedItems
from lm_eval_fr.judge.estimate import estimate_runs
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.session import check_finished, check_ready, judge_runs
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
from lm_eval_fr.judge.verdicts.ledger import cost_at_most
from lm_eval_fr.judge.verdicts.outcome import HEADLINE, PairVerdict, read_verdicts
from lm_eval_fr.judge.verdicts.panel import LABELS, Label, agreement, label_of
from lm_eval_fr.plan import SEED
from lm_eval_fr.report import words as w
from lm_eval_fr.stats.judging import Agreement
from lm_eval_fr.stats.sensitivity import AssaySensitivity, Control, sensitivity
from lm_eval_fr.tasklib.documents import Hub, Settings, load_hub, rank
from lm_eval_fr.tasklib.instruction_rules import detected
from lm_eval_fr.tasklib.records import Record, read_file, shown

NAME = "comparia"
VOTES = Hub("ministere-culture/comparia-votes", None, "train", None)
READ_OF_A_TEXT = 400  # characters that are enough to tell its language
EVERY = 20_000  # votes between two lines of progress


@dataclass(frozen=True, slots=True)
class Vote:
    """One blind comparison. label: of the answer A, as the reader chose."""

    item: Item
    label: Label


@dataclass
class Sample:
    """One vote per visitor; left_out: how many were not eligible, and why."""

    votes: list[Vote] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Measured:
    """agreement: with win, tie and loss, of the answer A. sight: the judge's net win on the pairs in which the reader
    chose, the chosen answer being the good one."""

    judge: str
    model: str
    rubric: str
    votes: int
    agreement: Agreement
    sight: AssaySensitivity
    dollars: float | None
    warnings: tuple[str, ...]


def main(argv: list[str] | None = None) -> int:
    return run_script("comparia", lambda: work(options(argv)))


def work(args: argparse.Namespace) -> None:
    asked = asking(args)
    rows = read_file(args.data, NAME) if args.data is not None else from_hub()
    sample = sample_votes(rows, args.pairs, args.seed)
    if not sample.votes:
        raise InputError("no vote can be judged" + _left_out(sample), where=args.data or f"hub data set {VOTES.path}")
    print(f"{len(sample.votes):,} votes, one per visitor{_left_out(sample)}")
    items = PlannedItems([vote.item for vote in sample.votes])
    (price,) = estimate_runs(items, args.out, asked)
    print(price.text())
    if not args.ask:
        print("nothing was asked; use --ask to ask")
        return
    summary = judge_runs(items, args.out, asked, say=say_on_stderr)
    found = measure(sample.votes, read_verdicts(args.out), summary)
    write_atomic(args.out / "agreement.json", msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    print("\n".join(lines(found)))
    check_finished(summary, args.out)


def options(argv: list[str] | None) -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument("--profile", required=True, help="the judge, as `lm-eval-fr judge` takes it")
    parser.add_argument("--model", help="another model of the profile's server")
    parser.add_argument("--base-url", help="another server for the profile's model")
    parser.add_argument("--rubric", default="general_fr")
    parser.add_argument("--data", type=Path, metavar="FILE", help="the votes, instead of the hub's")
    parser.add_argument("--pairs", type=int, default=200, help="the most votes to use")
    parser.add_argument("--ask", action="store_true", help="ask the judge; without it only the price is printed")
    parser.add_argument("--max-usd", type=float, default=5.0, help="ceiling over OUT, where the profile has prices")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the choice of votes")
    parser.add_argument("--out", type=Path, default=Path("comparia-out"), metavar="OUT")
    args = parser.parse_args(argv)
    if args.pairs < 2:
        raise UsageError(f"--pairs {args.pairs} is below 2")
    if args.data is not None and not args.data.is_file():
        raise InputError("no such file", where=args.data, remedy="leave --data out to read the hub")
    return args


def asking(args: argparse.Namespace) -> JudgeOptions:
    """Checks the judge before a vote is read."""
    found = JudgeOptions((args.profile,), args.rubric, args.model, args.base_url, controls=0)
    (judge,), _ = check_ready(found if args.ask else replace(found, reparse=True))  # a price needs no key
    return found if cost_at_most({}, judge) is None else replace(found, max_usd=args.max_usd)


def from_hub() -> Iterator[Record]:
    remedy = f"accept its conditions at huggingface.co/datasets/{VOTES.path} and set HF_TOKEN, or give --data FILE"
    where = f"hub data set {VOTES.path}"
    try:
        rows = load_hub(Settings.read(NAME, {}), VOTES, streaming=True)
        for number, row in enumerate(rows):
            if number and number % EVERY == 0:
                say_on_stderr(f"{number:,} votes read")
            yield Record(row, f"{where}, row {number}", task=NAME)
    except InputError as error:
        raise InputError(error.what, where=where, remedy=remedy) from None
    except (OSError, ValueError, RuntimeError) as error:  # a connection that breaks on the way
        raise InputError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", where=where) from None


def sample_votes(rows: Iterable[Record], most: int, seed: int) -> Sample:
    """One vote each of at most `most` visitors, drawn by the seed whatever the order of the rows: in one pass, with no
    more votes in memory than are drawn."""
    sample = Sample()
    best: dict[str, tuple[int, Vote]] = {}  # by visitor, the vote of the lowest rank
    worst: list[tuple[int, str]] = []  # the visitors kept; the one with the highest rank is dropped first
    for number, row in enumerate(rows):
        visitor = str(row.get("visitor_id") or f"row {number}")
        place = rank(seed, visitor)
        if visitor not in best and len(best) >= most and place > -worst[0][0]:
            sample.left_out["not drawn"] += 1
            continue
        vote = read_vote(row, number, visitor)
        if isinstance(vote, str):
            sample.left_out[vote] += 1
            continue
        if visitor not in best:
            heapq.heappush(worst, (-place, visitor))
        mine, held = (rank(seed, vote.item.doc_hash), vote), best.get(visitor)
        best[visitor] = mine if held is None or mine[0] < held[0] else held
        sample.left_out["not drawn"] += held is not None or len(best) > most
        if len(best) > most:
            del best[heapq.heappop(worst)[1]]
    distinct = {vote.item.doc_hash: vote for _, vote in sorted(best.values(), key=lambda one: one[0])}
    sample.left_out["on the same two answers"] += len(best) - len(distinct)
    sample.votes = list(distinct.values())
    return sample


def read_vote(row: Record, number: int, visitor: str) -> Vote | str:
    """The vote, or why it is left out. InputError for a row that is not in the hub's schema."""
    turns = row.get("conv_turns")
    if not isinstance(turns, int) or isinstance(turns, bool):
        raise row.error(f'field "conv_turns" must be a whole number, not {shown(turns)}')
    label = _label(row)
    if label is None:
        return "without a choice"
    if turns != 1:
        return "of several turns"
    system_a, system_b = (_optional(row, f"system_prompt_{side}") for side in "ab")
    if system_a != system_b:
        return "with two system prompts"
    question, (a, b) = row.text("opening_msg"), (_answer(row, f"conversation_{side}") for side in "ab")
    if not a.strip() or not b.strip():
        return "with an empty answer"
    if any(detected(text[:READ_OF_A_TEXT]) != "fr" for text in (f"{question} {a}", f"{question} {b}")):
        return "not in French"
    key = hashlib.sha256("\x1f".join([system_a or "", question, a, b]).encode("utf-8", "surrogatepass")).hexdigest()
    return Vote(Item(NAME, number, key, visitor, -1, system_a, question, a, b), label)


def _label(row: Record) -> Label | None:
    equal, chosen = row.get("both_equal"), row.get("chosen_model_name")
    names = row.text("model_a_name"), row.text("model_b_name")
    if not isinstance(equal, bool | None) or not isinstance(chosen, str | None):
        raise row.error(f"both_equal is {shown(equal)}, chosen_model_name {shown(chosen)}: not a vote")
    if equal:
        return "tie"
    if chosen not in names or names[0] == names[1]:
        return None
    return "win" if chosen == names[0] else "loss"


def _optional(row: Record, name: str) -> str | None:
    value = row.get(name)
    if not isinstance(value, str | None):
        raise row.error(f'field "{name}" must be text or null, not {shown(value)}')
    return value or None


def _answer(row: Record, name: str) -> str:
    """The assistant's one message; a conversation is a list of messages, or such a list as JSON."""
    messages = row.get(name)
    if isinstance(messages, str):
        try:
            messages = parse_untrusted(messages.encode("utf-8", "replace"))
        except BadJson as bad:
            raise row.error(f'field "{name}" is {str(bad).partition(":")[0]}') from None
    if isinstance(messages, list) and all(isinstance(message, Mapping) for message in messages):
        said = [message.get("content") for message in messages if message.get("role") == "assistant"]
        if len(said) == 1 and isinstance(said[0], str):
            return said[0]
    raise row.error(f'field "{name}" is not a conversation with one answer: {shown(messages)}')


def measure(votes: Iterable[Vote], verdicts: Iterable[PairVerdict], summary: JudgeSummary) -> Measured:
    found = {verdict.doc_hash: verdict for verdict in verdicts}
    said: dict[str, Label | None] = {vote.item.doc_hash: vote.label for vote in votes if vote.item.doc_hash in found}
    judged = {key: label_of(verdict.outcome) for key, verdict in found.items()}
    chosen = [_as_control(found[key], label) for key, label in said.items() if label in ("win", "loss")]
    return Measured(
        judge=summary.profile,
        model=summary.model,
        rubric=summary.rubric,
        votes=len(said),
        agreement=agreement("judge", judged, "readers", said),
        sight=sensitivity(chosen, planned=len(chosen)),
        dollars=summary.usage.dollars,
        warnings=summary.warnings,
    )


def _as_control(verdict: PairVerdict, label: Label) -> Control:
    """The pair as one whose better answer is known: the one that the reader chose."""
    score, turned = HEADLINE[verdict.outcome], -1 if label == "loss" else 1
    lengths = verdict.candidate_chars or 0, verdict.reference_chars or 0
    return Control(
        kind="vote",
        grade="reader's choice",
        outcome=None if score is None else turned * score,
        right=(verdict.candidate_first == "AB"[turned < 0], verdict.reference_first == "BA"[turned < 0]),
        order_decided=verdict.outcome == "flip",
        good_longer=lengths[turned < 0] > lengths[turned > 0],
        cluster=verdict.cluster,
    )


def lines(found: Measured) -> Iterator[str]:
    agreed, raw, sight = found.agreement, found.agreement.raw, found.sight
    kappa = "unknown" if agreed.kappa is None else f"{agreed.kappa:.2f}"
    yield f"judge {found.model}, rubric {found.rubric}: {found.votes:,} votes"
    interval = w.interval(raw.low, raw.high, sign=False)
    yield f"  agrees with the reader in {raw.count:,} of {raw.of:,}: {w.percent(raw.share)}, {interval}; kappa {kappa}"
    yield f"  {'judge / reader':16}" + "".join(f"{label:>8}" for label in LABELS)
    for mine in LABELS:
        yield f"  {mine:16}" + "".join(f"{agreed.table[f'{mine}/{theirs}']:8,}" for theirs in LABELS)
    if sight.net_win is not None:
        least = "unknown" if sight.ci_low is None else f"{sight.ci_low:.2f}"
        yield f"  where the reader chose, s = {sight.net_win:.2f}, at least {least}: {_kinds(sight)}"
        yield "  single readers sometimes choose at random, which makes s smaller than against careful readers"
    yield "  cost " + ("unknown" if found.dollars is None else f"${found.dollars:.2f}")
    yield from (f"  warning: {warning}" for warning in found.warnings)


def _kinds(sight: AssaySensitivity) -> str:
    other = sight.n - sight.won - sight.lost - sight.order_decided
    counted = ((sight.lost, "lost"), (sight.order_decided, "order-decided"), (other, "tied or without a verdict"))
    return ", ".join([f"{sight.won:,} of {sight.n:,} won", *(f"{number:,} {what}" for number, what in counted)])


def _left_out(sample: Sample) -> str:
    said = ", ".join(f"{number:,} {why}" for why, number in sample.left_out.most_common() if number)
    return f"; left out: {said}" if said else ""


if __name__ == "__main__":
    sys.exit(main())
