"""What a run keeps about each pair (no texts), and the verdicts from the journal's replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lm_eval_fr.judge.asking.envelope import read_reply
from lm_eval_fr.judge.asking.protocol import NOTHING, ORDERS, Order, Profile
from lm_eval_fr.judge.asking.worklist import Item
from lm_eval_fr.judge.verdicts.journal import QuestionRows
from lm_eval_fr.judge.verdicts.ledger import Ledger, price_stored
from lm_eval_fr.judge.verdicts.outcome import Judgement, Outcome, PairVerdict, combine
from lm_eval_fr.judge.verdicts.question_life import Lives, QuestionLife
from lm_eval_fr.stats.judging import PairUsage


@dataclass(slots=True)
class JudgedPair:
    """A pair in work. `keys` of the two questions, candidate first and reference first; None: identical answers."""

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
    def of(cls, item: Item, lives: Mapping[Order, QuestionLife] = MappingProxyType({})) -> JudgedPair:
        sizes = len(item.candidate), len(item.reference)
        pair = cls(item.task, item.doc_id, item.doc_hash, item.cluster, item.unit, *sizes)
        pair.put(lives)
        return pair

    def put(self, lives: Mapping[Order, QuestionLife]) -> None:
        for order, life in lives.items():
            setattr(self, order, life.judgement)

    def outcome(self, lazy: bool) -> Outcome:
        if self.done and self.keys is None:
            return "identical"
        return combine(self.candidate_first, self.reference_first, lazy=lazy)


@dataclass(frozen=True, slots=True)
class _OrderRead:
    """One order's question in the journal: its life, the lives of its repeats, and what all of them used."""

    life: QuestionLife
    repeats: tuple[Judgement, ...]
    usage: PairUsage


class Harvest:
    """Turns the pairs of a run into verdicts, and adds up in `ledger` what the replies behind them cost."""

    def __init__(self, lives: Lives, profile: Profile, *, lazy: bool) -> None:
        self.lives = lives
        self.profile = profile
        self.lazy = lazy
        self.ledger = Ledger()
        self._judges = lives.journal.judges()
        self._counted: set[bytes] = set()  # two pairs with the same text share their replies

    def verdict(self, pair: JudgedPair) -> PairVerdict:
        found: dict[Order, _OrderRead] = {}
        if pair.keys is not None:
            found = {order: self._read(key) for order, key in zip(ORDERS, pair.keys, strict=True)}
        pair.put({order: read.life for order, read in found.items()})
        return PairVerdict(
            task=pair.task,
            doc_id=pair.doc_id,
            doc_hash=pair.doc_hash,
            outcome=pair.outcome(self.lazy),
            candidate_first=pair.candidate_first,
            reference_first=pair.reference_first,
            reasons={order: read.life.said for order, read in found.items() if read.life.said},
            usage=sum((read.usage for read in found.values()), PairUsage()),
            candidate_chars=pair.candidate_chars,
            reference_chars=pair.reference_chars,
            cluster=pair.cluster,
            repeats={order: read.repeats for order, read in found.items() if len(read.repeats) > 1},
            cautions=tuple(dict.fromkeys(caution for read in found.values() for caution in read.life.cautions)),
        )

    def _read(self, key: bytes) -> _OrderRead:
        rows = self.lives.journal.rows(key)
        usage = self._count(rows, first=key not in self._counted)
        self._counted.add(key)
        numbers = sorted({reply.repeat for reply in rows.replies} | {0})
        lives = [self.lives.of_rows(rows, key, number) for number in numbers]
        return _OrderRead(lives[0], tuple(life.judgement for life in lives), usage)

    def _count(self, rows: QuestionRows, *, first: bool) -> PairUsage:
        """The pair's verdict; the ledger counts it once."""
        total = PairUsage()
        for reply in rows.replies:
            read = read_reply(reply.raw)
            if read.error is not None and read.usage is None:
                continue  # as an earlier version stored an error: no server bills it
            if first:
                paid = price_stored(reply, read.usage, self._judges, self.profile)
                self.ledger.reply(paid, reply.source, usable=read.verdict is not None)
            used = read.usage or NOTHING
            total += PairUsage(1, used.input, used.cached, used.output)
        for failure in rows.failures if first else ():
            self.ledger.failure(failure.dollars)
        return total
