"""Run folders as lm-eval 0.4.13 writes them, byte for byte, without running lm-eval.

    task = FakeTask("piaf_fr", [FakeSample({"id": "1", "title": "Paris"}, "Où ?", "à Paris", {"f1": 1.0})])
    folder = make_run(tmp_path / "candidate", task, form="chat", model="org/nvfp4")

`form` is the way in which the arm logs its prompts: "raw" (completions), "chat" (a chat API with
--apply_chat_template) or "template" (vLLM or hf with a chat template). `plain_task` makes a task of n documents from
lists of scores. tests/unit/test_logs.py compares this writer with lm-eval itself.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jinja2

Form = Literal["raw", "chat", "template"]

CHATML = (
    "{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"
)
INST = (
    "{{ bos_token }}{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{{ '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}"
    "{%- elif message['role'] == 'user' %}{{ '[INST]' + message['content'] + '[/INST]' }}"
    "{%- else %}{{ message['content'] + eos_token }}{%- endif %}{%- endfor %}"
)
BOS, EOS = "<s>", "</s>"
GREEDY = {"until": ["</s>"], "max_gen_toks": 64, "temperature": 0.0, "do_sample": False}
_clock = itertools.count()


@dataclass
class FakeSample:
    """One document and what the arm made of it. `answer` may be several responses (repeats).

    `by_filter` gives (answer, scores) for each filter where a task has several.
    """

    doc: Mapping[str, Any]
    prompt: str
    answer: str | Sequence[str] = ""
    scores: Mapping[str, Any] = field(default_factory=dict)
    target: Any = ""
    doc_id: int | None = None
    shots: Sequence[tuple[str, str]] = ()
    by_filter: Mapping[str, tuple[Any, Mapping[str, Any]]] | None = None
    choices: Sequence[tuple[str, float]] = ()  # of a multiple-choice task, with their log-likelihoods


@dataclass
class FakeTask:
    name: str
    samples: Sequence[FakeSample]
    version: Any = 1.0
    generation: Mapping[str, Any] = field(default_factory=lambda: dict(GREEDY))
    cluster: str | None = None
    description: str = ""
    filters: Sequence[str] = ("none",)
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    original: int | None = None
    aggregation: Mapping[str, str] = field(default_factory=dict)  # other than the mean
    printed: Mapping[str, float] = field(default_factory=dict)  # the aggregates of these
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        scored = [scores for sample in self.samples for _, _, scores in _filtered(sample, self.filters)]
        return list(dict.fromkeys(name for scores in scored for name in scores))


def plain_task(
    name: str,
    scores: Mapping[str, Sequence[float]] | int,
    *,
    answers: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    **task: Any,
) -> FakeTask:
    """A task of as many documents as there are scores (or a number: a judged task, without any)."""
    n = scores if isinstance(scores, int) else len(next(iter(scores.values())))
    of_metric = {} if isinstance(scores, int) else scores
    samples = [
        FakeSample(
            doc={"id": f"d{i}", **({"title": titles[i]} if titles else {}), "question": f"Où est « l’île » n° {i} ?"},
            prompt=f"Réponds en français.\n\nQuestion : Où est « l’île » n° {i} ?\nRéponse :",
            answer=answers[i] if answers else f"réponse {i}",
            scores={metric: values[i] for metric, values in of_metric.items()},
            target=f"cible {i}",
        )
        for i in range(n)
    ]
    return FakeTask(name, samples, **task)


def make_run(
    folder: Path,
    *tasks: FakeTask,
    form: Form = "raw",
    model: str = "org/modele",
    source: str | None = None,
    model_args: Mapping[str, Any] | str | None = None,
    system_instruction: str | None = None,
    chat_template: str = CHATML,
    limit: float | None = None,
    gen_kwargs: Mapping[str, Any] | None = None,
    log_samples: bool = True,
    multiturn: bool = True,
    at: datetime | None = None,
    results: Mapping[str, Any] | None = None,
) -> Path:
    """Writes one run and returns the model's folder, `folder`/<sanitised model>. Later calls are later runs."""
    when = at or datetime(2026, 1, 1, 12) + timedelta(seconds=next(_clock), microseconds=123456)
    date_id = when.isoformat().replace(":", "-")
    arm = Arm(form, system_instruction, chat_template if form == "template" else "", multiturn)
    lines = {task.name: _task_lines(task, arm) for task in tasks}
    place = folder / re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)
    place.mkdir(parents=True, exist_ok=True)
    body = {
        **_task_blocks(tasks, lines, gen_kwargs),
        "config": {
            "model": source or {"raw": "local-completions", "chat": "local-chat-completions", "template": "vllm"}[form],
            "model_args": {"model": model} if model_args is None else model_args,
            "batch_size": 1,
            "batch_sizes": [],
            "device": None,
            "use_cache": None,
            "limit": limit,
            "bootstrap_iters": 100000,
            "gen_kwargs": gen_kwargs,
            "random_seed": 0,
            "numpy_seed": 1234,
            "torch_seed": 1234,
            "fewshot_seed": 1234,
        },
        "git_hash": None,
        "date": when.timestamp(),
        "pretty_env_info": "N/A (torch not installed)",
        "transformers_version": "N/A",
        "lm_eval_version": "0.4.13",
        "upper_git_hash": None,
        **({"tokenizer_eos_token": [EOS, "2"], "tokenizer_bos_token": [BOS, "1"]} if form == "template" else {}),
        "task_hashes": {name: _task_hash(task_lines) for name, task_lines in lines.items() if log_samples},
        **_tracked(arm, model, source),
        **(results or {}),
    }
    body["model_source"] = body["config"]["model"]
    body["model_name_sanitized"] = place.name
    (place / f"results_{date_id}.json").write_text(json.dumps(body, indent=2, ensure_ascii=False), encoding="utf-8")
    for name, task_lines in lines.items() if log_samples else ():
        with (place / f"samples_{name}_{date_id}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in task_lines)
    return place


def write_responses(place: Path, task: str, rows: Sequence[Mapping[str, Any]], date_id: str) -> Path:
    """What our hosted-chat model keeps beside the samples: one row a request."""
    path = place / f"responses_{task}_{date_id}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def messages(task: FakeTask, sample: FakeSample, arm: Arm) -> list[dict[str, str]]:
    """The conversation as lm-eval builds it."""
    system = _delimited(arm.system, task.description)
    turns = [{"role": "system", "content": system}] if system else []
    if not arm.multiturn:
        return [*turns, {"role": "user", "content": _shots(sample) + sample.prompt}]
    for question, answer in sample.shots:
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return [*turns, {"role": "user", "content": sample.prompt}]


def render(template: str, turns: Sequence[Mapping[str, str]]) -> str:
    """The chat template applied as transformers applies it."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        messages=turns, add_generation_prompt=True, bos_token=BOS, eos_token=EOS
    )


@dataclass(frozen=True)
class Arm:
    form: Form
    system: str | None
    template: str
    multiturn: bool


def _task_lines(task: FakeTask, arm: Arm) -> list[dict[str, Any]]:
    return [line for i, sample in enumerate(task.samples) for line in _lines(task, i, sample, arm)]


def _lines(task: FakeTask, number: int, sample: FakeSample, arm: Arm) -> list[dict[str, Any]]:
    turns = messages(task, sample, arm)
    sent = {
        "raw": lambda: _delimited(arm.system, task.description) + _shots(sample) + sample.prompt,
        "chat": lambda: json.dumps(turns, ensure_ascii=False),
        "template": lambda: render(arm.template, turns),
    }[arm.form]()
    responses: list[Any] = [sample.answer] if isinstance(sample.answer, str) else list(sample.answer)
    shown = [sent] if arm.form == "chat" else sent
    if sample.choices:
        responses = [[str(likelihood), "False"] for _, likelihood in sample.choices]
    arguments = [(shown, f" {text}") for text, _ in sample.choices] or [(shown, task.generation)]
    return [
        {
            "doc_id": number if sample.doc_id is None else sample.doc_id,
            "doc": sample.doc,
            "target": str(sample.target),
            "arguments": {f"gen_args_{i}": {"arg_0": one, "arg_1": two} for i, (one, two) in enumerate(arguments)},
            "resps": [[one] for one in responses] if sample.choices else [responses],
            "filtered_resps": responses if sample.choices else [answer],
            "filter": name,
            "metrics": list(scores),
            "doc_hash": _doc_hash(json.dumps(sample.doc, ensure_ascii=False)),
            "prompt_hash": _sha(sent),
            "target_hash": _sha(str(sample.target)),
            **scores,
        }
        for name, answer, scores in _filtered(sample, task.filters)
    ]


def _task_blocks(
    tasks: Sequence[FakeTask], lines: Mapping[str, list[dict[str, Any]]], gen_kwargs: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "results": {task.name: _aggregated(task, lines[task.name]) for task in tasks},
        "group_subtasks": {},
        "configs": {task.name: _config(task, gen_kwargs) for task in sorted(tasks, key=lambda t: t.name)},
        "versions": {task.name: task.version for task in tasks},
        "n-shot": {task.name: _shot_count(task) for task in tasks},
        "higher_is_better": {
            t.name: {m: t.higher_is_better.get(m, True) for m in t.metrics or ["bypass"]} for t in tasks
        },
        "n-samples": {
            task.name: {
                "original": len(task.samples) if task.original is None else task.original,
                "effective": len(task.samples) if task.metrics else 0,
            }
            for task in tasks
        },
    }


def _tracked(arm: Arm, model: str, source: str | None) -> dict[str, Any]:
    template = None if arm.form == "raw" else arm.template
    return {
        "model_source": source,
        "model_name": model,
        "model_name_sanitized": model,
        "system_instruction": arm.system,
        "system_instruction_sha": _sha(arm.system) if arm.system else None,
        "fewshot_as_multiturn": arm.multiturn,
        "chat_template": template,
        "chat_template_sha": _sha(template) if template else None,
        "total_evaluation_time_seconds": "12.5",
    }


def _task_hash(lines: Sequence[Mapping[str, Any]]) -> str:
    return _sha("".join(line["doc_hash"] + line["prompt_hash"] + line["target_hash"] for line in lines))


def _shot_count(task: FakeTask) -> int:
    return len(task.samples[0].shots) if task.samples else 0


def _filtered(sample: FakeSample, filters: Sequence[str]) -> list[tuple[str, Any, Mapping[str, Any]]]:
    if sample.by_filter is not None:
        return [(name, *sample.by_filter[name]) for name in filters]
    answer = sample.answer if isinstance(sample.answer, str) else next(iter(sample.answer), "")
    return [(name, answer, sample.scores) for name in filters]


def _config(task: FakeTask, gen_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    metrics = [
        {
            "metric": name,
            "aggregation": task.aggregation.get(name, "mean"),
            "higher_is_better": task.higher_is_better.get(name, True),
        }
        for name in task.metrics
    ]
    config: dict[str, Any] = {
        "task": task.name,
        "custom_dataset": "def load(**kwargs):\n    ...\n",
        "test_split": "test",
        "doc_to_text": "def doc_to_text(doc):\n    ...\n",
        "doc_to_target": "def doc_to_target(doc):\n    ...\n",
        "unsafe_code": False,
        "description": task.description,
        "target_delimiter": " ",
        "fewshot_delimiter": "\n\n",
        "num_fewshot": _shot_count(task),
        "metric_list": metrics or [{"metric": "bypass"}],
        "output_type": "multiple_choice" if any(one.choices for one in task.samples) else "generate_until",
        "generation_kwargs": {**task.generation, **(gen_kwargs or {})},
        "repeats": 1,
        "should_decontaminate": False,
        "metadata": {"version": task.version, **({"cluster": task.cluster} if task.cluster else {})},
    }
    if tuple(task.filters) != ("none",):
        config["filter_list"] = [{"name": name, "filter": [{"function": "take_first"}]} for name in task.filters]
    return config | dict(task.config)


def _aggregated(task: FakeTask, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": task.name,
        "alias": task.name,
        "sample_len": len(task.samples) if task.metrics else 0,
    }
    for metric, name in itertools.product(task.metrics, task.filters):
        values = [line[metric] for line in lines if line["filter"] == name and metric in line]
        if metric in task.printed:
            found[f"{metric},{name}"] = task.printed[metric]
        elif values and all(isinstance(value, (int, float)) for value in values):
            found[f"{metric},{name}"] = sum(values) / len(values)
            found[f"{metric}_stderr,{name}"] = "N/A"
    return found


def _shots(sample: FakeSample) -> str:
    return "".join(f"{question} {answer}\n\n" for question, answer in sample.shots)


def _delimited(system: str | None, description: str) -> str:
    if not system or not description:
        return (system or "") + description
    apart = "" if system[-1].isspace() or description[0].isspace() else "\n\n"
    return system + apart + description


@cache
def _doc_hash(doc: str) -> str:
    """As lm-eval has it, of an indented text, which Python writes slowly; the same documents come in every run."""
    return _sha(json.dumps(json.loads(doc), indent=2, ensure_ascii=False))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
