"""Finds what lm-eval wrote for one arm: of each task the newest run, or the shards of one run put together.

A run is the folder of one model: results_<ISO>.json, one samples_<task>_<ISO>.jsonl a task, and from our hosted-chat
model responses_<task>_<ISO>.jsonl.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs.logged_prompts import Rendering
from lm_eval_fr.logs.results import (
    RUN_AGAIN,
    Results,
    arguments_of,
    filters_of,
    line_count,
    metrics_of,
    results_in,
    settings_of,
    token_of,
)
from lm_eval_fr.logs.samples import (
    COPY_AGAIN,
    SampleFile,
    TaskLog,
    parse_line,
    response_count,
    score_of,
)

_SNIFFED = 20  # lines of a file that show which metrics are numbers


@dataclass(frozen=True)
class Run:
    """What one arm left behind: the newest run of each task, and what was noticed on the way."""

    path: Path
    results_path: Path
    model: str
    source: str
    model_args: Mapping[str, Any]
    settings: Mapping[str, Any]
    date: float
    seconds: float | None
    tasks: Mapping[str, TaskLog]
    notes: tuple[str, ...] = ()


def find_run(path: Path | str | Sequence[Path | str], *, tasks: Collection[str] | None = None) -> Run:
    """The run in `path`: an --output_path, the folder of one model inside it, or one results file.

    Several paths are shards of one run that were made on several machines. `tasks` are the ones that matter: what is
    wrong with others is not looked at. InputError says what is wrong with the path or these.
    """
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(one) for one in path]
    found = [results for one in paths for results in results_in(one)]
    found.sort(key=lambda results: (results.iso, results.path), reverse=True)
    models = {results.model for results in found}
    if len(models) > 1:
        raise InputError(
            f"runs of {len(models)} models in one place: {', '.join(sorted(models))}",
            where=paths[0],
            remedy="give every arm an --output_path of its own, or name one results file here",
        )
    notes: list[str] = []
    names = {task for results in found for task in results.tasks if tasks is None or task in tasks}
    if not names:
        raise InputError(
            f"no run of {', '.join(sorted(tasks or ()))}",
            where=paths[0],
            remedy=f"it holds {', '.join(sorted({task for results in found for task in results.tasks}))}",
        )
    found = [results for results in found if names.intersection(results.tasks)]
    logs = {task: _task_log(task, [r for r in found if task in r.tasks], notes) for task in sorted(names)}
    notes += _changed_arguments(found, logs)
    newest = found[0]
    return Run(
        path=newest.path.parent,
        results_path=newest.path,
        model=newest.model,
        source=newest.source,
        model_args=arguments_of(newest.body["config"].get("model_args")),
        settings=settings_of(newest),
        date=newest.date,
        seconds=newest.seconds,
        tasks=logs,
        notes=tuple(dict.fromkeys(notes)),
    )


def _changed_arguments(found: Sequence[Results], logs: Mapping[str, TaskLog]) -> list[str]:
    """A note if the runs that count were made with different model arguments."""
    read = {file.path for log in logs.values() for file in log.files}
    used = [results for results in found if any(results.samples(task) in read for task in logs)]
    arguments = [arguments_of(results.body["config"].get("model_args")) for results in used]
    changed = {
        key for one in arguments for key in one.keys() | arguments[0].keys() if one.get(key) != arguments[0].get(key)
    }
    return [f"the tasks' runs differ in model arguments: {', '.join(sorted(changed))}"] if changed else []


def _task_log(task: str, found: Sequence[Results], notes: list[str]) -> TaskLog:
    """`found` are the runs of this task, newest first."""
    newest = found[0]
    if not newest.samples(task).is_file():
        raise InputError(
            f"the newest run of {task} has no samples",
            where=newest.path,
            remedy=f"{RUN_AGAIN}; an older run is read when its results file is named",
        )
    used = _shards(task, found, notes) if newest.partial(task) else [newest]
    if len(found) > len(used):
        notes.append(f"{task}: the newest of {len(found)} runs counts, of {newest.iso}")
    config = newest.of_task("configs", task)
    filters = filters_of(config)
    first = _first_rows(newest.samples(task))
    metrics = _metrics(task, config, first, notes)
    files = tuple(_sample_file(results, task) for results in used)
    counts = [file.documents or line_count(file.path) // len(filters) for file in files]
    cluster = _cluster_field(task, config, first[0]["doc"], notes)
    return TaskLog(
        task=task,
        files=files,
        version=newest.value("versions", task),
        generation=config.get("generation_kwargs") or {},
        config=config,
        filters=filters,
        metrics=metrics,
        higher_is_better={m: newest.of_task("higher_is_better", task).get(m) is not False for m in metrics},
        cluster_field=cluster,
        n_logged=sum(counts),
        rendering=_rendering(newest, task, config),
    )


def _shards(task: str, found: Sequence[Results], notes: list[str]) -> list[Results]:
    """The runs of picked documents that complete each other, newest first.

    A run whose documents newer ones have answered again is superseded; one that overlaps in part is refused.
    """
    used = [found[0]]
    taken = _documents(found[0].samples(task))
    for results in found[1:]:
        path = results.samples(task)
        if not path.is_file() or not results.partial(task):
            continue
        documents = _documents(path)
        both = taken.keys() & documents.keys()
        if both and len(both) < len(documents):
            twice = min(both, key=lambda key: documents[key])
            where = f"{taken[twice][0].name}:{taken[twice][1]}"
            raise InputError(
                f"document {twice[1]} ({twice[0][:12]}) of {task} is also in {where}: two shards share documents",
                where=path,
                line=documents[twice][1],
                remedy="keep one answer a document, or name one results file",
            )
        if not both:
            _same_work(task, used[0], results)
            used.append(results)
            taken |= documents
    if len(used) > 1:
        notes.append(f"{task}: {len(used)} shards put together, {len(taken)} documents")
    original = found[0].evaluated(task)[1]
    if original and len(taken) < original:
        notes.append(f"{task}: {len(taken)} of the {original} documents were run (--samples)")
    return used


def _same_work(task: str, one: Results, other: Results) -> None:
    for what in ("generation_kwargs", "metadata", "description", "num_fewshot", "doc_to_text", "filter_list"):
        values = [results.of_task("configs", task).get(what) for results in (one, other)]
        if what == "metadata":
            values = [(value or {}).get("version") for value in values]
        if values[0] != values[1]:
            raise InputError(
                f"shards of {task} are not the same work: {what} is {values[1]!r}, {values[0]!r} in {one.path.name}",
                where=other.path,
                remedy="run the shards with one setting, or name one results file",
            )


class _Named(msgspec.Struct):
    doc_hash: str
    doc_id: int


def _documents(path: Path) -> dict[tuple[str, int], tuple[Path, int]]:
    """(doc_hash, doc_id) -> where the document is. A task may hold one text twice, under two ids."""
    found, decoder = {}, msgspec.json.Decoder(_Named)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = decoder.decode(line)
                key = row.doc_hash, row.doc_id
            except msgspec.DecodeError:
                slow = parse_line(line, path, number)
                key = slow["doc_hash"], slow["doc_id"]
            found[key] = (path, number)
    return found


def _sample_file(results: Results, task: str) -> SampleFile:
    hashes = results.body.get("task_hashes")
    config = results.of_task("configs", task)
    averaged = {str(m.get("metric")) for m in metrics_of(config) if m.get("aggregation") == "mean"}
    printed = results.of_task("results", task)
    means = {
        key: value
        for key, value in printed.items()
        if isinstance(value, (int, float)) and key.split(",")[0] in averaged
    }
    return SampleFile(
        path=results.samples(task),
        task_hash=hashes.get(task) if isinstance(hashes, dict) else None,
        documents=results.evaluated(task)[0],
        original=results.evaluated(task)[1],
        means=means,
    )


def _first_rows(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as lines:
        rows = [
            parse_line(line, path, i) for i, line in enumerate(itertools.islice(lines, _SNIFFED), 1) if line.strip()
        ]
    if not rows:
        raise InputError("no sample in this file", where=path, remedy=COPY_AGAIN)
    return rows


def _metrics(
    task: str, config: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], notes: list[str]
) -> tuple[str, ...]:
    """The metrics that are one number a document, the task's first one first."""
    logged = dict.fromkeys(str(name) for row in rows for name in row.get("metrics") or ())
    declared = [str(item.get("metric")) for item in metrics_of(config)]
    ordered = [name for name in dict.fromkeys([*declared, *logged]) if name in logged and name != "bypass"]
    scores = {
        name: [score_of(row[name], response_count(row["resps"])) for row in rows if name in row] for name in ordered
    }
    numeric = tuple(name for name in ordered if None not in scores[name])
    if left := [name for name in ordered if name not in numeric]:
        notes.append(f"{task}: {', '.join(left)} is not one number a document and is left out")
    return numeric


def _cluster_field(task: str, config: Mapping[str, Any], doc: Any, notes: list[str]) -> str | None:
    metadata = config.get("metadata")
    declared = metadata.get("cluster") if isinstance(metadata, dict) else None
    fields = doc if isinstance(doc, dict) else {}
    if isinstance(declared, str):
        if declared in fields:
            return declared
        notes.append(f"{task}: its documents lack the field {declared!r} that names their cluster")
    return next((name for name in ("cluster", "title") if name in fields), None)


def _rendering(results: Results, task: str, config: Mapping[str, Any]) -> Rendering:
    description = config.get("description") or ""
    plain = isinstance(description, str) and "{{" not in description and "{%" not in description
    delimiter = str(config.get("fewshot_delimiter", "\n\n"))
    instruction = results.body.get("system_instruction") or ""
    apart = instruction and description and not (instruction[-1].isspace() or description[:1].isspace())
    template = results.body.get("chat_template")
    shots = results.value("n-shot", task) if results.body.get("fewshot_as_multiturn") else 0
    arguments = arguments_of(results.body["config"].get("model_args"))
    asked = arguments.get("chat_template_args")
    thinking = {"enable_thinking": arguments["enable_thinking"]} if "enable_thinking" in arguments else {}
    return Rendering(
        system=instruction + (delimiter if apart else "") + description if plain else None,
        template=template if isinstance(template, str) else None,
        bos=token_of(results.body.get("tokenizer_bos_token")),
        eos=token_of(results.body.get("tokenizer_eos_token")),
        arguments={**(asked if isinstance(asked, dict) else {}), **thinking},
        shots=shots if isinstance(shots, int) else 0,
        delimiters=(str(config.get("target_delimiter", " ")), delimiter),
    )
