"""One task of a run from its results files: which samples count, and what is recorded about them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs.aggregates import (
    AGGREGATIONS,
    DEFAULT_AGGREGATION,
    DEFAULT_METRICS,
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
)
from lm_eval_fr.logs.ingredients import number_of
from lm_eval_fr.logs.logged_prompts import Rendering
from lm_eval_fr.logs.reply_records import COPY_AGAIN
from lm_eval_fr.logs.results import RUN_AGAIN, Results, filters_of, line_count, listed, token_of
from lm_eval_fr.logs.samples import parse_line
from lm_eval_fr.logs.shards import shards_of
from lm_eval_fr.logs.task_log import Metric, SampleFile, Shape, TaskLog

_SNIFFED = 20  # lines that are read to see what a file holds of a metric
_FUNCTION = re.compile(r"(?:\s*(?:@.*\n\s*)*def |<function )(\w+)")
MOST_SHOTS = 1000
UNSCORED = "bypass"  # lm-eval's name for no metric


def read_task(task: str, found: Sequence[Results], notes: list[str]) -> TaskLog:
    """`found` are the runs of this task, newest first. Notes are added to `notes`."""
    newest = found[0]
    if not newest.samples(task).is_file():
        others = [name for name in newest.tasks if newest.samples(name).is_file()]
        choose = f"; or leave it out: --task {', --task '.join(others[:3])}" if others else ""
        raise InputError(
            f"the newest run of {task} has no samples",
            where=newest.path,
            remedy=f"{RUN_AGAIN}; name an older run's results file to read it{choose}",
        )
    used = shards_of(task, found, notes) if newest.partial(task) else [newest]
    if len(found) > len(used):
        notes.append(f"{task}: the newest of {len(found)} runs counts, from {newest.iso}")
    config = newest.of_task("configs", task)
    filters = filters_of(config)
    first = _first_rows(newest.samples(task))
    metrics = tuple(_metrics(newest, task, first))
    files = tuple(_sample_file(results, task) for results in used)
    counts = [file.documents or line_count(file.path) // len(filters) for file in files]
    generation = config.get("generation_kwargs")
    generates = _generates(config, first[0])
    scored = any(item.get("metric") != UNSCORED for item in listed(config, "metric_list"))
    return TaskLog(
        task=task,
        files=files,
        version=newest.value("versions", task),
        generation=generation if isinstance(generation, dict) else {},
        config=config,
        filters=filters,
        metrics=metrics,
        generates=generates,
        judged=generates and not metrics and not scored,
        cluster_field=_cluster_field(task, config, first[0]["doc"], notes),
        strata_fields=tuple(_named_fields("strata", task, config, first[0]["doc"], notes)),
        n_logged=sum(counts),
        source=newest.source,
        model_args=newest.arguments,
        sent=newest.sent(task),
        rendering=_rendering(newest, task, config),
        lm_eval_version=str(newest.body.get("lm_eval_version") or ""),
    )


def _sample_file(results: Results, task: str) -> SampleFile:
    hashes = results.value("task_hashes", task)
    return SampleFile(
        path=results.samples(task),
        task_hash=hashes if isinstance(hashes, str) else None,
        documents=results.evaluated(task)[0],
        original=results.evaluated(task)[1],
        printed=results.printed(task),
    )


def _first_rows(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as lines:
        rows = [
            parse_line(line, path, i) for i, line in enumerate(itertools.islice(lines, _SNIFFED), 1) if line.strip()
        ]
    if not rows:
        raise InputError("no sample in this file", where=path, remedy=COPY_AGAIN)
    return rows


def _generates(config: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    kind = config.get("output_type")
    return kind == "generate_until" if kind else isinstance(row["arguments"]["gen_args_0"].get("arg_1"), dict)


def _metrics(results: Results, task: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """The metrics that the samples hold, those that the task declares first.

    A metric with a printed aggregate is one of them, even where the first documents do not have it.
    """
    config = results.of_task("configs", task)
    declared = {_name_of(item): item for item in listed(config, "metric_list")}
    usual = () if "metric_list" in config else DEFAULT_METRICS.get(str(config.get("output_type")), ())
    # Before 0.4.7 a line does not name its metrics: they are its keys that lm-eval printed an aggregate of.
    printed = dict.fromkeys(key.rpartition(",")[0] for key in results.printed(task))
    logged = dict.fromkeys(
        name
        for row in rows
        for name in (row["metrics"] if "metrics" in row else [key for key in row if key in printed])
    )
    for name in dict.fromkeys([*declared, *usual, *logged, *printed]):
        if (name in logged or name in printed) and name != UNSCORED:
            item = declared.get(name, {})
            values = [row[name] for row in rows if row.get(name) is not None]
            yield Metric(
                name,
                aggregation=_aggregation(name, item, known=name in declared or name in usual),
                higher_is_better=_direction(name, item, results.of_task("higher_is_better", task), config),
                shape=_shape(values),
            )


def _name_of(item: Mapping[str, Any]) -> str:
    """The name under which lm-eval logs the metric: a function, whose source is in the config, by its own name."""
    given = str(item.get("metric"))
    function = _FUNCTION.match(given)
    return function[1] if function else given


def _aggregation(name: str, item: Mapping[str, Any], *, known: bool) -> str | None:
    given = item.get("aggregation")
    if isinstance(given, str):
        return given if given in AGGREGATIONS else None  # a function is logged as its source text
    return DEFAULT_AGGREGATION.get(name, "mean") if known else None


def _direction(
    name: str, item: Mapping[str, Any], printed: Mapping[str, Any], config: Mapping[str, Any]
) -> bool | None:
    plain = config.get("output_type") == "loglikelihood" and "process_results" not in config
    if plain and name == "perplexity" and item.get("aggregation", "perplexity") != "perplexity":
        return True  # what lm-eval logs is the log-likelihood, whose exponential only its own aggregation takes
    for given in (item.get("higher_is_better"), printed.get(name)):
        if isinstance(given, bool):
            return given
    if name in LOWER_IS_BETTER:
        return False
    return True if name in HIGHER_IS_BETTER else None


def _shape(values: Sequence[Any]) -> Shape:
    if all(number_of(value) is not None for value in values):
        return "number"
    lists = (value for value in values if isinstance(value, list))
    return "list" if all(isinstance(value, list) for value in values) and not any(map(_texts, lists)) else "other"


def _texts(value: list[Any]) -> bool:
    """Whether its values cannot become a score. A text that begins as an array does is how lm-eval logs one."""
    return any(number_of(item) is None and not str(item).startswith("[") for item in value)


def _cluster_field(task: str, config: Mapping[str, Any], doc: Any, notes: list[str]) -> str | None:
    declared = next(iter(_named_fields("cluster", task, config, doc, notes)), None)
    fields = doc if isinstance(doc, dict) else {}
    return declared or next((name for name in ("cluster", "title") if name in fields), None)


def _named_fields(what: str, task: str, config: Mapping[str, Any], doc: Any, notes: list[str]) -> Iterator[str]:
    """The fields of the documents that `metadata.cluster` or `metadata.strata` names: a text, or a list of texts."""
    metadata = config.get("metadata")
    given = metadata.get(what) if isinstance(metadata, dict) else None
    for name in [given] if isinstance(given, str) else given if isinstance(given, list) else []:
        if isinstance(name, str) and isinstance(doc, dict) and name in doc:
            yield name
        else:
            about = "their cluster" if what == "cluster" else "a stratum"
            notes.append(f"{task}: its documents lack the field {name!r} that names {about}")


def _rendering(results: Results, task: str, config: Mapping[str, Any]) -> Rendering:
    description = config.get("description") or ""
    plain = isinstance(description, str) and "{{" not in description and "{%" not in description
    delimiter = str(config.get("fewshot_delimiter", "\n\n"))
    given = results.body.get("system_instruction")
    instruction = given if isinstance(given, str) else ""
    apart = plain and instruction and description
    apart = apart and not (instruction[-1].isspace() or description[:1].isspace())
    template = results.body.get("chat_template")
    shots = results.value("n-shot", task) if results.body.get("fewshot_as_multiturn") else 0
    arguments = results.arguments
    asked = arguments.get("chat_template_args")
    thinking = {"enable_thinking": arguments["enable_thinking"]} if "enable_thinking" in arguments else {}
    return Rendering(
        system=instruction + (delimiter if apart else "") + description if plain else None,
        template=template if isinstance(template, str) else None,
        bos=token_of(results.body.get("tokenizer_bos_token")),
        eos=token_of(results.body.get("tokenizer_eos_token")),
        arguments={**(asked if isinstance(asked, dict) else {}), **thinking},
        shots=shots if isinstance(shots, int) and 0 <= shots <= MOST_SHOTS else 0,
        delimiters=(str(config.get("target_delimiter", " ")), delimiter),
    )
