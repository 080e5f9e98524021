"""vLLM's /tokenize and /detokenize for the fake server: one token a mark of the template, one for four characters."""

from __future__ import annotations

from typing import Any

from aiohttp import web

MARKS = {1: "<s>", 3: "<|user|>", 4: "<|end|>", 5: "<|assistant|>"}
FIRST = 10


class FakeTokenizer:
    """start_doubled, marks_are_letters: how a tokenizer that does not fit its template misbehaves."""

    def __init__(self, *, start_doubled: bool = False, marks_are_letters: bool = False) -> None:
        self.start_doubled, self.marks_are_letters = start_doubled, marks_are_letters
        self._pieces: list[str] = []

    @property
    def routes(self) -> list[web.RouteDef]:
        return [web.post("/tokenize", self._tokenize), web.post("/detokenize", self._detokenize)]

    def chat(self, messages: list[dict[str, str]]) -> list[int]:
        tokens = [1, 1] if self.start_doubled else [1]
        for message in messages:
            tokens += [3, *self._letters(message["content"]), 4]
        return [*tokens, 5]

    def text(self, prompt: str, *, start: bool) -> list[int]:
        tokens = [1, 1] if start and self.start_doubled else [1] if start else []
        while prompt:
            mark = next((number for number, name in MARKS.items() if prompt.startswith(name)), None)
            if mark is not None and not self.marks_are_letters:
                tokens.append(mark)
                prompt = prompt[len(MARKS[mark]) :]
                continue
            end = min((at for name in MARKS.values() if (at := prompt.find(name, 1)) > 0), default=len(prompt))
            tokens += self._letters(prompt[:end])
            prompt = prompt[end:]
        return tokens

    def _letters(self, text: str) -> list[int]:
        numbers = []
        for at in range(0, len(text), 4):
            piece = text[at : at + 4]
            if piece not in self._pieces:
                self._pieces.append(piece)
            numbers.append(FIRST + self._pieces.index(piece))
        return numbers

    async def _tokenize(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        if "messages" in body:
            tokens = self.chat(body["messages"])
        else:
            tokens = self.text(body["prompt"], start=body.get("add_special_tokens", True))
        return web.json_response({"count": len(tokens), "max_model_len": 8192, "tokens": tokens})

    async def _detokenize(self, request: web.Request) -> web.Response:
        tokens = (await request.json())["tokens"]
        text = "".join(MARKS.get(token) or self._pieces[token - FIRST] for token in tokens)
        return web.json_response({"prompt": text})
