"""lm-eval's models of completions APIs, with our own sending and reading.

The requests are unchanged. But no redirect is followed, bodies are bounded, Retry-After is honoured, a
document that fails is logged as a failure while the others continue, and each answer comes with its finish reason and
usage.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import ssl
from collections.abc import Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any

import msgspec
from lm_eval.models.api_models import TemplateAPI
from lm_eval.models.utils import postprocess_generated_text

from lm_eval_fr.errors import ArmError
from lm_eval_fr.io.http import MEGABYTE, MOST_BYTES, CallFailed, Http, Server, shown_address, tls_context
from lm_eval_fr.io.loops import run_async
from lm_eval_fr.io.replies import Kind
from lm_eval_fr.io.retry import RetryPolicy, Waiting
from lm_eval_fr.models.chat_replies import Reply, has_scores
from lm_eval_fr.models.presets import REMEDIES
from lm_eval_fr.models.sender import Done, Sender

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

log = logging.getLogger("lm_eval.answers")
MOST_SCORES = 64 * MEGABYTE  # log-probabilities of a long prompt
SCORE_BYTES = 128  # of one token's log-probabilities, a byte of the prompt
RATE_PATIENCE = 3  # times as many attempts after rate limits


class Patient:
    """Mixed into an API model of lm-eval's, before its class. Uses its payload, its tokenizer and its settings."""

    max_wait = 60.0

    def generate_until(self: Any, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        if not requests or len(requests[0].args) > 2:  # with pictures: lm-eval's own way
            theirs: list[str] = TemplateAPI.generate_until(self, list(requests), disable_tqdm)
            return theirs
        answers = [""] * len(requests)
        failures: list[str] = []

        def done(index: int, reply: Reply) -> None:
            if reply.error:
                failures.append(reply.error)
            answers[index] = postprocess_generated_text(reply.text, None, getattr(self, "think_end_token", None))
            self._keep(requests[index].args, answers[index], reply.record())

        self._send(self._bodies(requests), done)
        if failures:
            log.warning(
                "%d of %d documents got no answer (the last: %s); they are logged as empty, and the "
                "same command asks them again",
                len(failures),
                len(requests),
                failures[-1],
            )
        return answers

    def model_call(self: Any, messages: Any, *, generate: bool = True, **kwargs: Any) -> Any:
        """One request for log-probabilities, as lm-eval makes it without concurrency."""

        async def call() -> Any:
            async with Http(self._server(), timeout=float(self.timeout)) as http:
                return await self._scored(http, messages, Waiting(shown_address(str(self.base_url))))

        return run_async(call())

    async def get_batched_requests(
        self: Any, requests: list[Any], cache_keys: list[Any], *, ctxlens: list[int], **kwargs: Any
    ) -> list[Any]:
        """All requests for log-probabilities, `num_concurrent` at a time."""
        lm: Any = self
        places, size = asyncio.Semaphore(max(1, int(lm._concurrent))), int(lm._batch_size)
        waiting = Waiting(shown_address(str(lm.base_url)))

        async def score(http: Http, part: slice) -> Any:
            async with places:
                outputs = await lm._scored(http, requests[part], waiting)
            answers = lm.parse_logprobs(outputs=outputs, tokens=requests[part], ctxlens=ctxlens[part])
            for key, answer in zip(cache_keys[part], answers, strict=True):
                lm.cache_hook.add_partial("loglikelihood", key, answer)
            return answers

        parts = [slice(start, start + size) for start in range(0, len(requests), size)]
        async with Http(lm._server(), timeout=float(lm.timeout)) as http:
            scores: list[Any] = await asyncio.gather(*(score(http, part) for part in parts))
        return scores

    async def _scored(self: Any, http: Http, messages: Any, waiting: Waiting) -> Any:
        """The reply to one request for log-probabilities. Raises ArmError: a document without them has no score."""
        payload = self._create_payload(self.create_message(messages), generate=False, seed=self._seed)
        body = msgspec.json.encode(payload)
        most = min(MOST_SCORES, MOST_BYTES + len(body) * SCORE_BYTES)
        try:
            answer = await http.persist(lambda: http.call("", body, most_bytes=most), self.sender().policy, waiting)
        except CallFailed as failed:
            remedy = failed.problem.remedy or self._remedies().get(failed.problem.kind, "")
            raise ArmError(f"the server answers {failed.problem}", where=waiting.where, remedy=remedy) from None
        content = answer.json
        if not has_scores(content, messages):
            said = "the reply does not have the log-probabilities of what was sent"
            raise ArmError(said, where=waiting.where, remedy="vLLM's and llama.cpp's completions do")
        return content

    def _bodies(self: Any, requests: Sequence[Instance]) -> list[bytes]:
        contexts = [request.args[0] for request in requests]
        if self.tokenized_requests:
            contexts = self.tok_encode(contexts, add_special_tokens=self.add_bos_token)
        bodies = []
        for context, request in zip(contexts, requests, strict=True):
            settings = copy.deepcopy(dict(request.args[1]))
            if self.tokenized_requests:
                context = context[-(self.max_length - settings.get("max_gen_toks", self._max_gen_toks)) :]
            body = self._create_payload(
                self.create_message([context]), generate=True, gen_kwargs=settings, seed=self._seed, eos=self.eos_string
            )
            bodies.append(msgspec.json.encode(body))
        return bodies

    def _send(self: Any, bodies: Sequence[bytes], done: Done) -> None:
        self.sender().send(bodies, done)

    def sender(self: Any) -> Sender:
        wait, attempts = float(self.max_wait), max(1, int(self.max_retries))
        return Sender(
            server=self._server(),
            concurrent=max(1, int(self._concurrent), int(self._batch_size)),
            timeout=float(self.timeout),
            policy=RetryPolicy(
                attempts=attempts,
                rate_limited=RATE_PATIENCE * attempts,
                longest_wait=wait,
                longest_retry_after=wait,
            ),
            remedies=self._remedies(),
            # Answers from an earlier run with the same arguments are in the cache.
            proven=bool(getattr(self.cache_hook, "kept", 0)),
        )

    def _server(self: Any) -> Server:
        return Server(str(self.base_url), more=dict(self.header), tls=self._tls())

    def _tls(self: Any) -> ssl.SSLContext | None:
        verify = bool(self.verify_certificate)
        return tls_context(self.ca_cert_path, verify=verify) if self.ca_cert_path or not verify else None

    def _remedies(self) -> dict[Kind, str]:
        return REMEDIES

    def _keep(self: Any, arguments: tuple[Any, ...], answer: str, record: dict[str, Any]) -> None:
        """Stored in our own cache with its record; in lm-eval's only if there is an answer."""
        if hasattr(self.cache_hook, "add_answer"):
            self.cache_hook.add_answer("generate_until", arguments, answer, record)
        elif answer:
            self.cache_hook.add_partial("generate_until", arguments, answer)


def make_patient(lm: Any) -> None:
    """Turns a model of lm-eval's into one that sends requests our way."""
    lm.max_wait = Patient.max_wait
    for name, member in vars(Patient).items():
        if callable(member):
            setattr(lm, name, MethodType(member, lm))
