"""vLLM itself, on a CPU: five ways to ask one tiny model the same questions, paired, compared and judged by it.

The model is random: what it answers is noise, and everything around it is real.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lm_eval_fr.judge.asking.prompt import VERDICT_SCHEMA
from lm_eval_fr.judge.verdicts.outcome import read_verdicts
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from tests.e2e.engines import VLLM_ARGUMENTS, Record, Served, lm_eval_fr, run_arm

pytestmark = pytest.mark.engines
TASKS = ("--tasks", "piaf_fr,analysis_fr", "--limit", "6")
NAME = "tiny"
FORMS = ("vllm", "vllm with a template", "local-completions", "local-chat-completions", "hosted-chat")


@pytest.fixture(scope="module")
def server(
    tiny_model: Path, vllm_python: Path, tmp_path_factory: pytest.TempPathFactory, record: Record
) -> Iterator[Served]:
    started = time.monotonic()
    served = Served(tiny_model, tmp_path_factory.mktemp("server"), vllm_python.with_name("vllm"), NAME)
    try:
        served.wait_until_ready()
        record.add("scripts/serve.py", "vllm serve", None, started, f"healthy, one canary, {served.manifest.name}")
        yield served
    finally:
        assert served.stop() == 0, served.end_of_logs()


class Arms:
    """Every form of an arm, run when it is first asked for."""

    def __init__(self, server: Served, model: Path, python: Path, data: Path, folder: Path, record: Record) -> None:
        self.server, self.data, self.folder, self.record = server, data, folder, record
        here = {"pretrained": str(model), **VLLM_ARGUMENTS}
        there = {"model": NAME, "num_concurrent": 6}
        chat, text = f"{server.url}/chat/completions", f"{server.url}/completions"
        self._calls: dict[str, tuple[str, dict[str, Any], tuple[str, ...], Path | None]] = {
            "vllm": ("vllm", here, (), python),
            "vllm with a template": ("vllm", {**here, "tokenizer_mode": "hf"}, ("--apply_chat_template",), python),
            "local-completions": ("local-completions", {"base_url": text, **there}, (), None),
            "local-chat-completions": ("local-chat-completions", {"base_url": chat, **there}, (), None),
            "hosted-chat": ("hosted-chat", {"base_url": chat, **there}, (), None),
        }
        self._done: dict[str, Path] = {}

    def __getitem__(self, form: str) -> Path:
        if form not in self._done:
            model, arguments, flags, python = self._calls[form]
            manifest = () if python else ("--manifest", str(self.server.manifest))
            started, out = time.monotonic(), self.folder / form.replace(" ", "-")
            given = {"python": python} if python else {}
            self._done[form] = run_arm(model, arguments, out, self.data, *TASKS, *flags, *manifest, **given)  # type: ignore[arg-type]
            on = "vLLM in the process" if python else "vllm serve"
            self.record.add(f"--model {form}", on, 12, started, "answers and scores")
        return self._done[form]


@pytest.fixture(scope="module")
def arms(
    server: Served,
    tiny_model: Path,
    vllm_python: Path,
    documents: Path,
    tmp_path_factory: pytest.TempPathFactory,
    record: Record,
) -> Arms:
    return Arms(server, tiny_model, vllm_python, documents, tmp_path_factory.mktemp("arms"), record)


def test_the_manifest_says_what_is_served(server: Served, tiny_model: Path) -> None:
    found = json.loads(server.manifest.read_text())
    assert found["engine"] == "vllm"
    assert found["engine_version"].startswith("0.32.0")
    assert (found["model"], found["served_name"], found["quantization"]) == (str(tiny_model), NAME, "none")
    assert (found["dtype"], found["kv_cache_dtype"], found["max_model_len"]) == ("bfloat16", "auto", 8192)
    assert found["text_prompts"] is True  # by vLLM's own /tokenize and /detokenize
    canary = found["start"]["canary"]
    assert canary["answer"].strip()
    assert canary["prompt_tokens"] > 10


def test_the_server_says_the_same_when_it_is_asked(server: Served, tmp_path: Path) -> None:
    lm_eval_fr("manifest", server.url, "--json", tmp_path / "asked.json", cwd=tmp_path)
    asked, written = (json.loads(path.read_text()) for path in (tmp_path / "asked.json", server.manifest))
    same = ("engine", "engine_version", "served_name", "quantization", "dtype", "max_model_len", "chat_template_sha256")
    assert {name: asked[name] for name in same} == {name: written[name] for name in same}
    assert asked["start"]["asked"] == ["/v1/models", "/version"]


@pytest.mark.parametrize("form", FORMS)
def test_an_arm_runs(arms: Arms, form: str) -> None:
    run = find_run(arms[form])
    assert {name: log.n_logged for name, log in run.tasks.items()} == {"piaf_fr": 6, "analysis_fr": 6}
    if "vllm" in form:
        assert run.settings["checkpoint.quantization"] == "none"
        assert run.settings["checkpoint.dtype"] == "bfloat16"
    else:
        assert run.settings["manifest.engine_version"].startswith("0.32.0")
        assert not any(name.startswith("manifest.start") for name in run.settings)


def test_every_two_forms_were_asked_the_same(arms: Arms, record: Record) -> None:
    started = time.monotonic()
    runs = {form: find_run(arms[form]) for form in FORMS}
    for one, other in itertools.combinations(FORMS, 2):
        pairing = pair_runs(runs[one], runs[other])
        assert {task.task: task.n for task in pairing.tasks} == {"piaf_fr": 6, "analysis_fr": 6}, (one, other)
        for task in pairing.tasks:
            assert all(pair.candidate.answer for pair in task.pairs()), (one, other)
            assert task.answers[0].health.empty == task.answers[0].health.failed == 0
    record.add("pairs of arms", "the prompts of both", 12, started, "10 of 10 proven the same work")


def test_one_engine_asked_twice_answers_alike(arms: Arms) -> None:
    """The chat template is applied by lm-eval in one arm and by the server in the other two."""
    chats = [find_run(arms[form]) for form in ("vllm with a template", "local-chat-completions", "hosted-chat")]
    for other in chats[1:]:
        questions = pair_runs(chats[0], other, tasks=["piaf_fr"]).tasks[0]
        same = sum(pair.candidate.answer == pair.reference.answer for pair in questions.pairs())
        assert same >= 4, f"{same} of 6 answers are the same: the prompts' tokens differ"


def test_compare(arms: Arms, tmp_path: Path, record: Record) -> None:
    started = time.monotonic()
    files = ("--json", tmp_path / "compare.json", "--html", tmp_path / "report.html")
    shown = lm_eval_fr("compare", arms["local-completions"], arms["hosted-chat"], *files, cwd=tmp_path)
    found = json.loads((tmp_path / "compare.json").read_text())
    assert [task["task"] for task in found["tasks"]] == ["piaf_fr"]
    settings = {setting["name"]: setting for setting in found["settings"]}
    assert settings["manifest.engine_version"]["candidate"].startswith("0.32.0")
    assert "piaf_fr" in shown
    assert found["tasks"][0]["verdict"] is None  # no margin was given
    record.add("compare", "both arms", 6, started, f"difference {found['tasks'][0]['difference']:+.2f}")


def test_the_served_model_judges_under_the_schema(
    arms: Arms, server: Served, tiny_model: Path, tmp_path: Path, record: Record
) -> None:
    started = time.monotonic()
    profile = tmp_path / "judge.yaml"
    profile.write_text(yaml.safe_dump(judge_profile(server.url, tiny_model)))
    out = tmp_path / "judged"
    pair = (arms["local-completions"], arms["hosted-chat"])
    # Random weights fail the controls, as they should: without --trust-judge no pair would be asked.
    lm_eval_fr("judge", *pair, "--profile", profile, "--out", out, "--trust-judge", cwd=tmp_path)
    verdicts = read_verdicts(out)
    assert len(verdicts) == 6
    assert {verdict.outcome for verdict in verdicts} <= {"win", "loss", "tie", "flip", "split", "invalid"}
    replies = [reply["choices"][0] for reply in stored_replies(out / "journal.sqlite")]
    assert len(replies) >= 12
    said = [reply["message"]["content"] for reply in replies]
    assert all(text.lstrip().startswith('{"faults_a"') for text in said), said[0][
        :200
    ]  # under the schema from the start
    # A list of faults that never ends is cut by the limit; what the model ended is whole.
    ended = [json.loads(text) for text, reply in zip(said, replies, strict=True) if reply["finish_reason"] == "stop"]
    assert ended
    for given in ended:
        assert sorted(given) == sorted(VERDICT_SCHEMA["required"])
        assert given["verdict"] in VERDICT_SCHEMA["properties"]["verdict"]["enum"]
    outcomes = ", ".join(sorted(verdict.outcome for verdict in verdicts))
    record.add("judge, JSON schema", "vllm serve", 6, started, outcomes)


def test_check_asks_each_endpoint_once(
    server: Served, tiny_model: Path, documents: Path, tmp_path: Path, record: Record
) -> None:
    started = time.monotonic()
    (tmp_path / "judge.yaml").write_text(yaml.safe_dump(judge_profile(server.url, tiny_model)))
    asked = {"model": NAME, "num_concurrent": 6}
    plan = plan_of(
        documents,
        candidate={"model": "local-completions", "model_args": {"base_url": f"{server.url}/completions", **asked}},
        reference={
            "model": "hosted-chat",
            "model_args": {"base_url": f"{server.url}/chat/completions", **asked},
            "manifest": str(server.manifest),
        },
        judge={"profile": "./judge.yaml"},
    )
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    shown = lm_eval_fr("check", tmp_path / "plan.yaml", cwd=tmp_path)
    assert shown.count("the server's /tokenize agrees") == 2, shown
    assert "only the reference is asked through a chat template" in shown
    assert "judge (tiny) prefers" in shown
    assert "12 requests" in shown
    record.add("check", "vllm serve", None, started, "both arms and the judge asked once")


def test_check_reads_a_prompt_that_lm_eval_renders(
    server: Served, tiny_model: Path, vllm_python: Path, documents: Path, tmp_path: Path, record: Record
) -> None:
    """lm-eval applies the template and encodes it: the server counts the tokens that it was sent."""
    started = time.monotonic()
    rendered = {"tokenizer": str(tiny_model), "tokenized_requests": True, "max_length": 8192}
    text = {"base_url": f"{server.url}/completions", "model": NAME, **rendered}
    plan = plan_of(
        documents,
        candidate={"model": "local-completions", "model_args": text, "apply_chat_template": True},
        reference={
            "model": "vllm",
            "model_args": {"pretrained": str(tiny_model), **VLLM_ARGUMENTS},
            "apply_chat_template": True,
        },
    )
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    shown = lm_eval_fr("check", tmp_path / "plan.yaml", cwd=tmp_path, python=vllm_python)
    assert "characters, as sent" in shown
    assert f"{tiny_model}: complete, quantisation none" in shown
    record.add("check", "vLLM's files, vllm serve", None, started, "token ids arrive as sent")


def plan_of(data: Path, **parts: Any) -> dict[str, Any]:
    common = {"name": "try", "tasks": ["piaf_fr", "analysis_fr"], "limit": 6, "data_dir": str(data)}
    return {**common, **parts}


def judge_profile(url: str, model: Path) -> dict[str, Any]:
    """A random model writes white space, and strings without an end, for ever: both are made unlikely."""
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    bias = {str(number): -100.0 for token, number in vocabulary.items() if set(token) <= set("ĠĊĉč")}
    bias |= {str(vocabulary['"']): 2.0, str(vocabulary["A"]): 0.3, str(vocabulary["B"]): 0.3}
    return {
        "model": NAME,
        "base_url": url,
        "key_env": None,
        "parameters": {"temperature": 0, "max_tokens": 200, "logit_bias": bias},
        "context": 8000,
        "concurrency": 4,
        "timeout": 120,
    }


def stored_replies(journal: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(journal) as database:
        return [json.loads(raw) for (raw,) in database.execute("SELECT raw FROM replies")]
