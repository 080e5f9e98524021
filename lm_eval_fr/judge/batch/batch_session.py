"""`--batch`: the questions of a judging through files instead of calls, into the same journal and the same verdicts.

submit, status, collect use the profile's own batch endpoint; write and read a file for `vllm run-batch`. What live
calls have answered is not asked again, nor the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lm_eval_fr.errors import Unfinished, UsageError
from lm_eval_fr.judge.asking.envelope import read_reply
from lm_eval_fr.judge.asking.profile import load_rubric
from lm_eval_fr.judge.asking.prompt import parse_reply
from lm_eval_fr.judge.asking.protocol import ORDERS, VERDICTS, Profile, Question, Rubric
from lm_eval_fr.judge.asking.worklist import Item, Questioner, canary_items, in_sample, worklist
from lm_eval_fr.judge.batch import batch_file
from lm_eval_fr.judge.batch import steps as batch
from lm_eval_fr.judge.batch.batch_file import Collection
from lm_eval_fr.judge.live.client import read_key
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.session import BATCHES, JOURNAL, Say, Session, judge_runs, profiles
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary, write_summary
from lm_eval_fr.judge.verdicts.outcome import Judgement

if TYPE_CHECKING:
    from lm_eval_fr.pairing import Pairing

Action = Literal["submit", "status", "collect", "write", "read"]
FILE_ACTIONS = ("write", "read")
NO_CALLS = "--reparse calls nobody"  # what a session says of questions that it may not ask


def judge_by_batch(
    pairing: Pairing,
    out: Path,
    options: JudgeOptions,
    action: Action,
    *,
    file: Path | None = None,
    rerun: Pairing | None = None,
    say: Say = lambda message: None,
) -> JudgeSummary | None:
    """One step. `collect` and `read` return the summary of what is judged by now, as `judge_runs` does.

    Raises Unfinished when `submit` had to hold questions back for the budget; else as `judge_runs`.
    """
    judges = _checked(options, action, file)
    rubric = load_rubric(options.rubric)
    with Journal.open(out / JOURNAL) as journal:
        held_back = 0
        for profile in judges:
            step = _Step(pairing, rerun, options, profile, rubric, journal, out / BATCHES, say)
            if action == "submit":
                held_back += step.submit()
            elif action == "status":
                step.status()
            elif action == "collect":
                held_back += step.collect()
            elif file is not None:
                (step.write if action == "write" else step.read)(file)
    summary = None
    if action in ("collect", "read"):
        summary = _read_verdicts(pairing, out, options, rerun, say)
    if not held_back:
        return summary
    what = f"{held_back:,} questions do not fit --max-usd {options.max_usd:g} any more"
    remedy = "raise --max-usd and submit again; what was submitted is kept"
    if summary is None:
        raise Unfinished(what, where=out, remedy=remedy)
    summary = replace(summary, finished=False, left=f"{summary.left}; {what}" if summary.left else what, remedy=remedy)
    write_summary(out / "judge.json", summary)
    return summary


def _read_verdicts(pairing: Pairing, out: Path, options: JudgeOptions, rerun: Pairing | None, say: Say) -> JudgeSummary:
    summary = judge_runs(pairing, out, replace(options, reparse=True), rerun=rerun, say=say)
    if summary.left and NO_CALLS in summary.left:
        left = summary.left.replace(NO_CALLS, "they have no reply yet")
        summary = replace(summary, left=left, remedy="submit or write them again, or judge live without --batch")
        write_summary(out / "judge.json", summary)
    return summary


def open_questions(
    items: Iterable[Item], questioner: Questioner, journal: Journal, options: JudgeOptions, sampled: int = 0
) -> Iterator[Question]:
    """What is left to ask. `sampled`: how many items there are, if some of them are to be asked again for noise."""
    lazy = options.orders == "lazy"
    for item in items:
        if item.identical:
            continue
        both = questioner.both(item)
        known = {order: _stored(journal, question, options) for order, question in both.items()}
        missing = [both[order] for order in both if known[order].open]
        if any(found.judgement == "invalid" and not found.open for found in known.values()):
            missing = []  # the other order would not mend it
        elif lazy and any(found.judgement == "tie" for found in known.values()):
            missing = []  # the headline is settled
        elif lazy and all(found.judgement is None for found in known.values()):
            missing = missing[:1]
        yield from missing
        if sampled and options.repeats > 1 and in_sample(item, sampled, options.repeat_sample, journal.salt):
            again = (replace(both[order], repeat=n) for order in ORDERS for n in range(1, options.repeats))
            yield from (question for question in again if _stored(journal, question, options).open)


@dataclass(frozen=True, slots=True)
class _Stored:
    judgement: Judgement
    open: bool


def _stored(journal: Journal, question: Question, options: JudgeOptions) -> _Stored:
    """A reply without a verdict is asked for again as often as a live run would."""
    asks = 0
    for reply in journal.replies(question.key):
        if reply.repeat != question.repeat:
            continue
        read = read_reply(reply.raw, parse_reply)
        if read.verdict in VERDICTS:
            return _Stored(read.verdict, False)
        asks += 1
        if read.again == "no" or asks >= (2 if read.again == "once" else options.retry.asks):
            return _Stored("invalid", False)
    if asks:
        return _Stored("invalid", True)
    failure = journal.last_failure(question.key)
    refused = failure is not None and failure[0] == "request"
    return _Stored("invalid" if refused else None, not refused)


@dataclass(frozen=True)
class _Step:
    """One judge's part of a step."""

    pairing: Pairing
    rerun: Pairing | None
    options: JudgeOptions
    profile: Profile
    rubric: Rubric
    journal: Journal
    folder: Path
    say: Say

    def submit(self) -> int:
        """Returns how many questions were held back."""
        if self.options.controls:
            work = worklist(self.pairing)
            Session(self.profile, self.rubric, self.journal, self.options, work, None, None, self.say).ask_canaries()
        sent = batch.submit(self.journal, self.profile, self._open(), self.folder, max_usd=self.options.max_usd)
        self._say_submitted(sent)
        return sent.held_back

    def collect(self) -> int:
        """Returns how many questions of what came back open did not fit the budget any more."""
        got, again = batch.collect_and_resubmit(
            self.journal, self.profile, self._open, self.folder, max_usd=self.options.max_usd
        )
        self._say_collected(got)
        if again is not None:
            self._say_submitted(again)
        return again.held_back if again is not None else 0

    def status(self) -> None:
        found = batch.status(self.journal, self.profile)
        if not found:
            self.say(f"{self.profile.name}: no batch was submitted here")
        for known, remote in found:
            state = f"{known.step}, {known.stored:,} of {known.questions:,} answered"
            if remote is not None:
                state = f"{remote.status}, {remote.completed:,} of {known.questions:,} answered"
                state += f", {remote.failed:,} failed" if remote.failed else ""
            said = (remote.message if remote is not None else "") or known.message
            self.say(f"{self.profile.name}: batch {known.id or known.tag}: {state}" + (f": {said}" if said else ""))

    def write(self, file: Path) -> None:
        count = batch_file.write(file, self._open(canaries=True))
        self.say(f"{count:,} questions written; run: vllm run-batch -i {file} -o RESULTS --model {self.profile.model}")

    def read(self, file: Path) -> None:
        questioner = self._questioner()
        known = {
            question.key
            for item in chain(self._items(), canary_items())
            if not item.identical
            for question in questioner.both(item).values()
        }
        self._say_collected(batch_file.read(file, self.journal, self.profile, known))

    def _open(self, *, canaries: bool = False) -> Iterator[Question]:
        ask = partial(open_questions, questioner=self._questioner(), journal=self.journal, options=self.options)
        if canaries and self.options.controls:
            yield from ask(canary_items())
        work = worklist(self.pairing)
        yield from ask(work, sampled=work.n)
        if self.rerun is not None:
            yield from ask(worklist(self.rerun))

    def _items(self) -> Iterator[Item]:
        yield from worklist(self.pairing)
        if self.rerun is not None:
            yield from worklist(self.rerun)

    def _questioner(self) -> Questioner:
        return Questioner(self.profile, self.rubric, self.journal.salt)

    def _say_submitted(self, sent: batch.Submission) -> None:
        costs = [known.dollars for known in sent.batches]
        most = "at an unknown price" if None in costs else f"for ${sum(c for c in costs if c is not None):.2f} at most"
        where = f"{len(sent.batches)} batch{'es' if len(sent.batches) != 1 else ''}"
        waiting = f"; {sent.waiting:,} wait in earlier batches" if sent.waiting else ""
        if sent.questions:
            self.say(f"{self.profile.name}: {sent.questions:,} questions submitted in {where} {most}{waiting}")
        else:
            self.say(f"{self.profile.name}: nothing to submit{waiting}")

    def _say_collected(self, got: Collection) -> None:
        for message in got.messages:
            self.say(f"{self.profile.name}: {message}")
        numbers = (
            (got.stored, "replies filed"),
            (got.already, "filed before"),
            (got.failed, "without a reply"),
            (got.strange, "lines of other questions left alone"),
            (got.pending, "batches not finished"),
        )
        said = ", ".join(f"{number:,} {name}" for number, name in numbers if number)
        self.say(f"{self.profile.name}: {said or 'nothing to collect'}")


def _checked(options: JudgeOptions, action: Action, file: Path | None) -> list[Profile]:
    judges = profiles(options)
    if (action in FILE_ACTIONS) != (file is not None):
        needs = "takes no FILE" if file is not None else "needs a FILE"
        raise UsageError(f"{action} {needs}", where="--batch", remedy="--batch write FILE, or --batch read FILE")
    if options.stop == "anytime":
        raise UsageError("a batch is answered as a whole", where="--stop anytime", remedy="leave it or --batch out")
    if action in FILE_ACTIONS and len(judges) > 1:
        raise UsageError(f"{action} is for one judge", where="--profile", remedy="write one file a judge")
    for profile in judges:
        if action not in FILE_ACTIONS:
            read_key(profile)
        if profile.dialect == "offline":
            raise UsageError("the offline judge has no batches", where="--profile", remedy="leave --batch out")
    return judges
