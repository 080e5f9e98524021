"""Answers on disk as they arrive, one file per arm: whatever killed the run, no answer is asked for again.

Stands in for lm-eval's CachingLM, whose key leaves out the model, which keeps failures as empty answers, and which
forgets the partial answers of vLLM and hf (their generation settings are rewritten before they are stored).
"""

from __future__ import annotations

import inspect
import json
import sqlite3
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lm_eval_fr.arms.engine_notes import note_generations
from lm_eval_fr.arms.passes import FirstAnswers
from lm_eval_fr.arms.sent import Sent, cut_at, refuse_one_seed, sent_by
from lm_eval_fr.errors import ArmError
from lm_eval_fr.io.progress_bar import ProgressBar
from lm_eval_fr.io.sqlite import explain, open_store

CACHED_METHODS = ("loglikelihood", "loglikelihood_rolling", "generate_until")
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT, ordinal INTEGER, answer TEXT NOT NULL, record TEXT, PRIMARY KEY (key, ordinal)
) WITHOUT ROWID
"""
INSERT = """
INSERT INTO answers (key, ordinal, answer, record)
VALUES (?1, (SELECT count(*) FROM answers WHERE key = ?1), ?2, ?3)
"""


@dataclass(eq=False)
class AnswerCache:
    """Wraps an lm-eval model, and is its cache hook. `path` is created; a second run on the same file is refused.

    slice_size: how many requests the model gets at once; None: all. Answers of a slice are on disk when it is done.
    clean: applied to every answer. model_args: the arm's. first: the arm's first answers, where each document
    gets several; raises SameAnswers if a sample of these repeats the first ones.
    """

    lm: Any
    path: Path
    slice_size: int | None = None
    bar: ProgressBar | None = None
    say: Callable[[str], None] = lambda message: None
    clean: Callable[[str], str] = lambda text: text
    model_args: Mapping[str, Any] = field(default_factory=dict)
    first: FirstAnswers | None = None
    kept: int = 0
    asked: int = 0
    records: dict[str, deque[dict[str, Any]]] = field(default_factory=lambda: defaultdict(deque))
    sent: dict[str, tuple[Sent | None, int]] = field(default_factory=dict)  # by task: as sent, answers per document
    answered: Counter[str] = field(default_factory=Counter)  # by task, in words
    empty: Counter[str] = field(default_factory=Counter)
    _waiting: dict[str, deque[str]] = field(default_factory=dict)
    _stored: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self._db = open_store(self.path, SCHEMA, kind=ArmError, exclusive=True)
        self._notes = note_generations(self.lm)
        self.lm.set_cache_hook(self)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.lm, name)
        if name not in CACHED_METHODS:
            return method
        # Only our bar is shown.
        silent = {"disable_tqdm": True} if "disable_tqdm" in inspect.signature(method).parameters else {}
        return lambda requests: self._answer_all(name, partial(method, **silent), requests)

    def count(self) -> int:
        """Answers on disk."""
        return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        if self.bar:
            self.bar.close()
        self._db.close()

    def add_partial(self, method: str, arguments: Iterable[Any], answer: Any) -> None:
        """What lm-eval's models call with each answer as it arrives."""
        self.add_answer(method, arguments, answer, self._notes.popleft() if self._notes else None)

    def add_answer(self, method: str, arguments: Iterable[Any], answer: Any, record: Mapping[str, Any] | None) -> None:
        """An answer with what is known about it: finish reason, usage, error."""
        arguments = list(arguments)
        self.store(self.key_of(method, arguments), context_of(arguments), answer, record)

    def store(self, key: str, context: str, answer: Any, record: Mapping[str, Any] | None = None) -> None:
        """Stores an answer under its request, except a failure, or an empty text without a record of its reply."""
        self._stored[key] += 1
        if self.bar:
            self.bar.step()
        if record is not None:
            self.records[context].append(dict(record))
        if not _is_answer(answer, record):
            return
        told = None if record is None else self.clean(json.dumps(record, ensure_ascii=False))
        try:
            self._db.execute(INSERT, (key, self.clean(json.dumps(answer, ensure_ascii=False)), told))
        except sqlite3.Error as error:
            raise explain(error, self.path, ArmError) from None

    def key_of(self, method: str, arguments: Iterable[Any]) -> str:
        """The request that a partial answer belongs to: engines return rewritten generation settings."""
        from lm_eval.api.model import hash_args

        arguments = list(arguments)
        exact: str = hash_args(method, arguments)
        if (
            method == "generate_until"
            and exact not in self._stored
            and (waiting := self._waiting.get(context_of(arguments)))
        ):
            return waiting.popleft() if len(waiting) > 1 else waiting[0]
        return exact

    def _answer_all(self, method: str, ask: Callable[[list[Any]], list[Any]], requests: Sequence[Any]) -> list[Any]:
        from lm_eval.api.model import hash_args

        self._note(method, requests)
        keys = [hash_args(method, request.args) for request in requests]
        known = self._read(set(keys))
        answers: list[Any] = [None] * len(keys)
        for index, (key, request) in enumerate(zip(keys, requests, strict=True)):
            if known.get(key):
                answers[index], record = known[key].popleft()
                if record is not None:
                    self.records[context_of(request.args)].append(record)
        missing = [index for index, answer in enumerate(answers) if answer is None]
        self.kept, self.asked = self.kept + len(requests) - len(missing), self.asked + len(missing)
        if len(missing) < len(requests):
            self.say(f"{len(requests) - len(missing)} of {len(requests)} answers were already there ({self.path})")
        if self.bar:
            self.bar.start(len(requests), len(requests) - len(missing))
        if self.first is not None:
            probe = self.first.probe(method, requests)
            before = set(probe).intersection(missing)
            self._ask(ask, requests, keys, answers, sorted(before))
            self.first.compare(method, requests, answers, probe)
            missing = [index for index in missing if index not in before]
        self._ask(ask, requests, keys, answers, missing)
        if self.first is not None:
            self.first.note(method, requests, answers)
        if self.bar:
            self.bar.close()  # lm-eval's next output begins on a new line
        return [self._finish(request, answer) for request, answer in zip(requests, answers, strict=True)]

    def _note(self, method: str, requests: Sequence[Any]) -> None:
        """Records what is sent for each task; all its requests have the same settings."""
        for request in requests:
            task = str(getattr(request, "task_name", ""))
            if task not in self.sent:
                words = method == "generate_until" and len(request.args) > 1
                sent = sent_by(self.lm, request.args[1], self.model_args) if words else None
                repeats = int(getattr(request, "repeats", None) or 1)
                if sent is not None and hasattr(self.lm, "_create_payload"):
                    refuse_one_seed(task, sent, repeats)
                self.sent[task] = (sent, repeats)

    def _finish(self, request: Any, answer: Any) -> Any:
        """The answer as it is scored and logged: cut at stops that were not sent, and without keys."""
        task = str(getattr(request, "task_name", ""))
        sent, _ = self.sent[task]
        if sent is None or not isinstance(answer, str):
            return answer
        text = self.clean(cut_at(answer, sent.stop_applied_here))
        self.answered[task] += 1
        self.empty[task] += not text.strip()
        return text

    def _ask(
        self,
        ask: Callable[[list[Any]], list[Any]],
        requests: Sequence[Any],
        keys: Sequence[str],
        answers: list[Any],
        places: Sequence[int],
    ) -> None:
        """Fills these places of `answers`, a slice at a time."""
        size = self.slice_size or len(places) or 1
        for part in (places[start : start + size] for start in range(0, len(places), size)):
            self._stored = defaultdict(int, {keys[place]: 0 for place in part})
            self._waiting = defaultdict(deque)
            for place in part:
                self._waiting[context_of(requests[place].args)].append(keys[place])
            returned: dict[str, int] = defaultdict(int)
            for place, answer in zip(part, ask([requests[place] for place in part]), strict=True):
                answers[place], key = answer, keys[place]
                returned[key] += 1
                if self._stored[key] < returned[key]:  # not every model reports partial answers
                    self.store(key, context_of(requests[place].args), answer)

    def _read(self, keys: set[str]) -> dict[str, deque[tuple[Any, Any]]]:
        found: dict[str, deque[tuple[Any, Any]]] = defaultdict(deque)
        for key, answer, record in self._db.execute("SELECT key, answer, record FROM answers ORDER BY key, ordinal"):
            if key in keys:
                value = json.loads(answer)
                found[key].append((tuple(value) if isinstance(value, list) else value, record and json.loads(record)))
        return found


def context_of(arguments: Sequence[Any]) -> str:
    """The prompt of a request; lm-eval wraps a chat in a one-element tuple, which its logs show as a list."""
    first = arguments[0] if arguments else ""
    return str(first[0]) if isinstance(first, (list, tuple)) and len(first) == 1 else str(first)


def _is_answer(answer: Any, record: Mapping[str, Any] | None) -> bool:
    """By the reply's record where there is one: a model may stop at once, and would do so again."""
    if record is not None and isinstance(answer, str):
        return not record.get("error")
    return answer is not None and not (isinstance(answer, str) and not answer.strip())
