"""What one reply of an arm's server shows: whether there is an answer, reasoning, and how the prompt was encoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lm_eval_fr.check.check_findings import Finding
from lm_eval_fr.check.probe import Encoding, count_is_sane, encoding
from lm_eval_fr.io.http import Server
from lm_eval_fr.models.chat_replies import Reply

GREETING = [{"role": "user", "content": "Bonjour"}]


@dataclass(frozen=True)
class Asked:
    """The first document's question as the arm sends it, and the reply.

    prompt: a conversation, a text, or the token ids that lm-eval made of one; `text` is always its
    text. templated: whether the arm uses a chat template. quiet: how to turn the model's reasoning off.
    """

    server: Server
    model: str
    task: str
    prompt: str | Sequence[Mapping[str, Any]] | Sequence[int]
    text: str
    reply: Reply
    templated: bool
    quiet: str

    @property
    def chars_per_token(self) -> float | None:
        return len(self.text) / self.reply.prompt_tokens if self.reply.prompt_tokens else None

    def findings(self, name: str) -> Iterator[Finding]:
        reply, where = self.reply, self.server.url
        if reply.reasoning:
            yield Finding("problem", name, f"it reasons before it answers: {reply.reasoning}", self.quiet)
        elif not reply.text.strip():
            remedy = "check the server's log and its chat template"
            yield Finding("problem", name, f"{where}: an empty answer to the first document of {self.task}", remedy)
        else:
            yield Finding("ok", name, f"{where} answers {_shown(reply.text)} to the first document of {self.task}")
        if reply.finish_reason == "length":
            what = f"that answer was cut at the limit of {self.task}"
            yield Finding("warning", name, what, "check that the model does what it is asked")
        yield from self._tokens(name)

    def _tokens(self, name: str) -> Iterator[Finding]:
        counted, chars, encoded = self.reply.prompt_tokens, len(self.text), self._encoding()
        if encoded and encoded.start_doubled:
            remedy = "its tokenizer adds the token that the template already has"
            yield Finding("problem", name, "prompts begin with two begin-of-text tokens", remedy)
        if self._letters():
            remedy = "serve it with --tokenizer-mode hf, or use --model hosted-chat"
            yield Finding("problem", name, "the chat template's special tokens are read as plain text", remedy)
        if counted is None:
            yield Finding("warning", name, "the server does not count tokens, so truncated prompts would go unnoticed")
        elif encoded and encoded.tokens != counted:
            what = f"the first prompt has {encoded.tokens} tokens, {counted} by the count in its answer"
            yield Finding("warning", name, what, "check whether it is cut, or rendered with another template")
        elif not count_is_sane(chars, counted):
            what = f"the first prompt has {chars:,} characters and {counted:,} tokens by the server's count"
            yield Finding("problem", name, what, "check whether it is cut, or encoded twice")
        else:
            source = (
                "as sent" if self._ids else "the server's /tokenize agrees" if encoded else "plausible for French text"
            )
            yield Finding("ok", name, f"prompt tokens: {counted:,} for {chars:,} characters, {source}")

    @property
    def _ids(self) -> bool:
        return not isinstance(self.prompt, str) and isinstance(self.prompt[0], int)

    def _encoding(self) -> Encoding | None:
        if self._ids:
            return Encoding(len(self.prompt), list(self.prompt[:1]) == list(self.prompt[1:2]), None)
        return encoding(self.server, self.model, cast("str | Sequence[Mapping[str, Any]]", self.prompt))

    def _letters(self) -> bool:
        """Whether the server reads special tokens that lm-eval writes into a text as plain text."""
        if not (isinstance(self.prompt, str) and self.templated):
            return False
        found = encoding(self.server, self.model, GREETING)
        return found is not None and found.text_prompts is False


def _shown(text: str, most: int = 40) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= most else f"{flat[:most]}…")
