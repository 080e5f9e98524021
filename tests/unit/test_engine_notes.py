"""What lm-eval's engines know of an answer is kept beside it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lm_eval_fr.arms.cache import AnswerCache


class Tensor(list[list[int]]):
    """Rows of tokens, with the two things that are asked of a tensor."""

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), len(self[0])

    def tolist(self) -> list[list[int]]:
        return [*self]


class Engine:
    """Answers in batches, the longest prompt first, and rewrites the settings: as lm-eval's vllm and hf do."""

    max_gen_toks, backend, eot_token_id, rank = 256, "causal", 0, 0

    def set_cache_hook(self, hook: Any) -> None:
        self.cache_hook = hook

    def generate_until(self, requests: list[Any]) -> list[str]:
        ordered = sorted(requests, key=lambda request: -len(request.args[0]))
        texts = self.batch([request.args[0] for request in ordered])
        for request, text in zip(ordered, texts, strict=True):
            self.cache_hook.add_partial("generate_until", (request.args[0], {"until": ["</s>", "eos"]}), text)
        return [texts[ordered.index(request)] for request in requests]

    def batch(self, prompts: list[str]) -> list[str]:
        raise NotImplementedError


class Vllm(Engine):
    def batch(self, prompts: list[str]) -> list[str]:
        return [output.outputs[0].text for output in self._model_generate(requests=prompts, generate=True)]

    def _model_generate(self, requests: list[str], generate: bool) -> list[Any]:
        return [
            SimpleNamespace(
                prompt_token_ids=[*prompt],
                outputs=[SimpleNamespace(text=prompt.upper(), token_ids=[1] * 3, finish_reason="length")],
            )
            for prompt in requests
        ]


class Hf(Engine):
    """Three rows: one that ends by itself, one that the limit cuts, one that holds a stop."""

    def batch(self, prompts: list[str]) -> list[str]:
        context = Tensor([[9, 9], [9, 9], [9, 9]])
        mask = Tensor([[1, 1], [1, 1], [0, 1]])
        self._model_generate(context=context, attention_mask=mask, stop=["S"], max_length=5)
        return ["a", "b", "c"]

    def _model_generate(self, **kwargs: Any) -> Tensor:
        return Tensor([[9, 9, 5, 0, 0], [9, 9, 5, 6, 7], [9, 9, 5, 83, 5]])

    def tok_decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))


def records(engine: Engine, folder: Path, *prompts: str) -> list[tuple[str | None, int, int]]:
    cache = AnswerCache(engine, folder / "c.db")
    settings = {"until": ["</s>"], "max_gen_toks": 3}
    cache.generate_until([SimpleNamespace(args=(prompt, settings)) for prompt in prompts])
    cache.close()
    found = [cache.records[prompt][0] for prompt in prompts]
    return [(r["finish_reason"], r["usage"]["prompt_tokens"], r["usage"]["completion_tokens"]) for r in found]


def test_vllm(tmp_path: Path) -> None:
    for _ in range(2):  # the second time from the cache
        assert records(Vllm(), tmp_path, "a", "ccc", "bb") == [("length", 1, 3), ("length", 3, 3), ("length", 2, 3)]


def test_hf(tmp_path: Path) -> None:
    assert records(Hf(), tmp_path, "ccc", "bb", "a") == [("stop", 2, 2), ("length", 2, 3), ("stop", 1, 3)]
