"""Whatever is in a file: the right result, or one line that says what, where and what to do; never a wrong number.

Thousands of changes of every file that the package reads, seeded, in this process: of its JSON (another value, another
type, a key gone, an abyss of brackets), of its text and of its bytes.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import lm_eval_fr as fr
from lm_eval_fr.analyses.claims import find_claims
from lm_eval_fr.cli import main
from lm_eval_fr.errors import LmEvalFrError
from lm_eval_fr.judge.asking.profile import load_profile, load_rubric
from lm_eval_fr.judge.verdicts.people import read_labels
from lm_eval_fr.report.model_card import model_index, read_comparison, render
from tests.fakes.runs import FakeSample, FakeTask, make_run, plain_task, write_responses

SEED = 20260714
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 10**30, 0.5, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf")),
    *("", " ", "x", "1", "NaN", "\ud800", "\x00\x1b[2J", "é" * 3000, "{{ 7 * 7 }}", "{% for x in y %}", "../../x"),
    *([], {}, [None], [1.5], ["x"], [[]], {"x": 1}, {"": None}, [[[[1]]]], [[-1.0, 2]]),
)
TEXTS = (
    b"",
    b"0",
    b"-",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\xff",
    b"\x00",
    b"\\",
    b"e9",
    b"null",
    b"NaN",
)
YAML_VALUES = (
    *(
        "2026-13-45",
        "!!int 'x'",
        "!!timestamp x",
        "&a [*a]",
        "*b",
        "[",
        "{",
        '"',
        "- x",
        "? [a]\n: b",
        "9" * 400,
        ".inf",
    ),
    *(
        ".nan",
        "-1",
        "0",
        "1e999",
        "null",
        "true",
        "''",
        "[[[[]]]]",
        "{a: {b: {c: d}}}",
        "!!binary '@'",
        "\t",
        "\x01",
        "%",
    ),
    *(
        "0x",
        "1_000",
        "2%",
        "200%",
        "-2%",
        "x" * 5000,
        "!!python/name:os.system",
        "<<: 3",
        "a: 1, a: 2",
        "|",
        "---",
        "...",
    ),
)


def abyss(rng: random.Random) -> Any:
    value: Any = 1
    for _ in range(rng.choice([60, 150, 900])):
        value = [value] if rng.random() < 0.5 else {"x": value}
    return value


def change_value(content: Any, rng: random.Random) -> Any:
    """The same JSON with one value changed, gone, or under another key."""
    places = list(_places(content, ()))
    path = rng.choice(places)
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    kind = rng.random()
    if kind < 0.15:
        del holder[path[-1]]
    elif kind < 0.25 and isinstance(holder, dict):
        holder[rng.choice(["x", "", "\ud800", "model_name"])] = holder.pop(path[-1])
    elif kind < 0.3:
        holder[path[-1]] = abyss(rng)
    else:
        holder[path[-1]] = rng.choice(HOSTILE)
    return content


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def change_json(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.25:
        return change_bytes(data, rng)
    return json.dumps(change_value(json.loads(data), rng), indent=rng.choice([None, 1])).encode()


def change_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    at, kind = rng.randrange(len(lines)), rng.random()
    if kind < 0.1:
        lines.insert(rng.randrange(len(lines)), lines[at])
    elif kind < 0.2:
        del lines[at]
    elif kind < 0.35:
        return change_bytes(data, rng)
    else:
        lines[at] = json.dumps(change_value(json.loads(lines[at]), rng)).encode() + b"\n"
    return b"".join(lines)


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    length = rng.choice([0, 1, 1, 3, 40])
    if rng.random() < 0.2:
        return data[:at]
    return data[:at] + rng.choice(TEXTS) * rng.choice([1, 1, 5, 2000]) + data[at + length :]


def change_yaml(data: bytes, rng: random.Random) -> bytes:
    lines = data.decode().split("\n")
    at = rng.randrange(len(lines))
    kind = rng.random()
    if kind < 0.2:
        return change_bytes(data, rng)
    if kind < 0.3:
        lines.insert(at, lines[at])
    elif kind < 0.4:
        lines[at] = "  " + lines[at]
    else:
        key, colon, _ = lines[at].partition(":")
        lines[at] = f"{key}{colon} {rng.choice(YAML_VALUES)}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


Facts = dict[str, tuple[int, float, float]]


class Study:
    """Two runs of a scored, a multiple-choice and a judged task, the judge's folder, and what they say."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for arm in ("c", "r"):
            folder = make_run(root / arm, *_tasks(arm), model=arm)
            results = next(folder.glob("results_*"))
            stamp = results.stem.removeprefix("results_")
            sent = {"piaf_fr": {"max_tokens": 64, "stop": ["</s>"], "other": {}, "repeats": 1}}
            results.with_name(f"arm_{stamp}.json").write_text(json.dumps({"sent": sent, "manifest": {"model": arm}}))
            rows = [json.loads(line) for line in next(folder.glob("samples_piaf*")).read_text().splitlines()]
            usage = {"prompt_tokens": 9, "completion_tokens": 3}
            kept = [{"doc_hash": row["doc_hash"], "finish_reason": "stop", "usage": usage} for row in rows]
            write_responses(folder, "piaf_fr", kept, stamp)
        flags = ["--profile", "offline", "--controls", "0", "--out", str(root / "j")]
        assert CliRunner().invoke(main, ["judge", str(root / "c"), str(root / "r"), *flags]).exit_code == 0
        report = self.compare()
        self.sound = facts(report)
        (root / "compare.json").write_text(report.to_json())

    def compare(self) -> fr.Comparison:
        margins: Any = {"gold": 0.1, "judge": 0.3}
        report = fr.compare(self.root / "c", self.root / "r", judge=self.root / "j", margins=margins)
        report.to_dict()
        report.to_text()
        return report


def _tasks(arm: str) -> list[FakeTask]:
    scores = {"f1": [0.5, 1.0, 0.0, 0.25, 1.0, 0.75], "exact_match": [0, 1, 0, 0, 1, 0]}
    choices = [
        FakeSample({"q": i}, f"Q{i}", choices=[("a", -1.0), ("b", -2.0 - i)], scores={"acc": i % 2}, target=0)
        for i in range(4)
    ]
    return [
        plain_task("piaf_fr", scores, titles=list("AABBCD"), answers=[f"{arm}{i}" for i in range(6)]),
        FakeTask("sciq", choices),
        plain_task("analysis_fr", 3, answers=[f"{arm} dit {i}" for i in range(3)]),
    ]


def facts(report: fr.Report) -> Facts:
    """What a row says where something is claimed of it. Answers that are not there are counted, and count 0."""
    found = {}
    for row in report.tasks:
        health = row.candidate_health, row.reference_health
        lost = any(arm is not None and arm.failed for arm in health)
        if row.verdict in ("non_inferior", "inferior", "inconclusive") and not lost:
            assert row.candidate_mean is not None and row.reference_mean is not None
            found[row.task] = (row.n, round(row.candidate_mean, 5), round(row.reference_mean, 5))
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study"))


Change = Callable[[bytes, random.Random], bytes]


def try_changes(file: Path, change: Change, times: int, use: Callable[[], object], seed: int) -> int:
    """Uses the file under so many changes; how many of them were refused. Whatever is not ours fails the test."""
    whole, rng, refused = file.read_bytes(), random.Random(seed), 0
    try:
        for number in range(times):
            changed = change(whole, rng)
            file.write_bytes(changed)
            try:
                use()
            except LmEvalFrError as error:
                refused += 1
                assert "\n" not in str(error) and error.exit_code in (2, 4), (number, changed[:2000])
            except Exception as error:
                raise AssertionError(f"change {number} of {file.name}: {changed[:3000]!r}") from error
    finally:
        file.write_bytes(whole)
    return refused


@pytest.mark.parametrize(
    ("pattern", "change", "times"),
    [
        ("c/c/samples_piaf_fr_*", change_lines, 400),
        ("r/r/samples_sciq_*", change_lines, 150),
        ("c/c/samples_analysis_fr_*", change_lines, 120),
        ("r/r/results_*", change_json, 300),
        ("c/c/arm_*", change_json, 60),
        ("r/r/responses_*", change_lines, 60),
        ("j/verdicts.jsonl", change_lines, 120),
        ("j/judge.json", change_json, 120),
    ],
)
def test_a_comparison_of_a_broken_file(study: Study, pattern: str, change: Change, times: int) -> None:
    def use() -> None:
        found = facts(study.compare())
        wrong = {task: row for task, row in found.items() if row != study.sound.get(task)}
        assert not wrong, f"{wrong} where the sound files say {study.sound}"

    file = next(study.root.glob(pattern))
    refused = try_changes(file, change, times, use, SEED)
    assert refused > times // 20


def test_a_broken_report(study: Study) -> None:
    file = study.root / "compare.json"

    def use() -> None:
        found = read_comparison(file)
        render(found)
        model_index(found)

    assert try_changes(file, change_json, 250, use, SEED) > 50


PLAN = """name: essai
tasks: [piaf_fr, analysis_fr]
limit: 100
seed: 7
candidate:
  model: hosted-chat
  model_args: {base_url: "http://127.0.0.1:9/v1", model: m, num_concurrent: 4}
  rerun: true
reference: {model: vllm, model_args: {pretrained: m}}
judge:
  profile: offline
  orders: lazy
  max_usd: 5
margins: {gold: 2%, judge: 0.1}
metrics: {piaf_fr: f1}
repeats: 2
"""
LABELS = "".join(
    json.dumps({"task": "analysis_fr", "doc_id": i, "label": label}) + "\n" for i, label in enumerate(["win", "tie"])
)


def shipped(find: Callable[[str], Any], folder: str, name: str, tmp_path: Path) -> tuple[Path, Callable[[], Any]]:
    from lm_eval_fr.tasklib.definitions import claims_dir, judge_dir

    source = (claims_dir() if folder == "claims" else judge_dir() / folder) / f"{name}.yaml"
    file = Path(shutil.copy(source, tmp_path / "x.yaml"))
    return file, lambda: find(str(file))


@pytest.mark.parametrize(
    ("find", "folder", "name"),
    [
        (find_claims, "claims", "mistral_small_4_nvfp4"),
        (load_profile, "profiles", "gpt-4.1"),
        (load_rubric, "rubrics", "analyses_fr"),
    ],
)
def test_broken_definitions(tmp_path: Path, find: Callable[[str], Any], folder: str, name: str) -> None:
    file, use = shipped(find, folder, name, tmp_path)
    assert try_changes(file, change_yaml, 250, use, SEED) > 50


def test_a_broken_plan(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    fr.load_plan(file)
    assert try_changes(file, change_yaml, 400, lambda: fr.load_plan(file).hash, SEED) > 100


def test_broken_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(LABELS)
    assert try_changes(file, change_lines, 200, lambda: read_labels(file), SEED) > 50
