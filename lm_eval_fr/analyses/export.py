"""`lm-eval-fr export`: scores and verdicts of two runs as Parquet, in a folder that `datasets` reads.

OUT/scores.parquet     one row per document and metric
OUT/verdicts.parquet   one row per judged pair, where a judge's folder was given
OUT/README.md          the data set's configurations, and where the rows come from
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval_fr.analyses.frames import COUNTED, VERDICTS, verdict_row
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.io.files import atomic_file, write_atomic
from lm_eval_fr.judge.verdicts.outcome import PairVerdict
from lm_eval_fr.judge.verdicts.read_judged import read_judged
from lm_eval_fr.pairing import PairedTask, Pairing

if TYPE_CHECKING:
    import pyarrow

ROWS = 100_000
"""Rows held in memory at once."""


@dataclass(frozen=True)
class Exported:
    """What was written. verdicts is None where no judge's folder was given."""

    folder: Path
    scores: int
    verdicts: int | None


def export_runs(pairing: Pairing, out: Path, *, judge_dir: Path | None = None) -> Exported:
    """Writes the folder. Raises UsageError where it cannot be written, InputError where there is nothing to write."""
    verdicts = None if judge_dir is None else read_judged(judge_dir, pairing).verdicts
    if verdicts is None and not any(task.metrics for task in pairing.tasks):
        raise InputError("no scores to export", where=pairing.candidate.path, remedy="--judge DIR adds the verdicts")
    try:
        out.mkdir(parents=True, exist_ok=True)
        scores = _write(out / "scores.parquet", _score_schema(), _scores(pairing))
        judged = None if verdicts is None else _write(out / "verdicts.parquet", _verdict_schema(), _verdicts(verdicts))
        write_atomic(out / "README.md", _readme(pairing, judged is not None))
    except OSError as error:
        remedy = "give another --out, or free some space"
        raise UsageError(f"cannot be written: {error.strerror}", where=out, remedy=remedy) from None
    return Exported(out, scores, judged)


def _write(path: Path, schema: pyarrow.Schema, tables: Iterator[dict[str, Any]]) -> int:
    import pyarrow
    import pyarrow.parquet

    rows = 0
    with atomic_file(path) as out, pyarrow.parquet.ParquetWriter(out, schema) as writer:
        for columns in tables:
            table = pyarrow.table(columns, schema=schema)
            rows += table.num_rows
            writer.write_table(table)
    return rows


def _score_schema() -> pyarrow.Schema:
    import pyarrow as pa

    flags = [(f"{arm}_{state}", pa.bool_()) for arm in ("candidate", "reference") for state in ("failed", "truncated")]
    return pa.schema(
        [
            ("task", pa.string()),
            ("doc_id", pa.int64()),
            ("doc_hash", pa.string()),
            ("cluster", pa.string()),
            ("metric", pa.string()),
            ("higher_is_better", pa.bool_()),
            ("candidate", pa.float64()),
            ("reference", pa.float64()),
            ("difference", pa.float64()),
            *flags,
        ]
    )


def _scores(pairing: Pairing) -> Iterator[dict[str, Any]]:
    for task in pairing.tasks:
        for metric in task.metrics:
            yield from (_chunk(task, metric, start) for start in range(0, task.n, ROWS))


def _chunk(task: PairedTask, metric: str, start: int) -> dict[str, Any]:
    rows = slice(start, min(start + ROWS, task.n))
    n = rows.stop - start
    candidate, reference = task.candidate[metric][rows], task.reference[metric][rows]
    clusters = [None] * n if task.clusters is None else [task.cluster_names[code] for code in task.clusters[rows]]
    states = {
        f"{arm}_{state}": flags[rows]
        for arm, answers in zip(("candidate", "reference"), task.answers, strict=True)
        for state, flags in (("failed", answers.failed), ("truncated", answers.truncated))
    }
    return {
        "task": [task.task] * n,
        "doc_id": task.doc_ids[rows],
        "doc_hash": list(task.doc_hashes[rows]),
        "cluster": clusters,
        "metric": [metric] * n,
        "higher_is_better": [task.higher_is_better[metric]] * n,
        "candidate": candidate,
        "reference": reference,
        "difference": candidate - reference,
        **states,
    }


def _verdict_schema() -> pyarrow.Schema:
    import pyarrow as pa

    numbers = ("doc_id", "candidate_chars", "reference_chars", *COUNTED)
    kinds = {"score": pa.int8(), **dict.fromkeys(numbers, pa.int64())}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in VERDICTS])


def _verdicts(verdicts: Sequence[PairVerdict]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(verdicts), ROWS):
        rows = [verdict_row(verdict) for verdict in verdicts[start : start + ROWS]]
        yield {name: [row[name] for row in rows] for name in VERDICTS}


def _readme(pairing: Pairing, judged: bool) -> str:
    """`datasets.load_dataset(OUT, "scores")` reads the header."""
    import yaml

    files = {"scores": "scores.parquet"} | ({"verdicts": "verdicts.parquet"} if judged else {})
    configs = [{"config_name": name, "data_files": file} for name, file in files.items()]
    header = yaml.safe_dump({"configs": configs}, sort_keys=False)
    facts = [
        f"candidate: {pairing.candidate.model} ({pairing.candidate.source}), {pairing.candidate.results_path}",
        f"reference: {pairing.reference.model} ({pairing.reference.source}), {pairing.reference.results_path}",
        "difference = candidate - reference; texts and answers are in the runs, under the same doc_hash",
    ]
    facts += [f"let through: {what}" for task in pairing.tasks for what in task.allowed]
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"---\n{header}---\n\n# Scores of two runs, paired\n\n{listed}\n"
