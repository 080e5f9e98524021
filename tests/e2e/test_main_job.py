"""The whole road on real texts: two arms on real sockets through lm-eval, a judge on a third, the verdict.

What must come out is computed here from the servers' own rules, never from the package's functions.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy.stats import binomtest

from lm_eval_fr.judge.asking.offline import verdict_offline
from tests.e2e import forked
from tests.e2e.material import data_folder, piaf_questions, sib200_topics
from tests.fakes.server import Call, FakeOpenAI

LIMIT = 40
KEY = "sk-test-0123456789abcdef"
PIAF = re.compile(r"Texte :\n(.*)\n\nQuestion : (.*)\n\nRéponse :$", re.DOTALL)
SIB = re.compile(r"Texte : (.*)\n\nRéponds par le seul nom", re.DOTALL)
QUALITY = re.compile(r"qualité (\d)")


def digit(text: str, salt: str = "") -> int:
    """A digit that stands for a text: the servers' only source of variety."""
    return int(hashlib.sha256((salt + text).encode()).hexdigest(), 16) % 10


class Arm:
    """Answers a share of the real questions rightly, and writes analyses whose quality is written in them."""

    def __init__(self, shared: Path, name: str, right: set[int], best: int) -> None:
        self.questions, self.topics = piaf_questions(shared), sib200_topics(shared)
        self.name, self.right, self.best = name, right, best

    def __call__(self, call: Call) -> str:
        prompt = call.user
        if found := PIAF.search(prompt):
            asked = self.questions[found[1], found[2]]
            return asked.gold if self.knows(asked.question) else "zzz"
        if found := SIB.search(prompt):
            return self.topics[found[1].strip()] if self.knows(found[1].strip()) else "zzz"
        return f"Analyse de qualité {self.quality(prompt)}."

    def knows(self, question: str) -> bool:
        return digit(question) in self.right

    def quality(self, prompt: str) -> int:
        return min(digit(prompt, self.name), self.best)


def judge_by_quality(call: Call) -> str:
    """Prefers the higher number; where they are one apart, whatever comes first. Controls, without one, by words."""
    found = QUALITY.findall(call.user)[-2:]
    if len(found) < 2:
        return verdict_offline(call.messages)
    first, second = (int(number) for number in found)
    verdict = "tie" if first == second else "A" if first - second >= -1 else "B"
    return json.dumps({"reason": f"{first} contre {second}", "verdict": verdict})


def expected_outcome(candidate: int, reference: int) -> str:
    if candidate == reference:
        return "identical"
    if abs(candidate - reference) == 1:
        return "flip"
    return "win" if candidate > reference else "loss"


@pytest.fixture(scope="module")
def servers(shared_data: Path) -> Iterator[dict[str, Any]]:
    candidate = Arm(shared_data, "candidate", right={0, 1, 2, 3, 4, 5}, best=8)
    reference = Arm(shared_data, "reference", right={0, 1, 2, 3, 4, 6, 7}, best=9)
    with FakeOpenAI(candidate) as one, FakeOpenAI(reference) as two, FakeOpenAI(judge_by_quality, api_key=KEY) as three:
        yield {"candidate": one, "reference": two, "judge": three, "arms": (candidate, reference)}


def lm_eval_fr(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = forked.run(["-m", "lm_eval_fr", *arguments], env={"OPENAI_API_KEY": KEY})
    assert done.returncode == code, f"{arguments[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def study(shared_data: Path, servers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study by `ab`: the candidate through chat completions, the reference through completions."""
    folder = tmp_path_factory.mktemp("study")
    data_folder(shared_data, folder / "data")
    plan = {
        "name": "real-texts",
        "tasks": ["piaf_fr", "sib200_fr", "analysis_fr"],
        "limit": LIMIT,
        "margins": {"gold": 0.05, "judge": 0.10},
        "data_dir": "data",
        "candidate": {
            "model": "local-chat-completions",
            "model_args": {
                "model": "fake-model",
                "base_url": servers["candidate"].url + "/chat/completions",
                "num_concurrent": 8,
            },
            "apply_chat_template": True,
        },
        "reference": {
            "model": "local-completions",
            "model_args": {
                "model": "fake-model",
                "base_url": servers["reference"].url + "/completions",
                "tokenizer_backend": "None",
                "tokenized_requests": False,
                "num_concurrent": 8,
            },
        },
        "judge": {"profile": "gpt-4.1", "base_url": servers["judge"].url},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    lm_eval_fr("ab", str(folder / "plan.yaml"), "--out", str(folder / "out"))
    return folder / "out"


def samples(arm: Path, task: str) -> list[dict[str, Any]]:
    (file,) = arm.rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def result_of(study: Path, task: str) -> dict[str, Any]:
    report = json.loads((study / "compare.json").read_text(encoding="utf-8"))
    (found,) = [entry for entry in report["tasks"] if entry["task"] == task]
    return found


def test_gold_tasks_are_scored_and_paired_as_the_servers_answered(study: Path, servers: dict[str, Any]) -> None:
    candidate, reference = servers["arms"]
    for task, field in (("piaf_fr", "question"), ("sib200_fr", "text")):
        docs = [sample["doc"] for sample in samples(study / "candidate", task)]
        assert len(docs) == LIMIT
        right = [(candidate.knows(doc[field].strip()), reference.knows(doc[field].strip())) for doc in docs]
        lost, gained = right.count((False, True)), right.count((True, False))
        result = result_of(study, task)
        assert result["n"] == LIMIT
        assert result["candidate_mean"] == pytest.approx(sum(one for one, _ in right) / LIMIT)
        assert result["reference_mean"] == pytest.approx(sum(two for _, two in right) / LIMIT)
        assert result["difference"] == pytest.approx((gained - lost) / LIMIT)
        assert (result["flips"]["lost"], result["flips"]["gained"]) == (lost, gained)
        assert lost and gained, "the servers' rules must make both kinds of flip"
        assert result["ci_low"] < result["difference"] < result["ci_high"]


def test_the_first_documents_come_from_different_articles(study: Path) -> None:
    titles = {sample["doc"]["title"] for sample in samples(study / "reference", "piaf_fr")}
    assert len(titles) == LIMIT


def test_every_pair_gets_the_outcome_that_the_judge_s_rule_gives(study: Path, servers: dict[str, Any]) -> None:
    candidate, reference = servers["arms"]
    expected = {}
    for sample in samples(study / "reference", "analysis_fr"):
        prompt = sample["arguments"]["gen_args_0"]["arg_0"]
        expected[sample["doc_hash"]] = expected_outcome(candidate.quality(prompt), reference.quality(prompt))
    lines = (study / "judge" / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    found = {verdict["doc_hash"]: verdict["outcome"] for verdict in map(json.loads, lines)}
    assert found == expected
    counts = Counter(expected.values())
    assert all(counts[kind] for kind in ("win", "loss", "flip", "identical"))
    judge = json.loads((study / "compare.json").read_text(encoding="utf-8"))["judge"]
    wins, losses = counts["win"], counts["loss"]
    assert (judge["n"], judge["wins"], judge["losses"], judge["ties"]) == (LIMIT, wins, losses, LIMIT - wins - losses)
    # Five prompts an article: the test and the interval are those of articles, near the exact ones but not equal.
    assert judge["clusters"] < LIMIT
    exact = binomtest(wins, wins + losses)
    assert judge["p_value"] == pytest.approx(exact.pvalue, abs=0.1)
    low, high = judge["win_share_ci"]
    assert low < wins / (wins + losses) < high
    assert judge["net_win"] == pytest.approx((wins - losses) / LIMIT)


def test_the_judge_is_blind_and_asked_both_ways(study: Path, servers: dict[str, Any]) -> None:
    asked = [json.dumps(call.body, ensure_ascii=False) for call in servers["judge"].calls]
    assert asked, "nothing was judged"
    for body in asked:
        for secret in ("candidate_", "reference_", "fake-model", "local-chat", f":{servers['candidate'].port}"):
            assert secret not in body.lower()


def test_no_key_is_on_disk_and_the_plan_s_hash_is_in_the_report(study: Path) -> None:
    for path in study.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    report = json.loads((study / "compare.json").read_text(encoding="utf-8"))
    state = json.loads((study / "study.json").read_text(encoding="utf-8"))
    assert report["plan_hash"] == state["plans"][0]["hash"]
    assert report["overall"]["verdict"] in ("inferior", "inconclusive", "non_inferior", "no_verdict")
    for name in ("report.txt", "report.md", "report.html", "plan.yaml"):
        assert (study / name).stat().st_size > 0


def test_running_it_again_asks_nobody(study: Path, servers: dict[str, Any]) -> None:
    before = [servers[name].count for name in ("candidate", "reference", "judge")]
    report = (study / "compare.json").read_text(encoding="utf-8")
    lm_eval_fr("ab", str(study.parent / "plan.yaml"), "--out", str(study))
    assert [servers[name].count for name in ("candidate", "reference", "judge")] == before
    old, new = json.loads(report), json.loads((study / "compare.json").read_text(encoding="utf-8"))
    assert (new["tasks"], new["overall"]) == (old["tasks"], old["overall"])


def test_step_by_step_gives_the_same_numbers(study: Path, servers: dict[str, Any], tmp_path: Path) -> None:
    """`judge` and `compare` on the arms that `ab` made; lazy orders cost fewer calls and change no headline."""
    arms = [str(study / "candidate"), str(study / "reference")]
    before = servers["judge"].count
    judging = ["--profile", "gpt-4.1", "--base-url", servers["judge"].url, "--orders", "lazy"]
    lm_eval_fr("judge", *arms, "--out", str(tmp_path / "judge"), *judging)
    first_report = json.loads((study / "compare.json").read_text(encoding="utf-8"))
    assert servers["judge"].count > before
    margins = ["--margin", "0.05", "--margin", "judge=0.10"]
    done = lm_eval_fr("compare", *arms, "--judge", str(tmp_path / "judge"), *margins, "--json", "-")
    report = json.loads(done.stdout)
    assert report["overall"]["verdict"] == first_report["overall"]["verdict"]
    assert [task["difference"] for task in report["tasks"]] == [task["difference"] for task in first_report["tasks"]]
    keys = ("wins", "losses", "ties", "net_win", "p_value")
    assert [report["judge"][key] for key in keys] == [first_report["judge"][key] for key in keys]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "{out}/candidate", "{out}/nowhere"], ["nowhere", "no such"]),
        (["compare", "{out}/candidate", "{out}/judge"], ["{out}/judge"]),
        (["compare", "{out}/candidate", "{out}/reference", "--margin", "piaf=0.1"], ["piaf"]),
        (["compare", "{out}/candidate", "{out}/reference", "--jsn", "-"], ["--jsn", "--json"]),
        (["judge", "{out}/candidate", "{out}/reference", "--profile", "gpt4.1"], ["gpt4.1", "gpt-4.1"]),
        (["ab", "{out}/pln.yaml"], ["plan.yaml"]),
        (["compaer"], ["compare"]),
    ],
)
def test_a_mistake_is_one_line_with_a_remedy(study: Path, arguments: list[str], words: list[str]) -> None:
    done = lm_eval_fr(*[argument.format(out=study) for argument in arguments], code=2)
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word.format(out=study) in done.stderr


@pytest.mark.slow
def test_lm_eval_alone_runs_the_tasks(shared_data: Path, servers: dict[str, Any], tmp_path: Path) -> None:
    """Plain `lm_eval run --include_path` makes one arm and our command the other: judge and compare take both alike."""
    data_folder(shared_data, tmp_path / "data")
    tasks = lm_eval_fr("tasks", "--path").stdout.strip()
    common = ["--tasks", "piaf_fr,analysis_fr", "--limit", "12"]
    backend = "model=fake-model,tokenizer_backend=None,tokenized_requests=False,num_concurrent=8"
    command = ["-m", "lm_eval", "run", "--include_path", tasks, "--log_samples", *common]
    command += ["--model", "local-chat-completions", "--apply_chat_template"]
    command += ["--model_args", f"{backend},base_url={servers['candidate'].url}/chat/completions"]
    command += ["--metadata", f"data_dir={tmp_path / 'data'}", "--output_path", str(tmp_path / "candidate")]
    alone = forked.run(command)
    assert alone.returncode == 0, alone.stderr[-2000:]
    ours = [
        "--model",
        "local-completions",
        "--model_args",
        f"{backend},base_url={servers['reference'].url}/completions",
    ]
    where = ["--data-dir", str(tmp_path / "data"), "--output_path", str(tmp_path / "reference")]
    lm_eval_fr("run", *common, *ours, *where)
    arms = [str(tmp_path / "candidate"), str(tmp_path / "reference")]
    judging = ["--profile", "gpt-4.1", "--base-url", servers["judge"].url]
    lm_eval_fr("judge", *arms, "--out", str(tmp_path / "judge"), *judging)
    done = lm_eval_fr("compare", *arms, "--judge", str(tmp_path / "judge"), "--json", "-")
    report = json.loads(done.stdout)
    candidate, reference = servers["arms"]
    right = [
        (candidate.knows(q), reference.knows(q))
        for q in (sample["doc"]["question"].strip() for sample in samples(tmp_path / "candidate", "piaf_fr"))
    ]
    (piaf,) = [task for task in report["tasks"] if task["task"] == "piaf_fr"]
    assert piaf["difference"] == pytest.approx(sum(one - two for one, two in right) / 12)
    assert report["judge"]["n"] == 12
