"""Judging: brings journal, judge and pairs together, and writes the results.

OUT/journal.sqlite    every reply, of every judge and rubric that was ever used here
OUT/verdicts.jsonl    one line per pair
OUT/judge.json        how they came about, and what they cost
OUT/panel/<profile>/  the same two for each judge of a panel; OUT's own are then the majority's
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval_fr.errors import Unfinished, UsageError
from lm_eval_fr.io.http import Answer, Http
from lm_eval_fr.io.loops import run_async
from lm_eval_fr.io.progress_bar import ProgressBar
from lm_eval_fr.io.retry import STUCK_AFTER, Throttle
from lm_eval_fr.judge.asking.controls import Controls, controls_for
from lm_eval_fr.judge.asking.profile import load_profile, load_rubric, override, shutdown_warning
from lm_eval_fr.judge.asking.protocol import Profile, Rubric
from lm_eval_fr.judge.asking.worklist import Item, PlannedItems, Questioner, Work, sample_of, worklist
from lm_eval_fr.judge.batch.batch_record import committed_dollars, in_flight
from lm_eval_fr.judge.live.asker import Asker
from lm_eval_fr.judge.live.client import Send, account_headers, chat, server_of
from lm_eval_fr.judge.live.hopeless import Halt, Streak
from lm_eval_fr.judge.live.schedule import Schedule
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.verdicts.control_results import after_controls
from lm_eval_fr.judge.verdicts.findings import JudgingResults, write_findings, write_panel
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.journal_guard import open_journal
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
from lm_eval_fr.judge.verdicts.judged_pairs import Harvest
from lm_eval_fr.judge.verdicts.ledger import Budget, cost_at_most
from lm_eval_fr.judge.verdicts.people import read_labels
from lm_eval_fr.judge.verdicts.question_life import Lives, QuestionLife

if TYPE_CHECKING:
    from lm_eval_fr.judge.live.anytime import Anytime
    from lm_eval_fr.pairing import Pairing

BATCHES = "batches"  # the folder of batch files in flight
NO_CALLS = Halt("no calls", "--reparse makes no calls", "leave --reparse out to ask for what is missing")
JUDGE = "judge"  # the bar's label while pairs are judged
Say = Callable[[str], None]


def judge_runs(
    runs: Pairing | PlannedItems,
    out: Path,
    options: JudgeOptions,
    *,
    rerun: Pairing | None = None,
    progress: bool = False,
    say: Say = lambda message: None,
    no_calls: Halt = NO_CALLS,
) -> JudgeSummary:
    """Judges every judged pair and writes verdicts.jsonl and judge.json into `out`, from where it also resumes.

    runs: two of them paired, or pairs of no run. rerun: the reference against its own rerun; it is judged too, and
    gives the judge's noise floor.
    no_calls: what a run with `reparse` says about the questions that it may not ask.
    If judging cannot finish (budget, server, batches in flight), the summary says so: see
    `check_finished`. Raises JournalError, JudgeError (key, model), UsageError (address, a budget without prices),
    KeyboardInterrupt.
    """
    work = runs if isinstance(runs, PlannedItems) else worklist(runs, by_unit=options.stop == "anytime")
    judges, rubric = check_ready(options)
    parts = {}
    with open_journal(out) as journal, closing(ProgressBar(JUDGE, sys.stderr)) as bar:
        lives = lives_of(journal, options)
        for profile in judges:
            session = Session(profile, rubric, lives, options, work, rerun, bar if progress else None, say, no_calls)
            parts[profile.name] = session.run(out if len(judges) == 1 else out / "panel" / profile.name)
        return next(iter(parts.values())) if len(parts) == 1 else write_panel(out, parts, journal, options.level)


def lives_of(journal: Journal, options: JudgeOptions) -> Lives:
    """How to read the journal."""
    elsewhere = in_flight(journal, journal.path.parent / BATCHES)
    return Lives(journal, elsewhere, time.time() if options.retry_invalid else 0.0)


def check_ready(options: JudgeOptions) -> tuple[list[Profile], Rubric]:
    """Checks what judging needs besides answers; raises what `judge_runs` would, before anything runs or is paid."""
    judges, rubric = profiles(options), load_rubric(options.rubric)
    for profile in judges:
        if not options.reparse and profile.dialect != "offline":
            server_of(profile)
            account_headers(profile)
        if options.max_usd is not None:
            check_prices(profile)
    if options.labels is not None:
        read_labels(options.labels)
    return judges, rubric


def check_prices(profile: Profile) -> None:
    """UsageError if a budget cannot be kept, because the greatest cost of a call is unknown."""
    if cost_at_most({}, profile) is None:
        raise UsageError(
            "--max-usd cannot be kept: a price or the output limit is unknown",
            where=f"profile {profile.name}",
            remedy="give `prices` and max_completion_tokens in a copy of the profile, or leave --max-usd out",
        )


def profiles(options: JudgeOptions) -> list[Profile]:
    return [override(load_profile(name), model=options.model, base_url=options.base_url) for name in options.profile]


def check_finished(summary: JudgeSummary, out: Path) -> None:
    """Raises Unfinished, with what is left, if judging did not finish."""
    if not summary.finished:
        again = "rerun the same command to resume"
        raise Unfinished(summary.left or "not finished", where=out, remedy=summary.remedy or again)


@dataclass
class Session:
    """One judge on one list of pairs."""

    profile: Profile
    rubric: Rubric
    lives: Lives
    options: JudgeOptions
    work: Work
    rerun: Pairing | None
    bar: ProgressBar | None
    say: Say
    no_calls: Halt
    results: JudgingResults = field(default_factory=JudgingResults)

    def __post_init__(self) -> None:
        self.questioner = Questioner(self.profile, self.rubric, self.lives.journal.salt)
        self.lazy = self.options.orders == "lazy"
        self.concurrency = self.options.concurrency or self.profile.concurrency

    def run(self, out: Path) -> JudgeSummary:
        """Obtains the replies and writes the results. What is stored is kept, however it ends."""
        started, results = time.monotonic(), self.results
        if (warning := shutdown_warning(self.profile, date.today())) is not None:
            self.say(f"warning: {warning}")
        try:
            run_async(self._obtain(self._budget()))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        if results.halt is not None and results.halt.error is not None:
            raise results.halt.error
        if results.halt is not None and results.halt.why == "interrupt":
            done = sum(pair.outcome(self.lazy) != "unjudged" for pair in results.pairs)
            raise KeyboardInterrupt(f"{done:,} of {self.work.n:,} pairs are judged")
        harvest, seconds = Harvest(self.lives, self.profile, lazy=self.lazy), time.monotonic() - started
        return write_findings(out, results, harvest, self.rubric, self.options, self.work, seconds)

    async def _obtain(self, budget: Budget | None) -> None:
        if self.options.reparse or self.profile.dialect == "offline":
            await self._judge(self._asker(self._answer_here, budget))
            return
        async with Http(server_of(self.profile), timeout=self.profile.timeout) as http:
            await self._judge(self._asker(chat(http, self.profile), budget))

    async def _judge(self, asker: Asker) -> None:
        await self._ask_controls(asker)
        asker = await self._judge_pairs(asker)
        self.results.halt, self.results.spent, self.results.waiting = asker.halt, asker.ledger.usage(), asker.waiting

    async def _ask_controls(self, asker: Asker) -> None:
        """The gross ones first: a judge that loses them is not paid for graded ones."""
        controls = controls_for(self.work, self.options.controls)
        # After `--controls 0`, --reparse finds that none was ever asked, so none is missing. A batch may still bring
        # some.
        if self.options.reparse and self.no_calls is NO_CALLS and not self._known(controls):
            return
        self.results.controls = controls
        if controls.graded.shortage is not None:
            self.say(f"warning: {controls.graded.shortage}")
        for items, lazy in ((controls.gross, False), (controls.graded.items, self.lazy)):
            schedule = self._schedule(asker, len(items), lazy=lazy, bar=self._bar("controls"))
            self.results.asked += await schedule.judge_all(items)
            halt = after_controls(self.results.asked, controls)
            if halt is not None and self.options.trust_judge:
                self.say(f"warning: {halt.what}")
            elif halt is not None:
                asker.stop(halt)

    def _known(self, controls: Controls) -> bool:
        """Whether any of them was asked before, or waits in a batch."""
        lives = (life for item in controls for life in self.lives.both(self.questioner.both(item)).values())
        return any(life != QuestionLife() for life in lives)

    async def _judge_pairs(self, asker: Asker) -> Asker:
        """Returns the asker that has the run's accounts."""
        watch, sample, results = self._watch(), list[Item](), self.results
        schedule = self._schedule(asker, self.work.n, watch=watch, bar=self._bar(JUDGE))
        results.pairs = await schedule.judge_all(self._sampling(sample))
        if watch is not None and watch.stopped is not None:
            results.stopped = watch.stopped
            results.pairs = [pair for pair in results.pairs if 0 <= pair.unit < watch.stopped.units]
            if asker.halt is not None and asker.halt.why == "decided":
                asker = self._asker(asker.send, asker.budget, asker)
        if sample:
            chosen = {pair.doc_hash for pair in results.pairs}
            again = (self.questioner.again(item, self.options.repeats) for item in sample if item.doc_hash in chosen)
            await self._schedule(asker, self.concurrency).ask_all(chain.from_iterable(again))
        if self.rerun is not None:
            control = worklist(self.rerun)
            results.rerun = await self._schedule(asker, control.n, bar=self._bar("rerun")).judge_all(control)
        return asker

    def _bar(self, label: str) -> ProgressBar | None:
        """For a stage of the judging; a log counts the pairs alone."""
        if self.bar is None or not (self.bar.live or label == JUDGE):
            return None
        self.bar.stage(label)
        return self.bar

    def _schedule(
        self,
        asker: Asker,
        n: int,
        *,
        lazy: bool | None = None,
        watch: Anytime | None = None,
        bar: ProgressBar | None = None,
    ) -> Schedule:
        """For `n` pairs or questions."""
        lazy = self.lazy if lazy is None else lazy
        return Schedule(asker, self.questioner, lazy, min(self.concurrency, n), n, watch, bar)

    def _asker(self, send: Send, budget: Budget | None, before: Asker | None = None) -> Asker:
        """A new asker; `before` is one stopped by a decision, whose accounts continue."""
        patience = min(STUCK_AFTER, self.profile.timeout / 40)
        asker = Asker(
            lives=self.lives,
            judge=self.lives.journal.judge(self.profile),
            profile=self.profile,
            send=send,
            throttle=Throttle(self.concurrency, self.options.retry, stuck_after=patience),
            streak=Streak(self.profile, self.options.retry.failures_in_a_row),
            policy=self.options.retry,
            budget=budget,
            source="offline" if self.profile.dialect == "offline" else "live",
        )
        if before is not None:
            asker.ledger, asker.retries = before.ledger, before.retries
        if self.options.reparse:
            asker.stop(self.no_calls)
        return asker

    async def _answer_here(self, body: dict[str, Any]) -> Answer:
        from lm_eval_fr.judge.asking.offline import answer_offline

        return Answer(200, {}, answer_offline(body), 0.0)

    def _budget(self) -> Budget | None:
        if self.options.max_usd is None:
            return None
        return Budget(self.options.max_usd, committed_dollars(self.lives.journal, self.profile))

    def _watch(self) -> Anytime | None:
        if self.options.stop == "never" or self.options.margin is None:
            return None
        from lm_eval_fr.judge.live.anytime import Anytime

        return Anytime(
            self.work.unit_sizes, self.options.margin, self.options.alpha, lazy=self.lazy, ahead=2 * self.concurrency
        )

    def _sampling(self, sample: list[Item]) -> Iterator[Item]:
        """The items; those to be asked again are kept in `sample`."""
        chosen = sample_of(self.work, self.options, self.lives.journal.salt)
        for item in self.work:
            if item.place in chosen and not item.identical:
                sample.append(item)
            yield item
