"""One arm of a plan: can its server or checkpoint do the work, and is its prompt read as intended?"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lm_eval_fr.arms.endpoint import Endpoint, check_endpoint, endpoint_of
from lm_eval_fr.arms.failures import LogWatch, explain
from lm_eval_fr.arms.flags import OUR_MODELS, ArmCall
from lm_eval_fr.arms.harness import register_models
from lm_eval_fr.arms.preflight import checkpoint_of
from lm_eval_fr.arms.sent import refuse_one_seed, sent_by
from lm_eval_fr.check.check_findings import Finding
from lm_eval_fr.check.planned_documents import TaskWork, first_request, quiet
from lm_eval_fr.check.prepared_arms import check_engine
from lm_eval_fr.check.probe import question
from lm_eval_fr.check.reply_check import Asked
from lm_eval_fr.errors import ArmError, LmEvalFrError


@dataclass(frozen=True)
class ArmCheck:
    """chars_per_token: of the first prompt, by the server's own count; None if it gave none."""

    findings: tuple[Finding, ...]
    chars_per_token: float | None = None


def check_arm(name: str, call: ArmCall, work: Sequence[TaskWork]) -> ArmCheck:
    """Asks the arm's server one of the plan's questions, or checks the files of its checkpoint."""
    findings: list[Finding] = []
    try:
        endpoint = endpoint_of(call)
        if endpoint is None:
            findings += _check_engine(name, call)
            return ArmCheck(tuple(findings))
        findings += [Finding("warning", name, note) for note in check_endpoint(endpoint)]
        asked = _ask(call, endpoint, work)
        findings += asked.findings(name)
        return ArmCheck(tuple(findings), asked.chars_per_token)
    except LmEvalFrError as error:
        return ArmCheck((*findings, Finding.of(error, name)))


def _ask(call: ArmCall, endpoint: Endpoint, works: Sequence[TaskWork]) -> Asked:
    """One request with every field that the arm will send, to find fields that the API refuses."""
    from lm_eval.api.registry import get_model

    work = _shortest(works)
    register_models()
    try:
        with quiet():
            lm = get_model(call.model).create_from_arg_obj(dict(call.model_args), {"batch_size": 1})
            for one in works:
                repeats, settings = one.task.get_config("repeats") or 1, one.task.get_config("generation_kwargs")
                if repeats > 1 and settings:
                    refuse_one_seed(one.name, sent_by(lm, settings, call.model_args), repeats)
            asked, settings = first_request(call, work, lm)
            encoded = lm.tok_encode(asked) if lm.tokenized_requests and isinstance(asked, str) else None
            prompt = lm.create_message([asked if encoded is None else encoded])
            body = lm._create_payload(
                prompt, generate=True, gen_kwargs=copy.deepcopy(settings), seed=lm._seed, eos=lm.eos_string
            )
    except LmEvalFrError:
        raise
    except Exception as error:  # lm-eval's constructors raise anything
        raise explain(error, call, LogWatch(), 0) from None
    server = endpoint.server
    reply = question(server, json.dumps(body).encode())
    text = asked if isinstance(asked, str) else "".join(str(message["content"]) for message in body["messages"])
    templated = bool(getattr(call.flags, "apply_chat_template", False))
    sent = prompt if encoded is None else encoded
    return Asked(server, endpoint.model, work.name, sent, text, reply, templated, _no_reasoning(call))


def _shortest(work: Sequence[TaskWork]) -> TaskWork:
    asked = [task for task in work if task.documents and task.task.get_config("output_type") == "generate_until"]
    if not asked:
        raise ArmError("no task of the plan generates text", remedy="see `lm-eval-fr tasks`")
    return min(asked, key=lambda task: task.answer_tokens)


def _check_engine(name: str, call: ArmCall) -> Iterator[Finding]:
    if call.model in OUR_MODELS:
        yield Finding("ok", name, f"{call.model} runs in this process and needs no server")
        return
    try:
        check_engine(call)
    except LmEvalFrError as error:
        yield Finding.of(error, name)
    checkpoint, model = checkpoint_of(call), str(call.model_args.get("pretrained") or "")
    if checkpoint is None:
        yield Finding("warning", name, f"{model} is not complete on this machine: the engine will download the rest")
        return
    yield Finding(
        "ok", name, f"{model}: complete, quantisation {checkpoint.quantization}, revision {checkpoint.revision}"
    )


def _no_reasoning(call: ArmCall) -> str:
    if call.model == "hosted-chat":
        return "add reasoning_effort: none to model_args, or start the server with it as its default"
    return 'start the server with reasoning off: --default-chat-template-kwargs \'{"reasoning_effort": "none"}\''
