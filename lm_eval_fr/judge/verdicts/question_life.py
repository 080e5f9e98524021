"""The life of a question: what the journal's rows say about it, and so whether to ask it. Live asking, batches, the
estimate and the summary all read it here.

    open        never asked, or only failures that may pass       ask
    waiting     in a batch                                         collect
    answered    a verdict                                          never ask again
    unreadable  a reply without a verdict                          ask twice in all, over all runs; then it is `invalid`
    refused     refused, filtered or moderated: this text          never ask again
    blocked     key, project, model, parameter; quota, billing     ask when the user has fixed it
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Literal

from lm_eval_fr.io.replies import find_problem
from lm_eval_fr.judge.asking.envelope import read_reply
from lm_eval_fr.judge.asking.protocol import CallUsage, Cause, Order, Question
from lm_eval_fr.judge.verdicts.journal import Journal, QuestionRows
from lm_eval_fr.judge.verdicts.outcome import Judgement

State = Literal["open", "waiting", "answered", "unreadable", "refused", "blocked"]
ASKS = 2  # replies without a verdict, over all runs; asking until one comes would be optional stopping
TEXT_REFUSED = ("moderated", "too_long")
BLOCKED = ("key", "model", "parameter", "address", "quota", "stop")  # `stop`: in earlier journals


@dataclass(frozen=True, slots=True)
class QuestionLife:
    """`said`: the judge's reason, or what went wrong. `cautions`: reasons to doubt the verdict.

    `cause`: why the last reply held no verdict.
    """

    state: State = "open"
    judgement: Judgement = None
    said: str = ""
    cause: Cause | None = None
    cautions: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether it may be asked."""
        return self.judgement is None and self.state != "waiting"


def question_life(rows: QuestionRows, *, repeat: int = 0, waiting: bool = False, since: float = 0.0) -> QuestionLife:
    """The life of the question in `rows`, in its `repeat`-th asking: a pure function.

    waiting: a batch has it. since: replies without a verdict before this time (Unix) are ignored, see
    `--retry-invalid`.
    """
    failed = [(failure.at, failure.kind, failure.detail) for failure in rows.failures]
    unread: list[QuestionLife] = []
    for reply in rows.replies:
        if reply.repeat != repeat:
            continue
        read = read_reply(reply.raw)
        if read.verdict is not None:
            return QuestionLife("answered", read.verdict, read.reason, cautions=_cautions(read.usage, reply.sent))
        if read.error is not None:  # only earlier versions stored errors as replies
            failed.append((reply.at, read.error.kind, str(read.error)))
        elif read.cause == "refused":
            return QuestionLife("refused", "refused", read.problem, read.cause)
        elif reply.at >= since:
            cautions = _cautions(read.usage, reply.sent)
            unread.append(QuestionLife("unreadable", None, read.problem, read.cause, cautions))
    failed = sorted((at, _kind(kind, said), said) for at, kind, said in failed)
    refusals = [said for _, kind, said in failed if kind in TEXT_REFUSED]
    unexplained = [said for at, kind, said in failed if kind == "request" and at >= since]
    if refusals or len(unexplained) >= ASKS:
        return QuestionLife("refused", "refused", (refusals or unexplained)[-1], "refused")
    if len(unread) >= ASKS:
        last = unread[-1]
        return QuestionLife("unreadable", "invalid", last.said, last.cause, last.cautions)
    if waiting:
        return QuestionLife("waiting", None, "waits for a batch")
    if unread:
        return unread[-1]
    if failed:
        _, kind, said = failed[-1]
        return QuestionLife("blocked" if kind in BLOCKED else "open", None, said)
    return QuestionLife()


def open_orders(lives: Mapping[Order, QuestionLife], *, lazy: bool) -> tuple[Order, ...]:
    """The questions of a pair still to ask, in the order of `lives`; none if its outcome is settled.

    With `lazy` the second depends on the first, which may be in a batch.
    """
    judgements = [life.judgement for life in lives.values()]
    waiting = any(life.state == "waiting" for life in lives.values())
    if "invalid" in judgements or "refused" in judgements or (lazy and ("tie" in judgements or waiting)):
        return ()
    return tuple(order for order, life in lives.items() if life.open)


@dataclass(frozen=True, slots=True)
class Lives:
    """Reads lives from a journal. `elsewhere`: key and repeat of what batches are going to answer."""

    journal: Journal
    elsewhere: Container[tuple[bytes, int]] = frozenset()
    since: float = 0.0

    def of(self, question: Question) -> QuestionLife:
        return self.of_rows(self.journal.rows(question.key), question.key, question.repeat)

    def of_rows(self, rows: QuestionRows, key: bytes, repeat: int) -> QuestionLife:
        waiting = (key, repeat) in self.elsewhere
        return question_life(rows, repeat=repeat, waiting=waiting, since=self.since)

    def both(self, questions: Mapping[Order, Question]) -> dict[Order, QuestionLife]:
        return {order: self.of(question) for order, question in questions.items()}


def _kind(kind: str, said: str) -> str:
    """An earlier version stored every 400 as `request`, even an empty account: its words are read again."""
    found = find_problem(400, {}, said.encode()) if kind == "request" else None
    return kind if found is None else found.kind


def _cautions(usage: CallUsage | None, sent: int | None) -> tuple[str, ...]:
    if usage is None or not usage.misses(sent):
        return ()
    return (f"the server read only {usage.input:,} tokens of a prompt of {sent:,} bytes, so only a part of it",)
