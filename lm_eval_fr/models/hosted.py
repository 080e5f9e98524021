"""`hosted-chat`: lm-eval's chat model in the dialect of hosted APIs, for whole runs over a network that fails.

    --model hosted-chat --model_args preset=mistral,model=mistral-small-2603,num_concurrent=8
    --model hosted-chat --model_args preset=openai,model=gpt-4.1
    --model hosted-chat --model_args base_url=http://127.0.0.1:8000/v1/chat/completions,model=m,reasoning_effort=none

Against `local-chat-completions`: no seed unless one is given (and under the API's own name), Retry-After is honoured,
a document that fails is logged as a failure while the others go on, and a wrong key stops at the first call.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from lm_eval.models.api_models import JsonChatStr
from lm_eval.models.openai_completions import LocalChatCompletion
from lm_eval.models.utils import postprocess_generated_text
from tqdm import tqdm

from lm_eval_fr.errors import ArmError, UsageError
from lm_eval_fr.models.chat_replies import Reply
from lm_eval_fr.models.presets import DEFAULT_PRESET, PRESETS
from lm_eval_fr.models.sender import Endpoint, Policy, Sender

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

log = logging.getLogger("lm_eval.hosted-chat")


class HostedChat(LocalChatCompletion):
    """preset: "mistral", "openai" or "plain" (any OpenAI-compatible chat server; needs base_url).

    api_key_env: the variable that holds the key; api_key_header: where it goes, if not `Authorization: Bearer`.
    reasoning_effort, extra_body: sent as they are. omit: request fields that the API does not take (stop, temperature).
    seed: sent only when given. max_retries: calls for one document. max_wait: the longest pause, in seconds.
    """

    def __init__(
        self,
        model: str | None = None,
        preset: str = DEFAULT_PRESET,
        base_url: str | None = None,
        *,
        pretrained: str | None = None,
        api_key_env: str | None = None,
        api_key_header: str = "Authorization",
        reasoning_effort: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        omit: str | Sequence[str] = (),
        seed: int | None = None,
        num_concurrent: int = 8,
        max_retries: int = 6,
        max_wait: float = 60.0,
        timeout: float = 300.0,
        max_gen_toks: int = 1024,
        think_end_token: str | None = None,
        verify_certificate: bool = True,
        ca_cert_path: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        if preset not in PRESETS:
            raise UsageError(f"preset={preset}: no such preset", remedy=f"there are: {', '.join(PRESETS)}")
        self.preset = PRESETS[preset]
        url, name = base_url or self.preset.base_url, model or pretrained
        if not url or not name:
            raise UsageError(f"hosted-chat: {'model' if url else 'base_url or preset'} is missing in --model_args")
        super().__init__(
            model=name,
            base_url=url,
            num_concurrent=num_concurrent,
            max_retries=max_retries,
            timeout=timeout,
            max_gen_toks=max_gen_toks,
            think_end_token=think_end_token,
            verify_certificate=verify_certificate,
            ca_cert_path=ca_cert_path,
        )
        self.key_env = api_key_env or self.preset.key_env
        self.key_header = api_key_header
        self.sent_seed = seed
        self.omitted = tuple(omit.split("+")) if isinstance(omit, str) else tuple(omit)
        self.extra = {**({"reasoning_effort": reasoning_effort} if reasoning_effort else {}), **(extra_body or {})}
        self.policy = Policy(
            max(1, int(num_concurrent)), max(1, int(max_retries)), float(timeout), 0.5, float(max_wait)
        )
        if self.preset.key_required and base_url is None and not self.api_key:
            raise ArmError(f"{self.key_env} is not set", where=url, remedy=f"export {self.key_env}=...")

    @property
    def api_key(self) -> str:
        return os.environ.get(self.key_env, "")

    @property
    def header(self) -> dict[str, str]:
        if not self.api_key:
            return {}
        return {self.key_header: f"Bearer {self.api_key}" if self.key_header == "Authorization" else self.api_key}

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        answers = [""] * len(requests)
        failures: list[str] = []
        bodies = [self._body(*request.args) for request in requests]
        with tqdm(total=len(requests), desc="hosted-chat", disable=disable_tqdm or None) as bar:

            def done(index: int, reply: Reply, seconds: float) -> None:
                if reply.error:
                    failures.append(reply.error)
                answers[index] = postprocess_generated_text(reply.text, None, self.think_end_token)
                self._keep(requests[index].args, answers[index], reply.record(seconds))
                bar.update()

            self._send(bodies, done)
        if failures:
            log.warning(
                "%d of %d documents got no answer (the last: %s); they are logged as empty, and asked again by the "
                "same command",
                len(failures),
                len(requests),
                failures[-1],
            )
        return answers

    def _send(self, bodies: Sequence[bytes], done: Callable[[int, Reply, float], None]) -> None:
        Sender(self._endpoint(), self.policy, proven=self._proven()).send(bodies, done)

    def _proven(self) -> bool:
        """Whether an earlier run got answers with the same arguments: what is refused now is then the document."""
        return bool(getattr(getattr(self.cache_hook, "cache", None), "kept", 0))

    def _keep(self, arguments: tuple[Any, ...], answer: str, record: dict[str, Any]) -> None:
        """In our own cache with what is known of it; in lm-eval's only when there is an answer."""
        if hasattr(self.cache_hook, "add_answer"):
            self.cache_hook.add_answer("generate_until", arguments, answer, record)
        elif answer:
            self.cache_hook.add_partial("generate_until", arguments, answer)

    def _body(self, prompt: str | JsonChatStr, settings: Mapping[str, Any]) -> bytes:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else json.loads(prompt.prompt)
        return msgspec.json.encode(
            self._create_payload(messages, generate=True, gen_kwargs=copy.deepcopy(dict(settings)))
        )

    def _create_payload(self, messages: list[dict], *args: Any, **kwargs: Any) -> dict[str, Any]:
        payload = super()._create_payload(messages, *args, **kwargs)
        payload.pop("seed", None)
        if self.sent_seed is not None:
            payload[self.preset.seed_field] = self.sent_seed
        payload[self.preset.length_field] = payload.pop("max_tokens")
        if not payload["stop"]:
            del payload["stop"]  # an empty list is refused by some servers and means "never" to others
        payload |= self.extra
        return {name: value for name, value in payload.items() if name not in self.omitted}

    def _endpoint(self) -> Endpoint:
        state = "was refused" if self.api_key else "is not set"
        key = f"the key is read from {self.key_env}, which {state}"
        remedies = {
            400: "if a field is named, leave it out with --model_args omit=FIELD+FIELD",
            401: key,
            402: "the account has no credit",
            403: key,
            404: f"is {self.model!r} the name that the server knows, and base_url right?",
            429: "the account's quota is used up",
        }
        tls: ssl.SSLContext | bool = bool(self.verify_certificate)
        if self.verify_certificate and self.ca_cert_path:
            tls = ssl.create_default_context(cafile=self.ca_cert_path)
        return Endpoint(str(self.base_url), self.header, remedies, tls)
