"""Who was compared, with what, on which data: the report's arms, settings and provenance."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lm_eval_fr import __version__
from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.logs import Run
from lm_eval_fr.pairing import PairedTask, Pairing
from lm_eval_fr.report.arm_model import Arm, Health, Setting
from lm_eval_fr.report.model import Provenance

LIBRARIES = ("lm-eval", "numpy", "scipy")


def arms_of(pairing: Pairing) -> tuple[Arm, Arm]:
    """Candidate and reference, under short names that tell them apart."""
    names = [run.model.rstrip("/").rsplit("/", 1)[-1] or run.model for run in (pairing.candidate, pairing.reference)]
    if names[0] == names[1]:
        names = [pairing.candidate.model, pairing.reference.model]
    if names[0] == names[1]:
        sources = [pairing.candidate.source, pairing.reference.source]
        apart = sources if sources[0] != sources[1] else ["candidate", "reference"]
        names = [f"{name} ({what})" for name, what in zip(names, apart, strict=True)]
    candidate = _arm(pairing.candidate, names[0], [task.answers[0].health for task in pairing.tasks])
    reference = _arm(pairing.reference, names[1], [task.answers[1].health for task in pairing.tasks])
    return candidate, reference


def _arm(run: Run, name: str, health: Sequence[Health]) -> Arm:
    return Arm(
        name=name,
        model=run.model,
        source=run.source,
        path=str(run.path),
        date=datetime.fromtimestamp(run.date, UTC).isoformat(timespec="seconds") if run.date else None,
        seconds=run.seconds,
        health=Health(
            answers=sum(h.answers for h in health),
            empty=sum(h.empty for h in health),
            truncated=sum(h.truncated for h in health),
            failed=sum(h.failed for h in health),
        ),
    )


def settings_of(pairing: Pairing) -> tuple[Setting, ...]:
    return tuple(replace(s, candidate=plain(s.candidate), reference=plain(s.reference)) for s in pairing.settings)


def provenance_of(pairing: Pairing, options: CompareOptions) -> Provenance:
    return Provenance(
        created=options.created,
        command=options.command,
        versions=_versions(),
        data=tuple(_data(pairing.tasks)),
        plan=options.plan_text,
        seed=options.seed,
    )


def plain(value: Any) -> Any:
    """A value that JSON can represent."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def _data(tasks: Sequence[PairedTask]) -> Iterator[Mapping[str, Any]]:
    """Source, revision, licence and citation of each task's data, from its definition."""
    redactor = Redactor.from_environment()
    for task in tasks:
        log = task.sides[1].log
        stated = log.metadata
        dataset = stated.get("dataset")
        pinned = dataset if isinstance(dataset, Mapping) else {}
        path, revision = pinned.get("path") or log.config.get("dataset_path"), pinned.get("revision")
        own = stated.get("data") or stated.get("data_dir")
        published = {
            "dataset": f"{path} at {revision}" if path and revision else path,
            "source": stated.get("source"),
            "licence": stated.get("licence") or stated.get("license"),
            "citation": stated.get("citation"),
        }
        row: dict[str, Any] = {"task": task.task, "documents": task.n}
        if own:  # its owner has to state source and licence
            known = [str(item) for key, item in published.items() if item and key != "source"]
            row |= {"read from": own, "instead of": "; ".join(known) or None}
        else:
            row |= published
        yield {key: plain(item) for key, item in redactor.value(row).items() if item is not None}


def _versions() -> dict[str, str]:
    found = {"lm-eval-fr": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
