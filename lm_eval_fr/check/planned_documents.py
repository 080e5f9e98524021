"""The documents of a plan as the arms will get them: how many, how long, and the first one."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lm_eval_fr.arms.endpoint import endpoint_of, note_context
from lm_eval_fr.arms.failures import LogWatch, explain
from lm_eval_fr.arms.flags import ArmCall
from lm_eval_fr.arms.harness import register_models
from lm_eval_fr.arms.requested_tasks import locate_tasks
from lm_eval_fr.errors import ArmError, InputError, LmEvalFrError

CHARS_PER_TOKEN = 4.0  # of French text, where no server has counted
DEFAULT_LENGTH = 256  # lm-eval's, where a task sets none


@dataclass(frozen=True)
class TaskWork:
    """One task of an arm. available: documents in the data set. prompts: the text of each document to ask.

    metric: the first one; clusters: the articles of the documents asked, empty where the task names none. strata: the
    fields that tell kinds of documents apart, with the kind of each document asked. kinds_known: whether these are all;
    a task with several metrics may have one for each kind, which only its results show.
    """

    name: str
    judged: bool
    metric: str | None
    available: int
    prompts: tuple[str, ...]
    clusters: tuple[str, ...]
    generation: Mapping[str, Any]
    task: Any  # lm-eval's own
    strata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kinds_known: bool = True

    @property
    def documents(self) -> int:
        return len(self.prompts)

    @property
    def answer_tokens(self) -> int:
        """The longest answer that the task allows."""
        found = self.generation.get("max_gen_toks") or self.generation.get("max_tokens")
        return found if isinstance(found, int) else DEFAULT_LENGTH


def load_work(call: ArmCall) -> tuple[TaskWork, ...]:
    """The tasks that `call` names, with their documents. Raises an error that says why they cannot be read."""
    source = locate_tasks(call.tasks, call.flags.include_path)
    try:
        with quiet():
            register_models()
            from lm_eval.tasks import TaskManager

            with contextlib.suppress(ArmError):  # a missing server is another finding
                note_context(call, endpoint_of(call))
            metadata = {**call.model_args, **(call.flags.metadata or {})}
            manager = TaskManager(
                include_path=list(source.folders), include_defaults=source.builtins, metadata=metadata
            )
            loaded = manager.load(list(call.tasks))["tasks"]
            return tuple(_work(call, name, task) for name, task in loaded.items())
    except LmEvalFrError:
        raise
    except Exception as error:  # a task's own code may raise anything
        raise explain(error, call, LogWatch(), 0) from None


def first_request(call: ArmCall, work: TaskWork, lm: Any) -> tuple[Any, dict[str, Any]]:
    """(prompt, generation settings) of the first document, exactly as `lm` will get it."""
    flags = call.flags
    templated = bool(getattr(flags, "apply_chat_template", False))
    with quiet():
        work.task.build_all_requests(
            limit=1,
            system_instruction=flags.system_instruction,
            apply_chat_template=templated,
            fewshot_as_multiturn=templated,
            chat_template=getattr(lm, "apply_chat_template", None) if templated else None,
            tokenizer_name=getattr(lm, "tokenizer_name", "") if templated else "",
        )
    prompt, settings = work.task.instances[0].args[:2]
    return prompt, dict(settings)


def _work(call: ArmCall, name: str, task: Any) -> TaskWork:
    if task.get_config("output_type") == "generate_until" and call.flags.gen_kwargs:
        task.set_config(key="generation_kwargs", value=call.flags.gen_kwargs, update=True)
    if task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    available = len(task.eval_docs)
    task.build_all_requests(**_wanted(call, name, available))
    asked = {instance.doc_id: instance for instance in reversed(task.instances)}
    metrics = [str(metric.get("metric")) for metric in task.get_config("metric_list") or () if isinstance(metric, dict)]
    about = task.get_config("metadata") or {}
    cluster, named = about.get("cluster"), about.get("strata") or ()
    docs = [asked[number].doc for number in sorted(asked)]
    strata = [str(name) for name in ([named] if isinstance(named, str) else named)]
    return TaskWork(
        name=name,
        judged=metrics == ["bypass"],
        metric=metrics[0] if metrics else None,
        available=available,
        prompts=tuple(str(asked[number].args[0]) for number in sorted(asked)),
        clusters=articles_of(docs, cluster),
        generation=dict(task.get_config("generation_kwargs") or {}),
        task=task,
        strata={name: tuple(str(doc[name]) for doc in docs) for name in strata if all(name in doc for doc in docs)},
        kinds_known=bool(strata) or len(metrics) < 2,
    )


def articles_of(docs: Sequence[Mapping[str, Any]], field: str | None) -> tuple[str, ...]:
    """The article of each document, as the comparison will have it: a document that names none is one of its own."""
    names = [doc.get(field) for doc in docs] if field else []
    if all(name is None for name in names):
        return ()
    return tuple(f"document {number}" if name is None else str(name) for number, name in enumerate(names))


def _wanted(call: ArmCall, name: str, available: int) -> dict[str, Any]:
    """Which documents, in the words of lm-eval's `build_all_requests`."""
    flags = call.flags
    if flags.samples is not None and name in flags.samples:
        picked = list(flags.samples[name])
        if picked and max(picked) >= available:
            what = f"{name} has {available} documents, the plan asks for {max(picked) + 1}"
            raise InputError(what, remedy="lower limit in the plan")
        return {"samples": picked}
    if flags.limit is None:
        return {}
    return {"limit": min(available, math.ceil(available * flags.limit) if flags.limit < 1 else int(flags.limit))}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without lm-eval's bars and logs: the findings say what matters."""
    import logging

    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    log = logging.getLogger("lm_eval")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        log.setLevel(level)
