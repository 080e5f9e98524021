"""The writer of tests/fakes/runs.py and the readers against what lm-eval itself writes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lm_eval_fr.logs import find_run, read_samples, task_as_asked
from lm_eval_fr.pairing import pair_runs
from tests.fakes.runs import BOS, EOS, INST, FakeSample, FakeTask, make_run, render

FORMS = ("raw", "chat", "template")
GENERATION = {"until": ["</s>"], "max_gen_toks": 16, "temperature": 0.0, "do_sample": False}
DOCS = [{"id": str(i), "title": f"Été {i // 2}", "text": f"« L’île » n° {i}", "n": i or None} for i in range(4)]
UTILS = f"""
import datasets

def load(**kwargs):
    docs = {DOCS!r}
    shots = [dict(docs[0], text=f"exemple {{i}}") for i in range(2)]
    return {{"test": datasets.Dataset.from_list(docs), "train": datasets.Dataset.from_list(shots)}}

def process_results(doc, results):
    found = results[0].endswith(doc["id"])
    return {{"f1": 0.5 if doc["n"] else 1.0, "found": found, "parts": [True, doc["id"] == "1"]}}
"""
YAML = f"""
custom_dataset: !function utils.load
output_type: generate_until
test_split: test
doc_to_text: "Lis : {{{{text}}}}\\nRéponse :"
doc_to_target: "{{{{title}}}}"
generation_kwargs: {json.dumps(GENERATION)}
metadata: {{version: 1.0, cluster: title}}
"""
SCORED = """
process_results: !function utils.process_results
metric_list:
  - {metric: f1, aggregation: mean, higher_is_better: true}
  - {metric: found, aggregation: mean, higher_is_better: true}
  - {metric: parts, aggregation: !function utils.share, higher_is_better: true}
"""
SHARE = "\ndef share(items):\n    return sum(map(sum, items)) / sum(map(len, items))\n"
SHOTS = 'description: "Tu lis."\nfewshot_split: train\nfewshot_config: {sampler: first_n}\nnum_fewshot: 2\n'
TASKS = {
    "qa": SCORED,
    "shots": SCORED + SHOTS,
    "open": "metric_list: [{metric: bypass}]\nprocess_results: !function utils.nothing\n",
    "twice": """
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
repeats: 3
filter_list:
  - {name: first, filter: [{function: take_first}]}
  - {name: vote, filter: [{function: majority_vote}, {function: take_first}]}
""",
}
CHOICE = """
task: choice
custom_dataset: !function utils.load
output_type: multiple_choice
test_split: test
doc_to_text: "{{text}}"
doc_to_choice: ["oui", "non"]
doc_to_target: 1
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 2.0}
"""


def scripted_model(form: str) -> Any:
    from lm_eval.api.model import LM
    from lm_eval.models.api_models import JsonChatStr

    class Scripted(LM):
        tokenizer_name = "scripted"
        tokenizer = SimpleNamespace(pad_token=None, pad_token_id=None, bos_token=BOS, eos_token=EOS)

        def generate_until(self, requests: list[Any]) -> list[str]:
            return [f"réponse {request.doc['id']}" for request in requests]

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            return [(-float(len(request.args[1])), False) for request in requests]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise NotImplementedError

        def apply_chat_template(self, turns: list[dict[str, str]], add_generation_prompt: bool = True) -> Any:
            return JsonChatStr(json.dumps(turns, ensure_ascii=False)) if form == "chat" else render(INST, turns)

        def chat_template(self, chat_template: bool | str = False) -> str:
            return "" if form == "chat" else INST

    Scripted.tokenizer.bos_token_id, Scripted.tokenizer.eos_token_id = 1, 2
    return Scripted()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A real run in every form: what lm-eval's command does after parsing its flags."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    root = tmp_path_factory.mktemp("real")
    definitions = root / "tasks"
    definitions.mkdir()
    (definitions / "utils.py").write_text(UTILS + SHARE + "\ndef nothing(doc, results):\n    return {}\n")
    for name, text in TASKS.items():
        (definitions / f"{name}.yaml").write_text(f"task: {name}{YAML}{text}")
    (definitions / "choice.yaml").write_text(CHOICE)
    tasks = TaskManager(include_path=str(definitions), include_defaults=False)
    for form in FORMS:
        tracker = EvaluationTracker(output_path=str(root / form))
        found = simple_evaluate(
            scripted_model(form),
            model_args={"model": "org/modèle"},
            tasks=[*TASKS, *(["choice"] if form == "raw" else [])],
            task_manager=tasks,
            evaluation_tracker=tracker,
            limit=3,
            system_instruction="Réponds en français.",
            apply_chat_template=form != "raw",
            bootstrap_iters=0,
        )
        samples = found.pop("samples")
        tracker.save_results_aggregated(results=found, samples=samples)
        for name in found["configs"]:
            tracker.save_results_samples(name, samples[name])
    return {form: next((root / form).iterdir()) for form in FORMS}


def fake(name: str) -> FakeTask:
    """The same work for the writer of fakes."""

    def prompt(text: str) -> str:
        return f"Lis : {text}\nRéponse :"

    samples = [
        FakeSample(
            doc,
            prompt(doc["text"]),
            f"réponse {doc['id']}",
            {"f1": 0.5 if doc["n"] else 1.0, "found": True, "parts": [True, doc["id"] == "1"]}
            if name != "open"
            else {},
            doc["title"],
            shots=[(prompt(f"exemple {i}"), "Été 0") for i in range(2)] if name == "shots" else (),
        )
        for doc in DOCS[:3]
    ]
    description = "Tu lis." if name == "shots" else ""
    own: dict[str, Any] = {"aggregation": {"parts": SHARE}, "printed": {"parts": 4 / 6}}
    return FakeTask(name, samples, generation=GENERATION, description=description, original=4, cluster="title", **own)


@pytest.fixture(params=FORMS)
def both(request: pytest.FixtureRequest, real: dict[str, Path], tmp_path: Path) -> tuple[Path, Path]:
    """(folder of lm-eval, folder of the fake) for one form."""
    tasks = [fake(name) for name in ("qa", "shots", "open")]
    about: dict[str, Any] = {"form": request.param, "system_instruction": "Réponds en français.", "limit": 3}
    return real[request.param], make_run(tmp_path, *tasks, model="org/modèle", chat_template=INST, **about)


def test_the_fake_writes_samples_byte_for_byte(both: tuple[Path, Path]) -> None:
    for name in ("qa", "shots", "open"):
        theirs, ours = (next(folder.glob(f"samples_{name}_*")).read_bytes() for folder in both)
        assert ours == theirs
    assert both[0].name == both[1].name


def test_the_fake_writes_results_of_the_same_shape(both: tuple[Path, Path]) -> None:
    theirs, ours = (json.loads(next(folder.glob("results_*")).read_text()) for folder in both)
    assert [key for key in theirs if key in ours] == list(ours)
    absent = {key for key in theirs.keys() - ours.keys() if not key.startswith("tokenizer_")}
    assert absent <= {"eot_token_id", "max_length"}, "of the tokenizer, which an API's client lacks"
    for block in ("versions", "n-shot", "higher_is_better", "n-samples", "task_hashes"):
        for name in ("qa", "shots", "open"):
            assert (block, ours[block][name]) == (block, theirs[block][name])
    for key in ("model_name", "model_name_sanitized", "system_instruction", "chat_template", "chat_template_sha"):
        assert (key, ours[key]) == (key, theirs[key])
    same = ("description", "generation_kwargs", "num_fewshot", "output_type", "target_delimiter", "fewshot_delimiter")
    for key in same:
        assert ours["configs"]["shots"].get(key) == theirs["configs"]["shots"].get(key)
    assert ours["results"]["qa"]["f1,none"] == pytest.approx(theirs["results"]["qa"]["f1,none"])


def test_real_runs_pair_with_each_other_and_with_fakes(both: tuple[Path, Path], real: dict[str, Path]) -> None:
    names = ["qa", "shots", "open"]
    for folder in (*real.values(), both[1]):
        pairing = pair_runs(find_run(both[0]), find_run(folder), tasks=names)
        assert [(task.task, task.n, task.allowed) for task in pairing.tasks] == [
            (name, 3, ()) for name in sorted(names)
        ]
        qa = pairing.tasks[1]
        assert qa.metrics == ("f1", "found", "parts")
        assert qa.candidate["parts"].tolist() == qa.reference["parts"].tolist() == pytest.approx([0.5, 1.0, 0.5])
        assert qa.clusters is not None and qa.clusters.tolist() == [0, 0, 1]
        assert pairing.tasks[0].judged


def test_the_task_as_asked_of_real_samples(real: dict[str, Path]) -> None:
    for form, folder in real.items():
        run = find_run(folder)
        asked = [task_as_asked(sample) for sample in read_samples(run.tasks["qa"])]
        assert asked == [("Réponds en français.", f"Lis : {doc['text']}\nRéponse :") for doc in DOCS[:3]], form
        system, text = task_as_asked(next(read_samples(run.tasks["shots"])))
        assert system == "Réponds en français.\n\nTu lis."
        assert text.endswith(f"Lis : {DOCS[0]['text']}\nRéponse :")


def test_repeats_and_filters_of_a_real_run(real: dict[str, Path]) -> None:
    log = find_run(real["raw"]).tasks["twice"]
    assert (log.filters, log.metric_names, log.n_logged) == (("first", "vote"), ("exact_match",), 3)
    sample = next(read_samples(log, filter="vote"))
    assert sample.responses == ("réponse 0",) * 3 and sample.answer == "réponse 0"
    pairing = pair_runs(find_run(real["raw"]), find_run(real["chat"]), tasks=["twice"], filters={"twice": "vote"})
    assert pairing.tasks[0].filter == "vote" and pairing.tasks[0].n == 3


def test_a_multiple_choice_task(real: dict[str, Path]) -> None:
    run = find_run(real["raw"], tasks=["choice"])
    pairing = pair_runs(run, run)
    (task,) = pairing.tasks
    assert task.metrics == ("acc",) and task.candidate["acc"].tolist() == [0.0, 0.0, 0.0]
    assert (task.answers[0].health.empty, task.answers[0].health.failed, task.answers[0].health.truncated) == (0, 0, 0)
    assert task.pair(0).candidate.answers == ("-4.0", "False", "-4.0", "False")
    assert task_as_asked(task.pair(1).candidate) == ("Réponds en français.", DOCS[1]["text"])
