"""What a run remembers of each pair (no texts), and the verdicts that the journal's replies make of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lm_eval_fr.judge.asking.envelope import read_reply
from lm_eval_fr.judge.asking.protocol import ORDERS, Order, Parse, Profile
from lm_eval_fr.judge.asking.worklist import Item
from lm_eval_fr.judge.verdicts.journal import Journal, StoredReply
from lm_eval_fr.judge.verdicts.ledger import Ledger, price_of
from lm_eval_fr.judge.verdicts.outcome import Judgement, Outcome, PairVerdict, combine


@dataclass(slots=True)
class Judged:
    """A pair in work. `keys` are of the two questions, candidate first and reference first; None: identical answers."""

    task: str
    doc_id: int
    doc_hash: str
    cluster: str | None
    unit: int
    candidate_chars: int
    reference_chars: int
    keys: tuple[bytes, bytes] | None = None
    candidate_first: Judgement = None
    reference_first: Judgement = None
    done: bool = False

    @classmethod
    def of(cls, item: Item) -> Judged:
        return cls(
            item.task, item.doc_id, item.doc_hash, item.cluster, item.unit, len(item.candidate), len(item.reference)
        )

    def outcome(self, lazy: bool) -> Outcome:
        if self.done and self.keys is None:
            return "identical"
        return combine(self.candidate_first, self.reference_first, lazy=lazy)


@dataclass(slots=True)
class _OrderReplies:
    """The replies to one order's question, read."""

    judgement: Judgement = None
    reason: str = ""
    repeats: tuple[Judgement, ...] = ()
    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class Harvest:
    """Turns the pairs of a run into verdicts, and adds up in `ledger` what the replies behind them cost."""

    def __init__(self, journal: Journal, profile: Profile, parse: Parse, *, lazy: bool) -> None:
        self.journal = journal
        self.profile = profile
        self.parse = parse
        self.lazy = lazy
        self.ledger = Ledger()
        self._judges = journal.judges()
        self._counted: set[bytes] = set()  # two pairs of the same words share their replies

    def verdicts(self, pairs: Iterable[Judged]) -> Iterator[PairVerdict]:
        for pair in pairs:
            yield self.verdict(pair)

    def verdict(self, pair: Judged) -> PairVerdict:
        found: dict[Order, _OrderReplies] = {}
        if pair.keys is not None:
            found = {order: self._replies(key) for order, key in zip(ORDERS, pair.keys, strict=True)}
        outcome = pair.outcome(self.lazy)
        if outcome in ("invalid", "unjudged"):
            for order, key in zip(ORDERS, pair.keys or (), strict=False):
                if not found[order].reason and (failure := self.journal.last_failure(key)) is not None:
                    found[order].reason = failure[1]
        names = ("calls", "input_tokens", "cached_tokens", "output_tokens")
        usage = {name: sum(getattr(replies, name) for replies in found.values()) for name in names}
        return PairVerdict(
            task=pair.task,
            doc_id=pair.doc_id,
            doc_hash=pair.doc_hash,
            outcome=outcome,
            candidate_first=pair.candidate_first,
            reference_first=pair.reference_first,
            reasons={order: replies.reason for order, replies in found.items() if replies.reason},
            usage=usage if usage["calls"] else {},
            candidate_chars=pair.candidate_chars,
            reference_chars=pair.reference_chars,
            cluster=pair.cluster,
            repeats={order: replies.repeats for order, replies in found.items() if len(replies.repeats) > 1},
        )

    def _replies(self, key: bytes) -> _OrderReplies:
        read = _OrderReplies()
        repeats: dict[int, Judgement] = {}
        first = key not in self._counted
        self._counted.add(key)
        for reply in self.journal.replies(key):
            self._read(reply, read, repeats, count=first)
        read.judgement = repeats.get(0)
        read.repeats = tuple(repeats[number] for number in sorted(repeats))
        return read

    def _read(self, reply: StoredReply, read: _OrderReplies, repeats: dict[int, Judgement], *, count: bool) -> None:
        content = read_reply(reply.raw, self.parse)
        if repeats.get(reply.repeat) in (None, "invalid"):
            repeats[reply.repeat] = content.verdict or "invalid"
            if reply.repeat == 0:
                read.reason = content.reason if content.verdict else content.problem
        read.calls += 1
        if content.usage is not None:
            read.input_tokens += content.usage.input
            read.cached_tokens += content.usage.cached
            read.output_tokens += content.usage.output
        if count:
            prices = price_of(reply.judge, self._judges, self.profile)
            self.ledger.reply(content.usage, reply.source, prices, usable=content.verdict is not None)
