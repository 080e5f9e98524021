"""The documents of a task: from a user's file or the hub, checked, in the task's fixed order.

lm-eval calls a task's `custom_dataset` with all of the task's metadata, `--metadata` and the model's arguments in one
dictionary. `Settings` takes from it only what concerns data: a model's own `revision`, `path` or `name`
must not choose the data.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lm_eval_fr.errors import HERE, InputError, nearest
from lm_eval_fr.tasklib.hub_access import cache_only, hub_address, reachable
from lm_eval_fr.tasklib.records import Record, read_file, shown

if TYPE_CHECKING:
    import datasets

SEED = 1234


@dataclass(frozen=True, slots=True)
class Hub:
    """A data set on the hub, or a local folder of the same layout. files: what a builder such as `json` reads."""

    path: str
    name: str | None
    split: str
    revision: str | None
    files: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run says about a task's data.

    data: one file for every task of the run, or {task: file}. data_dir: a folder of files named after the tasks.
    Neither: the hub.
    """

    task: str
    data: Path | None
    data_dir: Path | None
    hub: Hub | None
    seed: int
    limits: Mapping[str, Any]

    @classmethod
    def read(cls, task: str, given: Mapping[str, Any]) -> Settings:
        """given: the keyword arguments of `custom_dataset`."""
        hub, data = given.get("dataset"), given.get("data")
        if hub is not None and not (isinstance(hub, Mapping) and {"path", "split"} <= hub.keys()):
            raise InputError(f"{task}: the metadata's `dataset` must say path, name, split and revision")
        return cls(
            task=task,
            data=_path(data.get(task) if isinstance(data, Mapping) else data),
            data_dir=_path(given.get("data_dir")),
            hub=None if hub is None else _hub(hub),
            seed=_whole(task, "order_seed", given.get("order_seed", SEED), least=None),
            limits=given,
        )

    def limit(self, name: str, default: int) -> int:
        """A whole number that the metadata may set."""
        return _whole(self.task, name, self.limits.get(name, default), least=1)

    def whole_numbers(self, name: str, default: Sequence[int], *, least: int) -> tuple[int, ...]:
        """One or more whole numbers that the metadata may set, each once."""
        given = _listed(self.limits.get(name) or list(default))
        return tuple(dict.fromkeys(_whole(self.task, name, value, least=least) for value in given))

    def words(self, name: str, known: Sequence[str]) -> tuple[str, ...]:
        """Some of the known words, or all if the metadata does not say."""
        given = [str(word) for word in _listed(self.limits.get(name) or list(known))]
        if strangers := [word for word in given if word not in known]:
            remedy = nearest(strangers[0], known) or f"it takes {', '.join(known)}"
            raise InputError(f"{self.task}: metadata {name}: no {strangers[0]!r}", where="--metadata", remedy=remedy)
        return tuple(dict.fromkeys(given))


def _listed(value: object) -> list[object]:
    """A list, one value of it, or the text of several: `--metadata lengths=4096,8192` on a command line."""
    if isinstance(value, str):
        return [int(word) if word.strip().isdecimal() else word.strip() for word in value.strip("[] ").split(",")]
    return list(value) if isinstance(value, Sequence) else [value]


def _hub(given: Mapping[str, Any]) -> Hub:
    return Hub(str(given["path"]), given.get("name"), str(given["split"]), given.get("revision"), given.get("files"))


def _path(value: object) -> Path | None:
    return None if value in (None, "") else Path(str(value)).expanduser()


def _whole(task: str, name: str, value: object, *, least: int | None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        limit = "" if least in (None, 1) else f" of at least {least}"
        raise InputError(f"{task}: metadata {name}={shown(value)} must be a whole number{limit}", where="--metadata")
    return value


def read_records(settings: Settings, *, also: Sequence[str] = ()) -> list[Record]:
    """The task's rows, unordered and unchecked. also: further file names that a `data_dir` may have."""
    path = local_file(settings, also=also)
    return from_hub(settings) if path is None else list(read_file(path, settings.task))


def local_file(settings: Settings, *, also: Sequence[str] = ()) -> Path | None:
    """The file that the user named, or None if the documents come from the hub."""
    if settings.data is not None:
        if not settings.data.is_file():
            remedy = "data_dir=DIR takes a folder" if settings.data.is_dir() else HERE
            raise InputError(f"{settings.task}: no such data file", where=settings.data, remedy=remedy)
        return settings.data
    if settings.data_dir is None:
        return None
    if not settings.data_dir.is_dir():
        raise InputError(f"{settings.task}: no such data folder", where=settings.data_dir, remedy=HERE)
    names = [*(f"{settings.task}{suffix}" for suffix in (".jsonl", ".parquet", ".json")), *also]
    for name in names:
        if (settings.data_dir / name).is_file():
            return settings.data_dir / name
    remedy = f"put one of these files there: {', '.join(names)}"
    raise InputError(f"no data for {settings.task}", where=settings.data_dir, remedy=remedy)


def from_hub(settings: Settings) -> list[Record]:
    hub = require_hub(settings)
    rows = load_hub(settings, hub)
    return [Record(row, f"{hub.path}, row {number}", task=settings.task) for number, row in enumerate(rows)]


def require_hub(settings: Settings) -> Hub:
    if settings.hub is None:
        remedy = f"--metadata data=FILE.jsonl, or data_dir=DIR with {settings.task}.jsonl in it"
        raise InputError(f"{settings.task} needs your own data, and none was given", remedy=remedy)
    return settings.hub


def load_hub(settings: Settings, hub: Hub, *, streaming: bool = False) -> Any:
    """`datasets.load_dataset`, with one line instead of any of its dozen exceptions."""
    import datasets

    # The cache knows a local folder by name, not by content: it would serve rows that no longer exist.
    anew = {"download_mode": "reuse_cache_if_exists", "verification_mode": "no_checks"}
    further = anew if Path(hub.path).is_dir() else {"data_files": hub.files} if hub.files else {}
    address = hub.files if hub.files and hub.files.startswith("http") else hub_address()
    away = not Path(hub.path).is_dir() and not reachable(address)
    try:
        with cache_only() if away else nullcontext():
            return datasets.load_dataset(
                hub.path, hub.name, split=hub.split, revision=hub.revision, streaming=streaming, **further
            )
    except Exception as error:  # offline, gated, moved, disk full: the types are not documented
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if away:
            reason = f"{urlsplit(address).hostname} cannot be reached, and the data set is not in the cache"
        raise InputError(
            f"{settings.task}: {reason}",
            where=hub.files or f"hub data set {hub.path}",
            remedy=f"without the hub: --data-dir DIR, in a plan data_dir: DIR, with {settings.task}.jsonl in it",
        ) from error


def require_unique(records: Sequence[Record], ids: Sequence[str]) -> None:
    """Two documents with one id could not be told apart afterwards."""
    seen: dict[str, Record] = {}
    for record, identifier in zip(records, ids, strict=True):
        if identifier in seen:
            before = seen[identifier]
            place = f"line {before.line}" if before.line is not None else before.where
            raise record.error(f'id "{identifier}" was used before, at {place}', "give every document its own id")
        seen[identifier] = record


def as_dataset(settings: Settings, documents: Sequence[Mapping[str, Any]]) -> datasets.Dataset:
    if not documents:
        where = settings.data or settings.data_dir or (settings.hub.path if settings.hub else None)
        raise InputError(f"{settings.task}: it has no documents", where=where)
    import datasets

    return datasets.Dataset.from_list(list(documents))


def rank(seed: int, key: str) -> int:
    """A pseudo-random position that depends only on the seed and the key: the order of the file does not matter."""
    digest = hashlib.blake2b(f"{seed}\x1f{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def spread_over_clusters(keys: Sequence[str], clusters: Sequence[str], seed: int) -> list[int]:
    """The order in which the first N documents come from as many clusters as possible (positions in `keys`)."""
    seen: Counter[str] = Counter()
    rounds = [0] * len(keys)
    for index in sorted(range(len(keys)), key=lambda i: (rank(seed, keys[i]), keys[i])):
        rounds[index] = seen[clusters[index]]
        seen[clusters[index]] += 1
    places = {cluster: rank(seed, f"cluster {cluster}") for cluster in seen}
    return sorted(range(len(keys)), key=lambda i: (rounds[i], places[clusters[i]], clusters[i], keys[i]))


def spread_over_labels(keys: Sequence[str], labels: Sequence[str], seed: int) -> list[int]:
    """The order in which the first N documents have every label in its overall proportion (positions in `keys`)."""
    total = Counter(labels)
    seen: Counter[str] = Counter()
    places = [0.0] * len(keys)
    for index in sorted(range(len(keys)), key=lambda i: (rank(seed, keys[i]), keys[i])):
        label = labels[index]
        places[index] = (seen[label] + rank(seed, f"label {label}") / 2**64) / total[label]
        seen[label] += 1
    return sorted(range(len(keys)), key=lambda i: (places[i], labels[i], keys[i]))
