"""Two runs to judge, a profile of a judge on a fake server, and judges of simple taste.

The answers say how good they are ("qualité 3"), so that every verdict is known beforehand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from lm_eval_fr.io.retry import RetryPolicy
from lm_eval_fr.judge.asking.offline import judge_offline
from lm_eval_fr.judge.asking.prompt import Shown, read_back
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.session import judge_runs
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
from lm_eval_fr.judge.verdicts.outcome import PairVerdict, read_verdicts
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from tests.fakes.runs import FakeSample, FakeTask, make_run
from tests.fakes.server import Call

TASK = "analysis_fr"
FAST = RetryPolicy(first_wait=0.01, longest_wait=0.05)
PRICES = {"input": 2.0, "cached": 0.5, "output": 8.0, "batch": 0.5}


def answer(quality: int, words: str = "") -> str:
    return f"Analyse de qualité {quality}. {words}".strip()


def write_runs(
    folder: Path,
    candidate: Sequence[str],
    reference: Sequence[str],
    *,
    titles: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
) -> tuple[Path, Path]:
    """Two run folders of one judged task."""
    arms = []
    for name, answers in (("candidate", candidate), ("reference", reference)):
        samples = [
            FakeSample(
                doc={"id": f"d{i}", "title": titles[i] if titles else f"t{i}"},
                prompt=texts[i] if texts else f"Résume en trois points le texte n° {i} : « L'île est belle. »",
                answer=text,
            )
            for i, text in enumerate(answers)
        ]
        task = FakeTask(TASK, samples, cluster="title" if titles else None)
        arms.append(make_run(folder / name, task, model=f"org/{name}"))
    return arms[0], arms[1]


def pair(candidate: Path, reference: Path) -> Pairing:
    return pair_runs(find_run(candidate), find_run(reference))


def write_profile(folder: Path, url: str, name: str = "fake", **changes: Any) -> str:
    """A profile file for the server at `url`, and its path as `--profile` takes it."""
    profile = {
        "model": "fake-model",
        "base_url": url,
        "key_env": None,
        "parameters": {"temperature": 0, "max_tokens": 300},
        "prices": PRICES,
        "concurrency": 4,
        "timeout": 30,
    } | changes
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(profile, allow_unicode=True), encoding="utf-8")
    return str(path)


def options(profile: str, **changes: Any) -> JudgeOptions:
    return JudgeOptions(**({"profile": (profile,), "controls": 0, "retry": FAST} | changes))


def judge(pairing: Pairing, out: Path, profile: str, **changes: Any) -> tuple[JudgeSummary, list[PairVerdict]]:
    summary = judge_runs(pairing, out, options(profile, **changes))
    return summary, read_verdicts(out)


def outcomes(verdicts: Sequence[PairVerdict]) -> list[str]:
    return [verdict.outcome for verdict in sorted(verdicts, key=lambda v: v.doc_id)]


def shown(call: Call) -> Shown:
    return read_back(call.messages)


def verdict_json(verdict: str, reason: str = "plus fidèle") -> str:
    return json.dumps({"reason": reason, "verdict": verdict}, ensure_ascii=False)


def by_quality(call: Call) -> str:
    """The judge that sees the quality and nothing else; where none is written, as in controls, it judges by words."""
    texts = shown(call)
    first, second = quality(texts.first), quality(texts.second)
    if first is None and second is None:
        return verdict_json(judge_offline(texts.task, texts.first, texts.second)[0])
    first, second = first or 0, second or 0
    return verdict_json("tie" if first == second else "A" if first > second else "B")


def quality(text: str) -> int | None:
    found = re.search(r"qualité (\d+)", text)
    return int(found.group(1)) if found else None


def document(call: Call) -> int:
    found = re.search(r"n° (\d+)", shown(call).task)
    assert found
    return int(found.group(1))


def only(numbers: Sequence[int], then: Callable[[Call], Any]) -> Callable[[Call], Any]:
    """`then` for some documents, the judge of quality for the others."""
    return lambda call: then(call) if document(call) in numbers else by_quality(call)
