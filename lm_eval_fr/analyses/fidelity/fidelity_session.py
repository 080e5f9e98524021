"""Asks both arms about every text (the reference twice where a noise floor is wanted) and keeps every reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lm_eval_fr.analyses.fidelity.divergence import first_difference
from lm_eval_fr.analyses.fidelity.logprob_client import Client, GaveUp, ScoringArm, TextRefused
from lm_eval_fr.analyses.fidelity.logprob_request import DIALECTS, Dialect, NoLogprobs, body_of, path_of, read_reply
from lm_eval_fr.analyses.fidelity.reply_store import Store, reply_key
from lm_eval_fr.analyses.fidelity.scored import Scored
from lm_eval_fr.analyses.fidelity.texts import Passage
from lm_eval_fr.errors import ArmError, MismatchError, Unfinished

SERVE_IT = "serve it with `vllm serve`, whose completions return them; most hosted chat APIs do not"
DIED = "rerun to resume; if the server runs out of memory, try --concurrency 1 or a smaller --top"


@dataclass
class Obtained:
    """Where each arm's replies are. `refused`: text -> why an arm will not score it."""

    keys: Mapping[str, Sequence[bytes]]
    dialects: Mapping[str, Dialect]
    refused: dict[str, str] = field(default_factory=dict)
    resumed: int = 0


@dataclass
class _Asking:
    """One arm being asked about all the texts."""

    client: Client
    top: int
    store: Store
    step: Callable[[], None]
    refused: dict[str, str]
    dialect: Dialect = DIALECTS[0]
    resumed: int = 0
    failed: int = 0
    last: str = ""

    def key(self, passage: Passage, asked: int) -> bytes:
        arm = self.client.arm
        return reply_key(arm.identity, self.dialect, body_of(passage, arm.model, self.top, self.dialect), asked)

    async def find_dialect(self, passages: Sequence[Passage]) -> None:
        """How this server is asked: in the way that first works, and that reply is kept."""
        arm, said = self.client.arm, ""
        for passage in passages:
            for self.dialect in DIALECTS[: 1 if passage.turns else None]:
                key = self.key(passage, 0)
                if self.store.has(key):
                    return
                try:
                    self.store.put(key, await score(self.client, passage, self.top, self.dialect))
                    self.resumed -= 1  # it is already stored when all are asked
                    return
                except GaveUp as error:
                    raise Unfinished(f"the {arm.role}: {error}", where=arm.url, remedy=DIED) from None
                except NoLogprobs as error:
                    said = said or str(error)
                except TextRefused as error:
                    said = said or error.said
                    if error.of_this_text:
                        break
            else:
                raise no_logprobs(arm, said)
        raise ArmError(f"no text fits into the {arm.role}: {said}", where=arm.url, remedy="give shorter texts")

    async def all(self, passages: Sequence[Passage], asked: int = 0) -> None:
        await asyncio.gather(*(self._one(passage, asked) for passage in passages))

    async def _one(self, passage: Passage, asked: int) -> None:
        key = self.key(passage, asked)
        if self.store.has(key):
            self.resumed += 1
        else:
            try:
                self.store.put(key, await score(self.client, passage, self.top, self.dialect))
            except TextRefused as error:
                if not error.of_this_text:
                    raise no_logprobs(self.client.arm, error.said) from None
                self.refused.setdefault(passage.id, error.said)
            except NoLogprobs as error:
                raise no_logprobs(self.client.arm, str(error)) from None
            except GaveUp as error:
                self.failed += 1
                self.last = str(error)
        self.step()


async def score(client: Client, passage: Passage, top: int, dialect: Dialect) -> Scored:
    """Raises Refused, NoLogprobs, GaveUp, ArmError."""
    content = await client.send(path_of(passage), body_of(passage, client.arm.model, top, dialect), top)
    try:
        return read_reply(content, dialect)
    except OverflowError:
        raise NoLogprobs("the reply numbers tokens beyond 64 bits") from None


def no_logprobs(arm: ScoringArm, said: str) -> ArmError:
    what = f"the {arm.role} gives no log-probabilities: {said}"
    if "max allowed" in said:
        return ArmError(what, where=arm.url, remedy="ask for fewer: --top, or serve with --max-logprobs")
    if "HTTP 404" in said:
        return ArmError(what, where=arm.url, remedy="an address ends in /v1; name the model with --model")
    return ArmError(what, where=arm.url, remedy=SERVE_IT)


async def obtain(
    arms: Mapping[str, ScoringArm],
    passages: Sequence[Passage],
    store: Store,
    *,
    top: int,
    concurrency: int,
    rerun: bool,
    step: Callable[[], None],
) -> Obtained:
    """Every reply in the store. arms: by role. `step` is called once per reply.

    Raises ArmError for a server without log-probabilities, MismatchError for arms with different tokenizers, and
    Unfinished for texts without a reply.
    """
    clients = [Client(arm, concurrency) for arm in arms.values()]
    try:
        refused: dict[str, str] = {}
        asking: dict[str, _Asking] = {client.arm.role: _Asking(client, top, store, step, refused) for client in clients}
        for arm in asking.values():
            await arm.find_dialect(passages)
        _same_tokens(asking, passages, store)
        await _together([one.all(passages) for one in asking.values()])
        keys = {role: [one.key(passage, 0) for passage in passages] for role, one in asking.items()}
        if rerun:
            # In another order, so that the server batches each text with others.
            reference = asking["reference"]
            await _together([reference.all(passages[::-1], asked=1)])
            keys["rerun"] = [reference.key(passage, 1) for passage in passages]
        failed = sum(one.failed for one in asking.values())
        if failed:
            last = next(one.last for one in asking.values() if one.failed)
            raise Unfinished(f"{failed} replies are missing; the last failure: {last}", where=store.path, remedy=DIED)
        dialects = {role: one.dialect for role, one in asking.items()}
        return Obtained(keys, dialects, refused, sum(one.resumed for one in asking.values()))
    finally:
        for client in clients:
            await client.close()


async def _together(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """All of it, or the first failure with the rest cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as several:
        first: BaseException = several
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


def _same_tokens(asking: Mapping[str, _Asking], passages: Sequence[Passage], store: Store) -> None:
    """Refuses arms with different tokenizers before hours are spent on them."""
    for passage in passages:
        found = [store.get(one.key(passage, 0)) for one in (asking["candidate"], asking["reference"])]
        if found[0] is not None and found[1] is not None:
            check_tokens(found[0], found[1], passage)
            return


def check_tokens(candidate: Scored, reference: Scored, passage: Passage) -> None:
    """Raises MismatchError where the arms cut the text into different tokens."""
    place = first_difference(candidate, reference)
    if place is None:
        return
    shown = [repr(one.tokens[place]) if place < one.n else "its end" for one in (candidate, reference)]
    raise MismatchError(
        "tokenizers",
        f"the arms' tokenizers differ: text {passage.id}, token {place + 1}: {shown[0]} against {shown[1]}",
        remedy="fidelity compares token by token: serve both arms with the same tokenizer and chat template",
    )
