"""Runs one arm through lm-eval: `lm-eval-fr run`.

lm-eval does the work, with its own parser, its own `run` and its own loggers. Around it: only our tasks are indexed
unless others are asked for, every answer is on disk as it arrives, keys stay out of what is written, a failure is one
line, and what lm-eval only warns about (results that could not be saved) is an error.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lm_eval_fr.arms.arm_records import TORCHLESS, RunOutcome, empty_warnings, leave_records, stamp_of, written
from lm_eval_fr.arms.cache import AnswerCache
from lm_eval_fr.arms.checkpoint import Checkpoint
from lm_eval_fr.arms.child import LABEL, live_no_longer_than_the_study
from lm_eval_fr.arms.endpoint import Endpoint, check_endpoint, endpoint_of, note_context
from lm_eval_fr.arms.failures import LogWatch, explain
from lm_eval_fr.arms.flags import OUR_MODELS, PATHS, ArmCall, build_parser, parse_call
from lm_eval_fr.arms.passes import (
    FirstAnswers,
    OneModel,
    SameAnswers,
    keeps_its_model,
    later_passes,
    note_in,
    of_tasks,
)
from lm_eval_fr.arms.preflight import checkpoint_of
from lm_eval_fr.arms.requested_tasks import TaskSource, check_shots, locate_tasks
from lm_eval_fr.arms.score_table import score_table
from lm_eval_fr.arms.server_dialects import ServedModel
from lm_eval_fr.arms.server_manifest import hold_to_earlier, served_here
from lm_eval_fr.arms.shard import share_out
from lm_eval_fr.errors import LmEvalFrError
from lm_eval_fr.io.progress_bar import ProgressBar
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.io.streams import redacted_output, say_on_stderr

VLLM_SLICE = 256  # vLLM's default batch: a killed run loses at most one such slice


def main(argv: Sequence[str]) -> None:
    """`lm-eval-fr run ARGV...`. Prints the scores on stdout and the rest on stderr; raises LmEvalFrError."""
    if not argv or {"-h", "--help"} & set(argv):
        print(build_parser().format_help().rstrip())
        return
    live_no_longer_than_the_study()
    outcome = run_arm(argv, say=say_on_stderr)
    kept = f", {outcome.kept} of them from an earlier run" if outcome.kept else ""
    total = outcome.kept + outcome.asked
    print(f"{total} answers in {outcome.seconds:.0f} s{kept}: {outcome.folder}", file=sys.stderr)


def run_arm(argv: Sequence[str], *, say: Callable[[str], None] = lambda message: None) -> RunOutcome:
    """Runs the arm that `argv` (everything after `lm-eval-fr run`) describes and checks that it is on disk.

    Raises UsageError for a mistake in the flags, ArmError for a problem with the model or its server.
    Answers obtained before a failure stay in the cache.
    """
    redactor = Redactor.from_environment()
    try:
        return _run(argv, redactor, say)
    except LmEvalFrError as error:
        raise redactor.error(error) from None


def _run(argv: Sequence[str], redactor: Redactor, say: Callable[[str], None]) -> RunOutcome:
    call = parse_call(argv, redactor)
    source = locate_tasks(call.tasks, call.flags.include_path)
    check_shots(call.tasks, call.flags.num_fewshot)
    endpoint, checkpoint = endpoint_of(call), checkpoint_of(call)
    with redacted_output(redactor):
        for note in (*call.notes, *(check_endpoint(endpoint) if endpoint else ())):
            say(note)
        note_context(call, endpoint)
        served = _served(call, endpoint, say)
        if source.builtins:
            say("indexing lm-eval's built-in tasks as well: about half a minute")
        arm = _StartedArm(source, checkpoint, served, redactor, say, argv)
        return arm.answer(call) if call.repeats == 1 else arm.answer_repeatedly(call)


def _served(call: ArmCall, endpoint: Endpoint | None, say: Callable[[str], None]) -> ServedModel | None:
    """What the server reports about itself, unless a manifest was given or it is on another machine. Raises ArmError if
    earlier answers came from something else."""
    if endpoint is None or call.manifest is not None or (found := served_here(endpoint.server, endpoint.model)) is None:
        return None
    hold_to_earlier(found, call.output / "cache" / f"{call.key}.served.json")
    say(f"the server reports: {found} (from {', '.join(found.start.asked)}; --manifest FILE adds more)")
    return found


@dataclass(frozen=True)
class _StartedArm:
    """What stays the same between the first answers of an arm and the next ones."""

    source: TaskSource
    checkpoint: Checkpoint | None
    served: ServedModel | None
    redactor: Redactor
    say: Callable[[str], None]
    argv: Sequence[str]

    def answer(
        self, call: ArmCall, first: FirstAnswers | None = None, facts: Mapping[str, Any] | None = None
    ) -> RunOutcome:
        """One answer to each document, checked to be on disk. facts: what its record holds beside the usual."""
        started = time.time()
        cache = self._execute(call, first)
        if int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0):
            sys.exit(0)  # one of several processes of a distributed run: the first writes the files
        for warning in empty_warnings(cache):
            self.say(warning)
        results, samples = written(call, started)
        seconds = time.time() - started
        outcome = RunOutcome(results.parent, results, samples, cache.path, cache.kept, cache.asked, seconds)
        leave_records(outcome, call, self.checkpoint, self.served, cache, started, self.argv, facts or {})
        for path in results.parent.glob(f"*_{stamp_of(results)}.json*"):
            if self.redactor.scrub_file(path):
                self.say(f"a key was removed from {path}")
        return outcome

    def answer_repeatedly(self, call: ArmCall) -> RunOutcome:
        """Several answers to each document. The outcome counts those of all passes."""
        import lm_eval.api.registry as registry

        later, first, same = list(later_passes(call)), FirstAnswers(), False
        with contextlib.ExitStack() as stack:
            if keeps_its_model(call):
                stack.enter_context(_replaced(registry, "get_model", OneModel(registry.get_model)))
            outcomes = [self.answer(call, first)]
            for one in later:
                again = of_tasks(one, outcomes[0].results)
                if again is None:
                    self.say("--repeats: no task here scores a text answer, so each document gets one answer")
                    break
                number = len(outcomes) + 1
                self.say(f"answer {number} of {call.repeats} to each document")
                facts = {"repeat": number, "repeat_of": stamp_of(outcomes[0].results)}
                try:
                    with contextlib.redirect_stdout(io.StringIO()):  # the table of scores is that of the first answers
                        outcomes.append(self.answer(again, first, facts))
                except SameAnswers as found:
                    same = True
                    self.say(
                        f"the answers were the same again on {found.documents} of {found.documents} documents: this "
                        f"server's answers do not vary, so the one answer counts for all {call.repeats} and no more "
                        "are generated (to vary them, set a temperature above 0 in both arms' gen_kwargs)"
                    )
                    break
        facts = {"repeats": call.repeats, "answers_a_document": len(outcomes), "same_answers": same}
        note_in(outcomes[0].record, facts)
        return replace(
            outcomes[0],
            kept=sum(one.kept for one in outcomes),
            asked=sum(one.asked for one in outcomes),
            seconds=sum(one.seconds for one in outcomes),
        )

    def _execute(self, call: ArmCall, first: FirstAnswers | None) -> AnswerCache:
        """Runs lm-eval. Returns the cache that it filled."""
        # Only our bar is shown. Read when tqdm is imported; vLLM divides by its bar's seconds, 0 in a disabled one.
        name, value = ("TQDM_MININTERVAL", "60") if call.model.startswith("vllm") else ("TQDM_DISABLE", "1")
        os.environ.setdefault(name, value)
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        caches: list[AnswerCache] = []
        watch = LogWatch()

        def open_cache(lm: Any, path: str) -> AnswerCache:
            caches.append(self._open_cache(call, lm, path, first))
            return caches[-1]

        try:
            with _harness(call, self.source, open_cache, watch) as execute:
                execute(call.flags)
        except (KeyboardInterrupt, SameAnswers):
            raise
        except BaseException as error:
            if isinstance(error, SystemExit) and not error.code:
                raise
            if logging.getLogger("lm_eval").isEnabledFor(logging.DEBUG):
                self.say(self.redactor.message(traceback.format_exc()))
            raise explain(error, call, watch, sum(cache.count() for cache in caches)) from None
        finally:
            for cache in caches:
                cache.close()
        return caches[-1]

    def _open_cache(self, call: ArmCall, lm: Any, path: str, first: FirstAnswers | None) -> AnswerCache:
        from lm_eval_fr.models.patient import Patient, make_patient

        if call.model in PATHS and not isinstance(lm, Patient):
            make_patient(lm)
        # With data parallelism lm-eval reloads the model for every call: one slice only.
        alone = int(call.model_args.get("data_parallel_size") or 1) == 1
        return AnswerCache(
            lm,
            Path(path),
            slice_size=VLLM_SLICE if call.model == "vllm" and alone else None,
            bar=ProgressBar(os.environ.get(LABEL, "answers"), sys.stderr),
            say=self.say,
            clean=self.redactor.exact,
            model_args=call.model_args,
            first=first,
        )


@contextlib.contextmanager
def _harness(
    call: ArmCall, source: TaskSource, open_cache: Callable[[Any, str], AnswerCache], watch: LogWatch
) -> Iterator[Callable[[Any], None]]:
    """lm-eval's own `run`, with our cache and our task folders in the two places where it has no setting for them."""
    with _no_collection():
        import lm_eval.api.model
        import lm_eval.evaluator
        import lm_eval.tasks
        import lm_eval.utils
        from lm_eval._cli.run import Run
        from lm_eval.api.registry import get_model
        from lm_eval.api.task import ConfigurableTask

        register_models()
        if call.model in OUR_MODELS or call.model in PATHS:
            get_model(call.model)
    flags = call.flags
    user_cache = flags.use_cache
    flags.use_cache = f"{user_cache}_{call.key}" if user_cache else str(call.output / "cache" / call.key)
    level, flags.verbosity = getattr(logging, str(flags.verbosity or "WARNING"), logging.WARNING), None
    flags.include_path = None

    def task_manager(include_path: Any = None, **kwargs: Any) -> Any:
        return manager(include_path=list(source.folders), include_defaults=source.builtins, **kwargs)

    manager = lm_eval.tasks.TaskManager
    with contextlib.ExitStack() as stack:
        stack.enter_context(_replaced(lm_eval.tasks, "TaskManager", task_manager))
        stack.enter_context(_replaced(lm_eval.api.model, "CachingLM", open_cache))
        stack.enter_context(_replaced(lm_eval.evaluator, "get_git_commit_hash", _git_commit))
        stack.enter_context(_replaced(lm_eval.utils, "make_table", score_table))
        if call.shard:
            sharded = share_out(lm_eval.evaluator.evaluate, call.shard)
            stack.enter_context(_replaced(lm_eval.evaluator, "evaluate", sharded))
        if not flags.num_fewshot:
            stack.enter_context(_replaced(ConfigurableTask, "fewshot_docs", _fewshot_docs(ConfigurableTask)))
        if call.model in TORCHLESS:  # otherwise torch is imported just to be seeded
            stack.enter_context(_replaced(lm_eval.evaluator, "set_torch_seed", lambda seed: None))
        stack.enter_context(_watched_log(watch, level))
        yield Run._execute


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Importing makes many objects and no garbage: without the collector the first request is sent a fifth earlier."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


def _fewshot_docs(task: type) -> Callable[[Any], Any]:
    """lm-eval reads every document again to draw examples from, even if none are requested."""
    original = task.fewshot_docs  # type: ignore[attr-defined]
    return lambda self: original(self) if self.config.num_fewshot else None


def _git_commit() -> str | None:
    """Like lm-eval's, without git's complaint on the terminal outside a repository."""
    with contextlib.suppress(OSError):
        found = subprocess.run(["git", "describe", "--always"], capture_output=True, text=True, check=False)
        return found.stdout.strip() or None
    return None


@contextlib.contextmanager
def _watched_log(watch: LogWatch, level: int) -> Iterator[None]:
    from lm_eval.utils import setup_logging

    setup_logging(level)
    handlers = [h for h in logging.getLogger("lm_eval").handlers if isinstance(h, logging.StreamHandler)]
    streams = [handler.stream for handler in handlers]
    for handler in handlers:
        handler.addFilter(watch)
        handler.stream = sys.stderr  # the redacted one
    try:
        yield
    finally:
        for handler, stream in zip(handlers, streams, strict=True):
            handler.removeFilter(watch)
            handler.stream = stream


def register_models() -> None:
    """Registers our models with lm-eval; their modules are imported when one is used."""
    import lm_eval.models  # noqa: F401  (fills the registry)
    from lm_eval.api.registry import model_registry

    for name, target in OUR_MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)
