"""`--batch`: the questions of a judging through files instead of calls, into the same journal and the same verdicts.

submit, status, collect, abandon use the profile's own batch endpoint; write and read a file for `vllm run-batch`.
Questions answered by live calls are not asked again, and vice versa. The controls go first, in a batch of their own;
the pairs follow once the judge has shown that it can see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lm_eval_fr.errors import Unfinished, UsageError
from lm_eval_fr.judge.asking.controls import Controls, controls_for
from lm_eval_fr.judge.asking.protocol import Profile, Question, Rubric
from lm_eval_fr.judge.asking.worklist import Item, Place, Questioner, Worklist, sample_of, worklist
from lm_eval_fr.judge.batch import batch_collect, batch_file, batch_submit
from lm_eval_fr.judge.batch.batch_file import Asking, Collection
from lm_eval_fr.judge.batch.batch_record import Outbox
from lm_eval_fr.judge.batch.batch_submit import Submission
from lm_eval_fr.judge.live.client import remedy
from lm_eval_fr.judge.live.hopeless import Halt
from lm_eval_fr.judge.options import WITH_FILE, BatchAction, JudgeOptions
from lm_eval_fr.judge.session import BATCHES, Say, check_ready, judge_runs, lives_of
from lm_eval_fr.judge.verdicts.control_results import after_controls
from lm_eval_fr.judge.verdicts.journal_guard import open_journal
from lm_eval_fr.judge.verdicts.judge_summary import FILE, JudgeSummary, write_summary
from lm_eval_fr.judge.verdicts.judged_pairs import JudgedPair
from lm_eval_fr.judge.verdicts.question_life import Lives, open_orders

if TYPE_CHECKING:
    from lm_eval_fr.pairing import Pairing

NO_REPLY_YET = Halt("no calls", "they have no reply yet", "submit or write them again, or judge live without --batch")


def judge_by_batch(
    pairing: Pairing,
    out: Path,
    options: JudgeOptions,
    action: BatchAction,
    *,
    file: Path | None = None,
    name: str | None = None,
    rerun: Pairing | None = None,
    say: Say = lambda message: None,
) -> JudgeSummary | None:
    """One step. `collect` and `read` return the summary of what is judged by now, as `judge_runs` does.

    name: the batch to abandon. Raises Unfinished when `submit` had to hold questions back; else as `judge_runs`.
    """
    (judges, rubric), work = _checked(options, action), worklist(pairing)
    why: Halt | None = None
    with open_journal(out) as journal:
        for profile in judges:
            step = _Step(Outbox(journal, profile, out / BATCHES), work, rerun, options, rubric, say)
            if action == "submit":
                why = why or step.submit()
            elif action == "status":
                step.status()
            elif action == "collect":
                why = why or step.collect()
            elif action == "abandon":
                step.abandon(name)
            elif file is not None:
                (step.write if action == "write" else step.read)(file)
    if action in ("collect", "read"):
        return _read_verdicts(pairing, out, options, rerun, say, why)
    if why is not None:
        raise Unfinished(why.what, where=out, remedy=why.remedy)
    return None


def _read_verdicts(
    pairing: Pairing, out: Path, options: JudgeOptions, rerun: Pairing | None, say: Say, why: Halt | None
) -> JudgeSummary:
    """`why`: why the open questions are not submitted again."""
    quiet = replace(options, reparse=True, retry_invalid=False)
    summary = judge_runs(pairing, out, quiet, rerun=rerun, say=say, no_calls=why or NO_REPLY_YET)
    if why is not None and why.why == "budget":
        left = f"{summary.left}; {why.what}" if summary.left else why.what
        summary = replace(summary, finished=False, left=left, remedy=why.remedy)
        write_summary(out / FILE, summary)
    return summary


def open_questions(
    items: Iterable[Item],
    questioner: Questioner,
    lives: Lives,
    options: JudgeOptions,
    sample: frozenset[Place] = frozenset(),
) -> Iterator[Question]:
    """What is left to ask. With `--orders lazy` the second order follows when the first is known."""
    lazy = options.orders == "lazy"
    for item in items:
        if item.identical:
            continue
        both = questioner.both(item)
        found = lives.both(both)
        left = open_orders(found, lazy=lazy)
        unknown = all(life.judgement is None for life in found.values())
        yield from (both[order] for order in (left[:1] if lazy and unknown else left))
        if item.place in sample:
            yield from (question for question in questioner.again(item, options.repeats) if lives.of(question).open)


@dataclass(frozen=True)
class _Step:
    """One judge's part of a step."""

    outbox: Outbox
    work: Worklist
    rerun: Pairing | None
    options: JudgeOptions
    rubric: Rubric
    tell: Say

    def submit(self) -> Halt | None:
        """Returns why some questions were not submitted."""
        return self._failed_controls() or self._submit()

    def collect(self) -> Halt | None:
        """Stores the replies and submits what is still open. Returns why some of it was not submitted."""
        got = batch_collect.collect(self.outbox)
        self._say_collected(got)
        if got.blocked is not None:
            return Halt("server", str(got.blocked), remedy(got.blocked, self.outbox.profile))
        if (halt := self._failed_controls()) is not None:
            return halt
        if not (got.stored + got.already or got.too_large):
            return None  # what brought nothing at all would do so again
        return self._submit(quiet=True)

    def status(self) -> None:
        found = batch_collect.status(self.outbox)
        if not found:
            self.say("no batch was submitted here")
        for known, remote in found:
            state = f"{known.step}, {known.stored:,} of {known.questions:,} answered"
            if isinstance(remote, str):
                state = remote
            elif remote is not None:
                state = f"{remote.status}, {remote.completed:,} of {known.questions:,} answered"
                state += f", {remote.failed:,} failed" if remote.failed else ""
            said = (remote.message if remote is not None and not isinstance(remote, str) else "") or known.message
            self.say(f"batch {known.name}: {state}" + (f": {said}" if said else ""))

    def abandon(self, name: str | None) -> None:
        for batch, said in batch_collect.abandon(self.outbox, name):
            cost = "at an unknown cost" if batch.dollars is None else f"counted at its most, ${batch.dollars:.2f}"
            self.say(f"batch {batch.name} is given up, {cost}; {said}; {batch.questions:,} questions are open again")

    def write(self, file: Path) -> None:
        count = batch_file.write(file, chain(self._open_controls(), self._open_pairs()))
        model = self.outbox.profile.model
        self.tell(f"{count:,} questions written; run: vllm run-batch -i {file} -o RESULTS --model {model}")

    def read(self, file: Path) -> None:
        questioner = self._questioner()
        sizes = {
            question.key: len(msgspec.json.encode(question.body))
            for item in chain(self.work, () if self.rerun is None else worklist(self.rerun), self._controls())
            if not item.identical
            for question in questioner.both(item).values()
        }
        known: dict[Asking, int] = {(key, n): size for key, size in sizes.items() for n in range(self.options.repeats)}
        self._say_collected(batch_file.read(file, self.outbox.journal, self.outbox.profile, known))

    def _submit(self, *, quiet: bool = False) -> Halt | None:
        """quiet: print nothing if nothing is submitted."""
        sent = batch_submit.submit(self.outbox, self._open(), max_usd=self.options.max_usd)
        if sent.questions or sent.held_back or sent.later or not quiet:
            self._say_submitted(sent)
        if not sent.held_back:
            return None
        what = f"{sent.held_back:,} questions no longer fit --max-usd {self.options.max_usd:g}"
        return Halt("budget", what, "raise --max-usd and submit again; what was submitted is kept")

    def _failed_controls(self) -> Halt | None:
        """The result of the controls, once all are answered."""
        judged = None if self.options.trust_judge else self._judged_controls()
        return None if judged is None else after_controls(judged, self._controls())

    def _judged_controls(self) -> list[JudgedPair] | None:
        """None while any has yet to be asked, or waits for a batch."""
        lives, questioner, judged = self._lives(), self._questioner(), []
        for item in self._controls():
            found = lives.both(questioner.both(item))
            if open_orders(found, lazy=False) or any(life.state == "waiting" for life in found.values()):
                return None
            judged.append(JudgedPair.of(item, found))
        return judged

    def _open(self) -> Iterator[Question]:
        """The controls, and the pairs after them: together only where the judge is trusted."""
        yield from self._open_controls()
        if self.options.trust_judge or self._judged_controls() is not None:
            yield from self._open_pairs()
        else:
            self.say("the controls go first; the pairs follow at --batch collect")

    def _open_controls(self) -> Iterator[Question]:
        """Both orders at once: a second batch would take another day."""
        both = replace(self.options, orders="both")
        yield from open_questions(self._controls(), self._questioner(), self._lives(), both)

    def _controls(self) -> Controls:
        return controls_for(self.work, self.options.controls)

    def _open_pairs(self) -> Iterator[Question]:
        lives = self._lives()
        sample = sample_of(self.work, self.options, self.outbox.journal.salt)
        yield from open_questions(self.work, self._questioner(), lives, self.options, sample)
        if self.rerun is not None:
            yield from open_questions(worklist(self.rerun), self._questioner(), lives, self.options)

    def _questioner(self) -> Questioner:
        return Questioner(self.outbox.profile, self.rubric, self.outbox.journal.salt)

    def _lives(self) -> Lives:
        return lives_of(self.outbox.journal, self.options)

    def say(self, message: str) -> None:
        self.tell(f"{self.outbox.profile.name}: {message}")

    def _say_submitted(self, sent: Submission) -> None:
        costs = [known.dollars for known in sent.batches]
        most = "at an unknown price" if None in costs else f"for ${sum(c for c in costs if c is not None):.2f} at most"
        where = f"{len(sent.batches)} batch{'es' if len(sent.batches) != 1 else ''}"
        waiting = f"; {sent.waiting:,} wait in earlier batches" if sent.waiting else ""
        later = f"; {sent.later:,} follow at --batch collect: the server accepts no more at once" if sent.later else ""
        if sent.questions:
            self.say(f"{sent.questions:,} questions submitted in {where} {most}{waiting}{later}")
        else:
            self.say(f"nothing to submit{waiting}{later}")

    def _say_collected(self, got: Collection) -> None:
        for message in got.messages:
            self.say(message)
        numbers = (
            (got.stored, "replies filed"),
            (got.already, "filed before"),
            (got.failed, "without a reply"),
            (got.strange, "lines ignored (other questions, or repeated)"),
            (got.pending, "batches not finished"),
        )
        said = ", ".join(f"{number:,} {name}" for number, name in numbers if number)
        self.say(said or "nothing to collect")


def _checked(options: JudgeOptions, action: BatchAction) -> tuple[list[Profile], Rubric]:
    if options.stop == "anytime":
        raise UsageError("a batch is answered as a whole", where="--stop anytime", remedy="leave out --stop or --batch")
    if action in WITH_FILE and len(options.profile) > 1:
        raise UsageError(f"{action} is for one judge", where="--profile", remedy="write one file per judge")
    keyless = action in (*WITH_FILE, "abandon")  # this needs no server
    judges, rubric = check_ready(replace(options, reparse=True, retry_invalid=False) if keyless else options)
    if any(profile.dialect == "offline" for profile in judges):
        raise UsageError("the offline judge has no batches", where="--profile", remedy="leave --batch out")
    return judges, rubric
