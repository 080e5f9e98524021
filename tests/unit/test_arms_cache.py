"""Answers on disk: kept as they arrive, under the right request, and never a failure among them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lm_eval_fr.arms.cache import AnswerCache
from lm_eval_fr.errors import ArmError
from lm_eval_fr.io.progress_bar import ProgressBar
from tests.fakes.terminal import Terminal

pytest.importorskip("lm_eval")


class Model:
    """Answers like an lm-eval model. hand_over: how it tells the cache of partial answers."""

    def __init__(self, answer: Callable[[str, int], Any], hand_over: str = "exact") -> None:
        self.answer, self.hand_over = answer, hand_over
        self.asked: list[str] = []
        self.sizes: list[int] = []
        self.rank = 3

    def set_cache_hook(self, hook: Any) -> None:
        self.hook = hook

    def generate_until(self, requests: list[Any]) -> list[Any]:
        self.sizes.append(len(requests))
        return [self._one(*request.args) for request in requests]

    loglikelihood = generate_until

    def _one(self, prompt: str, settings: Any) -> Any:
        self.asked.append(prompt)
        text = self.answer(prompt, len(self.asked))
        if self.hand_over == "exact":
            self.hook.add_partial("generate_until", (prompt, settings), text)
        elif self.hand_over == "rewritten":  # as vLLM and hf do
            self.hook.add_partial("generate_until", (prompt, {**settings, "until": ["</s>", "<eos>"]}), text)
        return text


def requests(*prompts: str, **settings: Any) -> list[Any]:
    return [SimpleNamespace(args=(prompt, {"until": ["</s>"], **settings})) for prompt in prompts]


def reopen(cache: AnswerCache, model: Model) -> AnswerCache:
    cache.close()
    return AnswerCache(model, cache.path)


@pytest.mark.parametrize("hand_over", ["exact", "rewritten", "none"])
def test_what_was_answered_is_not_asked_again(tmp_path: Path, hand_over: str) -> None:
    first = AnswerCache(Model(lambda prompt, number: prompt.upper(), hand_over), tmp_path / "a" / "c.db")
    assert first.generate_until(requests("un", "deux")) == ["UN", "DEUX"]
    again = Model(lambda prompt, number: f"{prompt} neuf", hand_over)
    second = reopen(first, again)
    assert second.generate_until(requests("deux", "trois", "un")) == ["DEUX", "trois neuf", "UN"]
    assert again.asked == ["trois"]
    assert (second.kept, second.asked) == (2, 1)
    assert second.rank == 3


@pytest.mark.parametrize("hand_over", ["exact", "rewritten"])
def test_answers_before_a_crash_are_there(tmp_path: Path, hand_over: str) -> None:
    def crash(prompt: str, number: int) -> str:
        if number == 3:
            raise RuntimeError("CUDA out of memory")
        return prompt.upper()

    first = AnswerCache(Model(crash, hand_over), tmp_path / "c.db")
    with pytest.raises(RuntimeError):
        first.generate_until(requests("un", "deux", "trois", "quatre"))
    assert first.count() == 2
    again = Model(lambda prompt, number: prompt, hand_over)
    assert reopen(first, again).generate_until(requests("un", "deux", "trois", "quatre"))[:2] == ["UN", "DEUX"]
    assert again.asked == ["trois", "quatre"]


@pytest.mark.parametrize("failure", ["", " \n", None])
def test_failures_are_no_answers(tmp_path: Path, failure: Any) -> None:
    first = AnswerCache(Model(lambda prompt, number: failure), tmp_path / "c.db")
    assert first.generate_until(requests("un")) == [failure]
    assert first.count() == 0


def test_settings_tell_requests_apart(tmp_path: Path) -> None:
    first = AnswerCache(Model(lambda prompt, number: "a"), tmp_path / "c.db")
    first.generate_until(requests("un", max_gen_toks=5))
    again = Model(lambda prompt, number: "b")
    assert reopen(first, again).generate_until(requests("un", max_gen_toks=6)) == ["b"]


def test_repeats_keep_one_answer_each(tmp_path: Path) -> None:
    first = AnswerCache(Model(lambda prompt, number: f"{prompt}{number}"), tmp_path / "c.db")
    assert first.generate_until(requests("a", "a", "b")) == ["a1", "a2", "b3"]
    again = Model(lambda prompt, number: "neuf")
    assert reopen(first, again).generate_until(requests("a", "a", "a", "b")) == ["a1", "a2", "neuf", "b3"]


def test_scores_come_back_as_they_were(tmp_path: Path) -> None:
    first = AnswerCache(Model(lambda prompt, number: (-1.5, True), "none"), tmp_path / "c.db")
    first.loglikelihood(requests("a"))
    assert reopen(first, Model(lambda prompt, number: None)).loglikelihood(requests("a")) == [(-1.5, True)]


def test_slices(tmp_path: Path) -> None:
    model = Model(lambda prompt, number: prompt, "none")
    cache = AnswerCache(model, tmp_path / "c.db", slice_size=2)
    assert cache.generate_until(requests(*"abcde")) == list("abcde")
    assert model.sizes == [2, 2, 1]


def test_what_is_known_of_an_answer_comes_back_with_it(tmp_path: Path) -> None:
    model = Model(lambda prompt, number: "oui", "none")
    cache = AnswerCache(model, tmp_path / "c.db", clean=lambda text: text.replace("sk-key", "[redacted]"))
    model.answer = lambda prompt, number: (
        model.hook.add_answer("generate_until", (prompt, {"until": ["</s>"]}), "oui sk-key", {"error": None}) or "oui"
    )
    cache.generate_until(requests("a"))
    assert list(cache.records["a"]) == [{"error": None}]
    again = reopen(cache, Model(lambda prompt, number: "non"))
    assert again.generate_until(requests("a")) == ["oui [redacted]"]
    assert list(again.records["a"]) == [{"error": None}]


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    cache = AnswerCache(Model(lambda prompt, number: "a"), tmp_path / "c.db")
    with pytest.raises(ArmError, match="in use by another process"):
        AnswerCache(Model(lambda prompt, number: "a"), cache.path)


def test_files_that_are_no_cache(tmp_path: Path) -> None:
    (tmp_path / "c.db").write_text("not a database, but long enough to be looked at" * 50)
    with pytest.raises(ArmError, match="is damaged"):
        AnswerCache(Model(lambda prompt, number: "a"), tmp_path / "c.db")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArmError, match="cannot be written"):
        AnswerCache(Model(lambda prompt, number: "a"), tmp_path / "file" / "c.db")


def test_progress_begins_before_the_first_batch_has_ended(tmp_path: Path) -> None:
    stream, seen = io.StringIO(), []

    def answer(prompt: str, number: int) -> str:
        seen.append(stream.getvalue())
        return "a"

    bar = ProgressBar("answers", stream)
    AnswerCache(Model(answer), tmp_path / "c.db", bar=bar).generate_until(requests("un", "deux"))
    assert seen[0] == "answers: 0 of 2\n"


def test_progress_is_a_line_now_and_then() -> None:
    stream, now = io.StringIO(), [0.0]
    bar = ProgressBar("reference", stream, clock=lambda: now[0])
    bar.start(1000, 200)
    for _ in range(70):
        now[0] += 1.0
        bar.step()
    bar.close()
    assert stream.getvalue().splitlines() == [
        "reference: 200 of 1,000",
        "reference: 230 of 1,000, 1.0/s, 12 min 50 s left",
        "reference: 260 of 1,000, 1.0/s, 12 min 20 s left",
        "reference: 270 of 1,000, 1.0/s, 12 min 10 s left",
    ]


def test_the_one_bar_is_ours_and_its_line_is_ended_before_the_next(tmp_path: Path) -> None:
    asked: list[bool] = []

    class Talkative(Model):
        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[Any]:
            asked.append(disable_tqdm)
            return super().generate_until(requests)

    with Terminal(50) as terminal:
        bar = ProgressBar("reference-rerun", terminal.stream)
        cache = AnswerCache(Talkative(lambda prompt, number: "a"), tmp_path / "c.db", bar=bar)
        cache.generate_until(requests("un", "deux"))
        print("what lm-eval says then", file=terminal.stream)
        cache.close()
    assert asked == [True]
    assert terminal.lines[-1] == "what lm-eval says then"
    bars = re.split(r"[\r\n]+", terminal.text)
    assert any(bar.startswith("reference-rerun [") and "2/2" in bar for bar in bars)
    assert max(map(len, bars)) < 50
