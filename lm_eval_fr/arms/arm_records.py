"""What a run leaves on disk: checked, and completed by what lm-eval does not log."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lm_eval_fr import __version__
from lm_eval_fr.arms.cache import AnswerCache, context_of
from lm_eval_fr.arms.checkpoint import Checkpoint
from lm_eval_fr.arms.flags import ArmCall
from lm_eval_fr.arms.manifest import read_manifest
from lm_eval_fr.arms.server_dialects import ServedModel
from lm_eval_fr.errors import ArmError
from lm_eval_fr.io.files import atomic_file, write_atomic
from lm_eval_fr.logs.results import line_count
from lm_eval_fr.tasklib.definitions import task_names

CHECKPOINT_FACTS = ("quantization", "dtype", "revision", "chat_template_sha256")
TORCHLESS = ("fr-baseline", "hosted-chat", "batch-chat", "local-completions", "local-chat-completions", "dummy")


@dataclass(frozen=True)
class RunOutcome:
    """What one run left on disk. kept: answers found in the cache; asked: answers generated now."""

    folder: Path
    results: Path
    samples: Mapping[str, Path]
    cache: Path
    kept: int
    asked: int
    seconds: float

    @property
    def record(self) -> Path:
        """What made the run, in arm_STAMP.json."""
        return self.results.with_name(f"arm_{stamp_of(self.results)}.json")


def written(call: ArmCall, started: float) -> tuple[Path, dict[str, Path]]:
    """The results and samples files of this run. Raises ArmError: lm-eval only warns when it cannot write them."""
    remedy = "free some space or give another --output_path; the answers are kept; rerun the same command to resume"
    fresh = [path for path in call.output.glob("*/results_*.json") if path.stat().st_mtime >= started - 1]
    if not fresh:
        raise ArmError("lm-eval wrote no results", where=call.output, remedy=remedy)
    results = max(fresh, key=lambda path: path.stat().st_mtime)
    content = json.loads(results.read_text(encoding="utf-8"))
    samples = {}
    for task, counts in content["n-samples"].items():
        path = results.with_name(f"samples_{task}_{stamp_of(results)}.jsonl")
        lines = line_count(path) if path.is_file() else 0
        if lines < counts["effective"]:
            what = f"lm-eval wrote {lines} of {counts['effective']} samples of {task}"
            raise ArmError(what, where=path, remedy=remedy)
        samples[task] = path
    return results, samples


def empty_warnings(cache: AnswerCache) -> Iterator[str]:
    """A line for each task that got only empty answers."""
    ours = task_names()
    for task, count in cache.answered.items():
        if count and cache.empty[task] == count:
            sent, _ = cache.sent[task]
            stops = " or ".join(map(repr, sent.stop)) if sent and sent.stop else "the model's own"
            shots = f"; a base model answers {task}_shots" if f"{task}_shots" in ours else ""
            yield f"warning: all {count:,} answers to {task} are empty (does a stop mark, {stops}, come first?{shots})"


def leave_records(
    outcome: RunOutcome,
    call: ArmCall,
    checkpoint: Checkpoint | None,
    served: ServedModel | None,
    cache: AnswerCache,
    started: float,
    argv: Sequence[str],
    facts: Mapping[str, Any],
) -> None:
    """Writes what lm-eval does not log: how each answer ended, what was sent, and what made this run (with `facts`)."""
    _write_responses(outcome, cache.records)
    about = {
        "command": ["lm-eval-fr", "run", *argv],
        "lm_eval_fr": __version__,
        "started": _iso(started),
        "finished": _iso(time.time()),
        "answers_kept": outcome.kept,
        "answers_asked": outcome.asked,
        "cache": str(outcome.cache),
        "manifest": read_manifest(call.manifest) if call.manifest else served.fields() if served else None,
        "checkpoint": {name: getattr(checkpoint, name) for name in CHECKPOINT_FACTS} if checkpoint else None,
        "sent": _sent(outcome, cache),
        **facts,
    }
    write_atomic(outcome.record, json.dumps(about, indent=1, ensure_ascii=False))


def _write_responses(outcome: RunOutcome, records: Mapping[str, deque[dict[str, Any]]]) -> None:
    """responses_TASK_STAMP.jsonl beside the samples: one record per response, where the model provides them."""
    for task, path in outcome.samples.items() if records else ():
        beside = path.with_name(f"responses_{task}_{stamp_of(outcome.results)}.jsonl")
        with path.open(encoding="utf-8") as samples, atomic_file(beside) as out:
            seen: set[int] = set()
            for sample in map(json.loads, samples):
                known = records.get(context_of(list(sample["arguments"]["gen_args_0"].values())))
                if not known or sample["doc_id"] in seen:  # the same responses under another filter
                    continue
                seen.add(sample["doc_id"])
                for _ in sample["resps"][0]:
                    record = known.popleft() if len(known) > 1 else known[0]
                    entry = {"task": task, "doc_hash": sample["doc_hash"], **record}
                    out.write(json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def _sent(outcome: RunOutcome, cache: AnswerCache) -> dict[str, Any]:
    """By task, as `arms.sent` describes it."""
    shots = json.loads(outcome.results.read_text(encoding="utf-8")).get("n-shot", {})
    return {
        task: {**(asdict(sent) if sent else {}), "repeats": repeats, "num_fewshot": shots.get(task)}
        for task, (sent, repeats) in cache.sent.items()
    }


def stamp_of(results: Path) -> str:
    return results.stem.removeprefix("results_")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
