"""results_<ISO>.json, and where the results of one model lie."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import read_json
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.logs.ingredients import number_of
from lm_eval_fr.logs.reply_records import COPY_AGAIN
from lm_eval_fr.logs.task_log import GroupLog

RUN_AGAIN = "run the arm with `lm-eval-fr run` or `lm_eval run --log_samples`"
_ISO = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?"
_RESULTS = re.compile(rf"(.+)_({_ISO})\.json")
_SAMPLES = re.compile(rf"samples_(.+)_({_ISO})\.jsonl")


@dataclass(frozen=True)
class Results:
    """One results file, and the key that ties its samples files to it."""

    path: Path
    iso: str
    body: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Equal for a file and its copy."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def model(self) -> str:
        """As given to lm-eval. A folder named from inside it ("." or "..") has a name on disk."""
        name = Redactor.from_environment().message(str(self.body.get("model_name") or self.path.parent.name))
        return name if name.strip("./\\") else self.path.resolve().parent.name

    @property
    def source(self) -> str:
        """lm-eval's name for the kind of model: vllm, local-completions, ..."""
        return str(self.body.get("model_source") or self.body["config"].get("model") or "unknown")

    @property
    def date(self) -> float:
        value = self.body.get("date")
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0

    @property
    def seconds(self) -> float | None:
        seconds = number_of(self.body.get("total_evaluation_time_seconds"))
        return seconds if seconds is not None and math.isfinite(seconds) else None

    @functools.cached_property
    def about(self) -> Mapping[str, Any]:
        """arm_<ISO>.json, which `lm-eval-fr run` leaves beside the results: what made this run. {} without it."""
        path = self.path.with_name(f"arm_{self.iso}.json")
        found = read_json(path, remedy="remove it, or rerun the arm") if path.is_file() else {}
        return found if isinstance(found, dict) else {}

    def sent(self, task: str) -> Mapping[str, Any]:
        """What was really sent with the task's requests, {} if there is no record."""
        by_task = self.about.get("sent")
        found = by_task.get(task) if isinstance(by_task, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def arguments(self) -> dict[str, Any]:
        return arguments_of(self.body["config"].get("model_args"))

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.body["configs"])

    def samples(self, task: str) -> Path:
        return self.path.parent / f"samples_{task}_{self.iso}.jsonl"

    def value(self, block: str, task: str) -> Any:
        """What a block of the file says of one task, None if nothing."""
        values = self.body.get(block)
        return values.get(task) if isinstance(values, dict) else None

    def of_task(self, block: str, task: str) -> Mapping[str, Any]:
        found = self.value(block, task)
        return found if isinstance(found, dict) else {}

    def printed(self, task: str, block: str = "results") -> dict[str, float]:
        """ "<metric>,<filter>" -> the aggregate that lm-eval printed, where it is a number."""
        found = self.of_task(block, task).items()
        numbers = {key: number_of(value) for key, value in found if "," in key and "_stderr," not in key}
        return {key: value for key, value in numbers.items() if value is not None}

    def evaluated(self, task: str) -> tuple[int | None, int | None]:
        """(documents evaluated, documents of the split), None where lm-eval does not say.

        lm-eval counts scores, so a task without metrics (judged) has 0 of them: then the limit tells, unless the
        documents were picked with --samples, which is not on record.
        """
        counts = self.of_task("n-samples", task)
        effective, original = (_whole(counts.get(key)) for key in ("effective", "original"))
        limit = self.body["config"].get("limit")
        if not effective and original is not None and isinstance(limit, (int, float)) and 0 < limit < math.inf:
            effective = min(original, math.ceil(original * limit) if limit < 1 else int(limit))
        return (effective or None), original

    def partial(self, task: str) -> bool:
        """Whether the documents were picked with --samples: a shard, or a probe."""
        effective, original = self.evaluated(task)
        if self.body["config"].get("limit") is not None or original is None:
            return False
        if effective is None:
            effective = line_count(self.samples(task)) // len(filters_of(self.of_task("configs", task)))
        return effective < original


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def results_in(path: Path) -> list[Results]:
    if path.is_file():
        return [_load(path)]
    folder, names = _place(path)
    found = [_load(folder / name) for name in names]
    isos = {results.iso for results in found}
    for name in sorted(entry.name for entry in folder.iterdir()):
        orphan = _SAMPLES.fullmatch(name)
        if orphan and orphan[2] not in isos:
            raise InputError(
                f"samples without their results_{orphan[2]}.json, which has the task's version and settings",
                where=folder / name,
                remedy="copy the whole folder that lm-eval wrote",
            )
    return found


def _place(path: Path) -> tuple[Path, list[str]]:
    """The folder of one model, and its results files."""
    if path.suffix == ".json" and path.parent.is_dir() and (names := _results_names(path.parent, path.stem)):
        return path.parent, names  # lm-eval takes --output_path x.json as a stem, and writes x_<ISO>.json
    if not path.is_dir():
        raise InputError("no such folder", where=path, remedy="give the folder that lm-eval got as --output_path")
    if names := _results_names(path):
        return path, names
    inside = [child for child in sorted(path.iterdir()) if child.is_dir() and _results_names(child)]
    if len(inside) == 1:
        return inside[0], _results_names(inside[0])
    if inside:
        raise InputError(
            f"runs of {len(inside)} models in one folder: {', '.join(child.name for child in inside)}",
            where=path,
            remedy=f"give the folder of one, as {inside[0]}",
        )
    raise InputError("no run of lm-eval in this folder", where=path, remedy=_nearest_run(path))


def _results_names(folder: Path, stem: str = "results") -> list[str]:
    found = ((_RESULTS.fullmatch(entry.name), entry) for entry in folder.iterdir())
    return sorted(entry.name for match, entry in found if match and match[1] == stem and entry.is_file())


def _nearest_run(path: Path) -> str:
    deeper = sorted(itertools.islice(path.glob("*/*/results_*.json"), 20))
    if deeper:
        return f"did you mean {deeper[0].parent.parent}?"
    if any(path.glob("samples_*.jsonl")):
        return "its samples lack their results_<ISO>.json: copy the whole folder that lm-eval wrote"
    return RUN_AGAIN


def _load(path: Path) -> Results:
    match = _RESULTS.fullmatch(path.name)
    if match is None:
        raise InputError("not a results file of lm-eval", where=path, remedy="give the folder of the run")
    body = read_json(path, remedy=COPY_AGAIN, nan=True)
    if not isinstance(body, dict) or not isinstance(body.get("configs"), dict) or not body["configs"]:
        raise InputError("not results of lm-eval: no `configs`", where=path, remedy=RUN_AGAIN)
    if not isinstance(body.get("config") or {}, dict):
        raise InputError("not results of lm-eval: `config` is not an object", where=path, remedy=RUN_AGAIN)
    return Results(path, match[2], {**body, "config": body.get("config") or {}})


def groups_of(results: Results) -> dict[str, GroupLog]:
    """The groups of which lm-eval printed a score."""
    groups = results.body.get("group_subtasks")
    children = {
        str(name): tuple(str(child) for child in found)
        for name, found in (groups.items() if isinstance(groups, dict) else ())
        if isinstance(found, list) and found
    }
    found = {}
    for name, of_group in children.items():
        printed = results.printed(name, "groups") or results.printed(name)
        if printed:
            inner = {child: _leaves(child, children) for child in of_group if child in children}
            found[name] = GroupLog(name, of_group, _leaves(name, children), inner, printed)
    return found


def _leaves(name: str, children: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The tasks in a group and in the groups in it, each once; a file may say that a group holds itself."""
    leaves, seen, left = [], {name}, [*reversed(children[name])]
    while left:
        child = left.pop()
        if child in seen:
            continue
        seen.add(child)
        if child in children:
            left += reversed(children[child])
        else:
            leaves.append(child)
    return tuple(leaves)


def filters_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(item["name"]) for item in listed(config, "filter_list") if "name" in item) or ("none",)


def listed(config: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects in a list of the task's configuration."""
    found = config.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def settings_of(results: Results) -> dict[str, Any]:
    """Everything recorded that could explain a difference, flat."""
    body, config = results.body, results.body["config"]
    named = ("batch_size", "limit", "gen_kwargs", "random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
    model = ("model_num_parameters", "model_dtype", "model_revision", "model_sha")
    versions = ("lm_eval_version", "transformers_version", "chat_template_sha")
    settings = {name: config.get(name) for name in named}
    settings |= {name: config[name] for name in model if name in config}
    if "model_num_parameters" in config:  # otherwise lm-eval loaded no model, and the flag's default means nothing
        settings["device asked for"] = config.get("device")
    settings |= {name: body.get(name) for name in (*versions, "system_instruction", "fewshot_as_multiturn")}
    settings |= {name: body[name] for name in ("max_length", "eot_token_id") if name in body}
    settings["chat_template_applied"] = body.get("chat_template") is not None
    for block, found in ((name, results.about.get(name)) for name in ("checkpoint", "manifest")):
        if isinstance(found, dict):
            # `start` is about one start of a server, not about what it serves.
            settings |= {f"{block}.{key}": value for key, value in found.items() if key != "start"}
        elif found is not None:
            settings[block] = found
    return settings


def arguments_of(given: Any) -> dict[str, Any]:
    """model_args, which lm-eval keeps as it got them: a mapping or "a=1,b={"c": 2, "d": 3}"."""
    if isinstance(given, dict):
        return dict(given)
    parts = (part.partition("=") for part in _parts(str(given or "")) if "=" in part)
    return {name.strip(): value for name, _, value in parts}


def _parts(text: str) -> Iterator[str]:
    """The parts between commas outside brackets and quotes."""
    start = depth = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[][(){},]', text):
        sign = found[0]
        depth += (sign in "[({") - (sign in "])}" and depth > 0)
        if sign == "," and depth == 0:
            yield text[start : found.start()]
            start = found.end()
    yield text[start:]


def token_of(value: Any) -> str:
    token = value[0] if isinstance(value, list) and value else None
    return token if isinstance(token, str) else ""


def line_count(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
