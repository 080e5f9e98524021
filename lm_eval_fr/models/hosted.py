"""`hosted-chat`: lm-eval's chat model in the dialect of hosted APIs, for long runs over an unreliable network.

    --model hosted-chat --model_args preset=mistral,model=mistral-small-2603,num_concurrent=8
    --model hosted-chat --model_args preset=openai,model=gpt-4.1
    --model hosted-chat --model_args base_url=http://127.0.0.1:8000/v1/chat/completions,model=m,reasoning_effort=none

Against `local-chat-completions`: no seed unless one is given (and under the API's own name), the API's own name for the
answer's length, fields that it does not accept left out, and a key from any variable in any header.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.models.openai_completions import LocalChatCompletion

from lm_eval_fr.errors import ArmError, UsageError
from lm_eval_fr.io.http import Server
from lm_eval_fr.io.redaction import key_from
from lm_eval_fr.io.replies import Kind
from lm_eval_fr.models.patient import Patient
from lm_eval_fr.models.presets import DEFAULT_PRESET, HOSTED_LENGTH, PRESETS, REMEDIES


class HostedChat(Patient, LocalChatCompletion):  # type: ignore[misc]  # an untyped class of lm-eval
    """preset: "mistral", "openai" or "plain" (any OpenAI-compatible chat server; needs base_url).

    api_key_env: the variable that holds the key; api_key_header: where it goes, if not `Authorization: Bearer`.
    reasoning_effort, extra_body: sent as they are. omit: request fields that the API does not accept (stop,
    temperature). seed: sent only when given. max_retries: calls for one document. max_wait: the longest pause, in
    seconds.
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
        max_gen_toks: int = HOSTED_LENGTH,
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
        self.max_wait = float(max_wait)
        if self.preset.key_required and base_url is None and not self.api_key:
            raise ArmError(f"{self.key_env} is not set", where=url, remedy=f"export {self.key_env}=...")

    @property
    def api_key(self) -> str:
        return key_from(self.key_env)

    @property
    def header(self) -> dict[str, str]:
        return self._server().headers

    @property
    def eos_string(self) -> None:
        """A chat ends its turn by itself: only end marks that the task names are sent."""

    def create_message(self, messages: Any, generate: bool = False) -> Any:
        """Also accepts a prompt that lm-eval did not turn into a chat."""
        first = messages[0]
        return (
            [{"role": "user", "content": first}]
            if isinstance(first, str)
            else super().create_message(messages, generate)
        )

    def _create_payload(self, messages: list[dict[str, Any]], *args: Any, **kwargs: Any) -> dict[str, Any]:
        payload = super()._create_payload(messages, *args, **kwargs)
        payload.pop("seed", None)
        if self.sent_seed is not None:
            payload[self.preset.seed_field] = self.sent_seed
        payload[self.preset.length_field] = payload.pop("max_tokens")
        if not payload["stop"]:
            del payload["stop"]  # an empty list is refused by some servers and means "never" to others
        payload |= self.extra
        return {name: value for name, value in payload.items() if name not in self.omitted}

    def _server(self) -> Server:
        return Server(str(self.base_url), self.api_key, self.key_header, tls=self._tls())

    def _remedies(self) -> dict[Kind, str]:
        state = "was refused" if self.api_key else "is not set"
        return {
            **REMEDIES,
            "key": f"the key is read from {self.key_env}, which {state}",
            "model": f"check that the server has a model {self.model!r}, and base_url",
            "parameter": "leave it out with --model_args omit=FIELD+FIELD",
            "request": "if a field is named, leave it out with --model_args omit=FIELD+FIELD",
        }
