"""The results of batches: their state, their replies, and giving them up."""

from __future__ import annotations

from contextlib import suppress

from lm_eval_fr.errors import LmEvalFrError, UsageError
from lm_eval_fr.judge.batch.batch_api import OpenAIBatches, Remote
from lm_eval_fr.judge.batch.batch_file import Collection, Filing, asked_in
from lm_eval_fr.judge.batch.batch_http import Gone, Refused
from lm_eval_fr.judge.batch.batch_record import TOKEN_LIMIT, Batch, Outbox, Step, all_batches
from lm_eval_fr.judge.verdicts.journal import Failure


def status(outbox: Outbox) -> tuple[tuple[Batch, Remote | str | None], ...]:
    """Every batch of this judge, with what the server says about it; a text if it has no such batch."""
    return tuple(
        (batch, _look(outbox.server, batch) if batch.step == "submitted" else None) for batch in outbox.batches
    )


def _look(server: OpenAIBatches, batch: Batch) -> Remote | str:
    try:
        return server.get(batch.id or "")
    except Gone as gone:
        return f"the server has no such batch ({gone})"


def collect(outbox: Outbox) -> Collection:
    """Stores the replies of finished, expired and cancelled batches; the rest is open again for `submit`."""
    got = Collection()
    for batch in outbox.flying:
        if batch.step == "submitted":
            _collect(outbox, batch, got)
        else:
            got.pending += 1
    return got


def abandon(outbox: Outbox, name: str | None = None) -> tuple[tuple[Batch, str], ...]:
    """Gives up the batch with that name; without one, the only one in flight, or those that the server does not have.

    What it may have cost stays counted. Returns each with the server's reply to its cancelling. Raises UsageError if it
    is not clear which one is meant.
    """
    flying = [batch for batch in all_batches(outbox.journal) if batch.in_flight]
    server: OpenAIBatches | None = None
    with suppress(LmEvalFrError):  # a batch can also be abandoned without a key or a server
        server = outbox.server
    chosen = [batch for batch in flying if name in (batch.id, batch.tag)]
    if name is None:
        gone = [batch for batch in flying if server is not None and batch.id and isinstance(_look(server, batch), str)]
        chosen = flying if len(flying) == 1 else gone
    if not chosen:
        known = ", ".join(batch.name for batch in flying) or "none"
        what = f"{name}: no such batch is in flight" if name else "which batch?"
        raise UsageError(what, where="--batch abandon", remedy=f"in flight: {known}")
    return tuple((_give_up(outbox, batch), _cancel(server, batch)) for batch in chosen)


def _cancel(server: OpenAIBatches | None, batch: Batch) -> str:
    if server is None or batch.id is None:
        return "the server was not told"
    try:
        server.cancel(batch.id)
    except Gone:
        return "the server has no such batch"
    except (Refused, LmEvalFrError) as error:
        return f"the server was not told: {error}"
    return "the server was told to cancel it"


def _give_up(outbox: Outbox, batch: Batch) -> Batch:
    """Its questions are open again; each counts at the most that it may have cost."""
    path = outbox.path(batch)
    asked = list(asked_in(path)) if path.is_file() else [(b"", 0)]
    created = batch.step in ("creating", "submitted")
    share = 0.0 if not created else None if batch.dollars is None else batch.dollars / len(asked)
    said = f"batch {batch.name} was given up"
    for future in [outbox.journal.fail(Failure(key, batch.judge, "abandoned", said, share)) for key, _ in asked]:
        future.result()
    return outbox.close(batch, "abandoned", message="given up")


def _collect(outbox: Outbox, batch: Batch, got: Collection) -> None:
    remote = _look(outbox.server, batch)
    if isinstance(remote, str):
        _not_there(batch, remote, got)
        return
    if remote.state == "running":
        got.pending += 1
        return
    path, before = outbox.path(batch), got.stored + got.already
    filing = Filing(outbox.journal, batch.judge, outbox.profile, asked_in(path) if path.is_file() else None, got)
    for number, file_id in enumerate(remote.files):
        results = outbox.folder / f"batch-{batch.tag}.{number}.out"
        try:
            outbox.server.fetch(file_id, results)
        except Gone as gone:
            _not_there(batch, f"its results file is missing ({gone})", got)
            return
        filing.add(results)
    stored = got.stored + got.already - before
    if left := batch.questions - stored:
        said = f"batch {batch.id} {remote.status}" + (f": {remote.message}" if remote.message else "")
        got.messages.append(f"{said}; {left} of {batch.questions} questions have no reply")
    if remote.state == "failed" and TOKEN_LIMIT.search(remote.message):
        outbox.learn_limit(batch, remote.message)
        got.too_large = True
    step: Step = "failed" if remote.state == "failed" else "collected"
    outbox.close(batch, step, stored=stored, message=remote.message)


def _not_there(batch: Batch, said: str, got: Collection) -> None:
    got.pending += 1
    got.messages.append(
        f"batch {batch.name}: {said}: collect again later, use the key or OPENAI_PROJECT_ID of the project "
        f"that submitted it, or give it up: --batch abandon {batch.name}"
    )
