"""Two runs into pairs, and a refusal that names the first document of what is not the same work."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lm_eval_fr.errors import InputError, MismatchError, UsageError
from lm_eval_fr.logs import find_run, task_as_asked
from lm_eval_fr.logs.find_run import Run
from lm_eval_fr.pairing import KINDS, Pairing, pair_runs
from tests.fakes.runs import CHATML, GREEDY, INST, FakeSample, FakeTask, make_run, plain_task, write_responses

NAN = float("nan")
TITLES = ["Paris", "Lyon", "Paris", "Nantes"]


def qa(scores: Sequence[float] = (1.0, 0.5, 0.0, 0.25), **options: Any) -> FakeTask:
    return plain_task("piaf_fr", {"f1": list(scores), "exact_match": [1.0, 0.0, 0.0, 0.0]}, titles=TITLES, **options)


class Arms:
    """Two folders, and the pairing of what is in them."""

    def __init__(self, root: Path) -> None:
        self.candidate, self.reference = root / "candidate", root / "reference"

    def write(self, candidate: FakeTask | list[FakeTask], reference: FakeTask | list[FakeTask], **options: Any) -> Arms:
        for folder, tasks in ((self.candidate, candidate), (self.reference, reference)):
            make_run(folder, *(tasks if isinstance(tasks, list) else [tasks]), model=f"org/{folder.name}", **options)
        return self

    def pair(self, **options: Any) -> Pairing:
        return pair_runs(find_run(self.candidate), find_run(self.reference), **options)

    def refuse(self, kind: str, match: str, **options: Any) -> MismatchError:
        with pytest.raises(MismatchError, match=match) as error:
            self.pair(**options)
        assert error.value.kind == kind
        assert "\n" not in str(error.value)
        return error.value


@pytest.fixture
def arms(tmp_path: Path) -> Arms:
    return Arms(tmp_path)


def test_scores_are_aligned_by_document(arms: Arms) -> None:
    pairing = arms.write(qa([0.9, 0.4, 0.1, 0.2]), qa()).pair()
    (task,) = pairing.tasks
    assert (task.task, task.metrics, task.n, task.filter) == ("piaf_fr", ("f1", "exact_match"), 4, "none")
    assert task.candidate["f1"].tolist() == [0.9, 0.4, 0.1, 0.2]
    assert task.reference["f1"].tolist() == [1.0, 0.5, 0.0, 0.25]
    assert task.doc_ids.tolist() == [0, 1, 2, 3]
    assert task.clusters is not None and task.clusters.tolist() == [0, 1, 0, 2]
    assert task.cluster_names == ("Paris", "Lyon", "Nantes")
    assert (task.allowed, task.judged, pairing.notes) == ((), False, ())
    pair = task.pair(2)
    assert (pair.doc_id, pair.cluster, pair.doc_hash) == (2, "Paris", task.doc_hashes[2])
    assert pair.candidate.path.parent.name == "org__candidate"
    assert pair.candidate.doc == pair.reference.doc
    assert [p.doc_id for p in task.pairs([3, 1])] == [3, 1]


def test_the_order_of_lines_and_ids_does_not_matter(arms: Arms) -> None:
    ids = [30, 10, 20, 0]
    task = qa()
    reference = FakeTask("piaf_fr", [replace(s, doc_id=i) for s, i in zip(task.samples, ids, strict=True)])
    arms.write(FakeTask("piaf_fr", task.samples[::-1]), reference)
    (paired,) = arms.pair().tasks
    assert paired.doc_ids.tolist() == [0, 10, 20, 30]
    assert paired.candidate["f1"].tolist() == paired.reference["f1"].tolist() == [0.25, 0.5, 0.0, 1.0]


def test_a_document_that_a_task_has_twice_is_paired_twice(arms: Arms) -> None:
    doc = {"id": "same", "title": "T"}

    def task(answers: list[str]) -> FakeTask:
        return FakeTask("piaf_fr", [FakeSample(doc, "Où ?", a, {"f1": float(len(a))}, "là") for a in answers])

    (paired,) = arms.write(task(["a", "bb", "ccc"]), task(["dddd", "eeeee", "ffffff"])).pair().tasks
    assert paired.candidate["f1"].tolist() == [1, 2, 3]
    assert [pair.reference.answer for pair in paired.pairs()] == ["dddd", "eeeee", "ffffff"]


def test_clusters(arms: Arms) -> None:
    def task(docs: list[dict[str, Any]], **options: Any) -> FakeTask:
        samples = [FakeSample({"id": i, **doc}, f"p{i}", "a", {"f1": 1.0}) for i, doc in enumerate(docs)]
        return FakeTask("t", samples, **options)

    def clusters(docs: list[dict[str, Any]], folder: str, **options: Any) -> list[int] | None:
        place = Arms(arms.candidate.parent / folder).write(task(docs, **options), task(docs, **options))
        codes = place.pair().tasks[0].clusters
        return None if codes is None else codes.tolist()

    assert clusters([{"title": "a"}, {"title": "b"}], "distinct") is None
    assert clusters([{}, {}], "none") is None
    assert clusters([{"cluster": 1, "title": "a"}, {"cluster": 1, "title": "b"}], "cluster") == [0, 0]
    assert clusters([{"src": "x", "title": "a"}, {"src": "x", "title": "b"}], "declared", cluster="src") == [0, 0]
    assert clusters([{"title": "a"}, {"title": None}, {"title": None}, {"title": "a"}], "nameless") == [0, 1, 2, 0]
    assert clusters([{"title": "a"}, {"title": "a"}], "absent", cluster="src") == [0, 0]


@pytest.mark.parametrize("shots", [(), (("q1", "a1"), ("q2\n\nq2", "a2"))])
@pytest.mark.parametrize("description", ["", "Tu es précis.", "Tu lis.\n\nPuis tu réponds.\n"])
@pytest.mark.parametrize("system", [None, "Réponds en français."])
@pytest.mark.parametrize("multiturn", [True, False])
def test_the_prompt_is_proven_in_every_pair_of_forms(
    tmp_path: Path, shots: tuple[Any, ...], description: str, system: str | None, multiturn: bool
) -> None:
    task = qa(description=description)
    for sample in task.samples:
        sample.shots = shots
    forms: list[dict[str, Any]] = [
        {"form": "raw"},
        {"form": "chat"},
        {"form": "template", "chat_template": CHATML},
        {"form": "template", "chat_template": INST},
    ]
    runs = [
        find_run(make_run(tmp_path / str(i), task, system_instruction=system, multiturn=multiturn, **form))
        for i, form in enumerate(forms)
    ]
    for one, other in itertools.permutations(runs, 2):
        (paired,) = pair_runs(one, other).tasks
        assert paired.n == 4 and paired.allowed == ()


FORMS = list(itertools.product(["raw", "chat", "template"], repeat=2))


@pytest.mark.parametrize(("mine", "theirs"), FORMS)
@pytest.mark.parametrize("where", ["start", "middle", "end", "system"])
def test_another_prompt_is_refused_in_every_pair_of_forms(tmp_path: Path, mine: str, theirs: str, where: str) -> None:
    changed, arms = qa(), Arms(tmp_path)
    prompt = changed.samples[2].prompt
    altered = {
        "start": f"Sois bref. {prompt}",
        "middle": prompt.replace("n° 2", "n° 3"),
        "end": f"{prompt} (en un mot)",
        "system": prompt,
    }[where]
    changed.samples[2].prompt = altered
    system = "Sois bref." if where == "system" else None
    make_run(arms.candidate, changed, form=mine, system_instruction=system)  # type: ignore[arg-type]
    make_run(arms.reference, qa(), form=theirs)  # type: ignore[arg-type]
    document = 0 if where == "system" else 2
    error = arms.refuse(
        "prompts", rf"samples_piaf_fr_.*jsonl:{document + 1}: document {document} \(\w{{12}}\) of piaf_fr"
    )
    assert "/reference/org__modele/samples_piaf_fr" in str(error)
    (paired,) = arms.pair(allow=["prompts"]).tasks
    assert paired.n == 4
    assert paired.allowed[0].startswith(f"prompts: document {document} ")


def test_a_template_that_adds_an_instruction_of_its_own_is_shown_by_its_hash(arms: Arms) -> None:
    make_run(arms.candidate, qa(), form="template", chat_template="Sois bref." + CHATML)
    make_run(arms.reference, qa(), form="template", chat_template=CHATML)
    settings = {setting.name: setting for setting in arms.pair().settings}
    assert settings["chat_template_sha"].differs


@pytest.mark.parametrize("template", ["", "{% generation %}<|im_start|><|im_end|>{% endgeneration %}"])
def test_a_template_that_cannot_be_undone_is_proven_by_containment(arms: Arms, template: str) -> None:
    """The template's text is not on record, or not one that jinja2 takes as it is."""
    make_run(arms.candidate, qa(), form="template", results={"chat_template": template})
    make_run(arms.reference, qa(), form="raw")
    pairing = arms.pair()
    assert pairing.tasks[0].n == 4
    assert [note for note in pairing.notes if "the candidate's chat template is not recorded" in note] == (
        list(pairing.notes) if template == "" else []
    )
    other = qa()
    other.samples[1].prompt = other.samples[1].prompt.replace("n° 1", "n° 7")
    make_run(arms.reference, other, form="raw")
    arms.refuse("prompts", "document 1")


def test_an_instruction_slipped_around_the_prompt_is_seen(arms: Arms) -> None:
    """The rendered text contains the whole prompt, and something that the template does not hold."""
    longer = qa()
    for sample in longer.samples:
        sample.prompt = f"Réponds brièvement. {sample.prompt}"
    broken = "{% generation %}<|im_start|><|im_end|>"
    make_run(arms.candidate, longer, form="template", results={"chat_template": broken})
    make_run(arms.reference, qa(), form="chat")
    arms.refuse("prompts", "document 0")


def test_the_pair_tells_the_task_in_every_form(arms: Arms) -> None:
    make_run(arms.candidate, qa(description="Tu lis.\n"), form="template")
    make_run(arms.reference, qa(description="Tu lis.\n"), form="chat")
    pair = arms.pair().tasks[0].pair(1)
    assert task_as_asked(pair.candidate) == task_as_asked(pair.reference) == ("Tu lis.\n", qa().samples[1].prompt)


class TestMismatches:
    def test_a_task_of_one_arm(self, arms: Arms) -> None:
        arms.write(qa(), [qa(), plain_task("sib200_fr", {"exact_match": [1, 0]})])
        arms.refuse(
            "tasks",
            "candidate.*only the reference ran sib200_fr .*run it on the candidate too, or compare .*--allow tasks",
        )
        assert [task.task for task in arms.pair(tasks=["piaf_fr"]).tasks] == ["piaf_fr"]
        allowed = arms.pair(allow=["tasks"])
        assert [task.task for task in allowed.tasks] == ["piaf_fr"]
        assert allowed.notes == ("tasks: only the reference ran sib200_fr; it is left out",)

    def test_no_common_task(self, arms: Arms) -> None:
        arms.write(qa(), plain_task("sib200_fr", {"exact_match": [1, 0]}))
        with pytest.raises(InputError, match="no task in common"):
            arms.pair(allow=["tasks"])

    def test_missing_documents(self, arms: Arms) -> None:
        short = qa()
        short.samples = short.samples[:3]
        arms.write(short, qa())
        arms.refuse(
            "documents", r"reference/.*jsonl:4: document 3 \(\w{12}\) of piaf_fr is not in the candidate.* 1 of .* 4"
        )
        (paired,) = arms.pair(allow=["documents"]).tasks
        assert paired.n == 3 and paired.candidate["f1"].tolist() == [1.0, 0.5, 0.0]
        assert paired.allowed[0].startswith("documents: document 3 ")

    def test_superfluous_documents(self, arms: Arms) -> None:
        short = qa()
        short.samples = short.samples[1:]
        arms.write(qa(), short)
        arms.refuse("documents", r"candidate/.*jsonl:1: document 0 \(\w{12}\) of piaf_fr is not in the reference")

    def test_no_common_document(self, arms: Arms) -> None:
        other = qa()
        for sample in other.samples:
            sample.doc = {**sample.doc, "id": "other"}
        with pytest.raises(InputError, match="no document in common"):
            arms.write(other, qa()).pair(allow=["documents"])

    def test_targets(self, arms: Arms) -> None:
        other = qa()
        other.samples[2].target = "autre"
        arms.write(other, qa())
        arms.refuse(
            "targets", r"document 2 \(\w{12}\) of piaf_fr has the target \w{12} in the reference, \w{12} in the cand"
        )
        (paired,) = arms.pair(allow=["targets"]).tasks
        assert paired.n == 4 and paired.allowed == ("targets: 1 documents of piaf_fr have different targets",)

    def test_versions(self, arms: Arms) -> None:
        arms.write(qa(version=1.1), qa())
        arms.refuse("versions", "piaf_fr is version 1.1 in the candidate, 1.0 in the reference")
        assert arms.pair(allow=["versions"]).tasks[0].allowed[0].startswith("versions: ")

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"until": ["\n"]}, r"until is \['\\n'\] in the candidate, \['</s>'\] in the reference"),
            ({"max_gen_toks": 32}, "max_gen_toks is 32 in the candidate, 64 in the reference"),
            ({"temperature": 0.7, "do_sample": True}, "temperature is 0.7 in the candidate, 0.0 in the reference"),
            ({"top_p": 0.9}, "top_p is 0.9 in the candidate, not set in the reference"),
        ],
    )
    def test_generation_settings(self, arms: Arms, changed: dict[str, Any], message: str) -> None:
        arms.write(qa(generation={**GREEDY, **changed}), qa())
        arms.refuse("generation", rf"samples_.*jsonl:1: document 0 \(\w{{12}}\) of piaf_fr: {message}")
        assert arms.pair(allow=["generation"]).tasks[0].allowed[0].startswith("generation: document 0")

    @pytest.mark.parametrize(
        "same",
        [
            {"until": "</s>", "max_gen_toks": 64, "temperature": 0},
            {"until": ["</s>"], "max_tokens": 64, "do_sample": False},
            {**GREEDY, "reasoning_effort": "none", "random_seed": 7},
        ],
    )
    def test_other_words_for_the_same_generation(self, arms: Arms, same: dict[str, Any]) -> None:
        pairing = arms.write(qa(generation=same), qa()).pair()
        differing = {setting.name for setting in pairing.settings if setting.differs}
        assert differing - {"model", "model_args.model"} == {"reasoning_effort", "random_seed"} & same.keys()

    @pytest.mark.parametrize(
        ("mine", "theirs", "message"),
        [
            ({"source": "vllm"}, {"source": "hosted-chat"}, "256 .*1024 .*by the default of vllm; .*of hosted-chat"),
            (
                {"source": "vllm", "model_args": "pretrained=m,max_gen_toks=512"},
                {"source": "hf"},
                "512 .*256 .*candidate's is set by --model_args max_gen_toks; .*default of hf",
            ),
            (
                {"source": "hosted-chat"},
                {"source": "vllm", "gen_kwargs": {"max_gen_toks": 64}},
                "1024 .*64 .*hosted-chat",
            ),
        ],
    )
    def test_a_length_that_the_task_leaves_open(
        self, arms: Arms, mine: dict[str, Any], theirs: dict[str, Any], message: str
    ) -> None:
        greedy = {"until": ["</s>"], "temperature": 0.0}
        for folder, options in ((arms.candidate, mine), (arms.reference, theirs)):
            make_run(folder, qa(generation={**greedy, **options.get("gen_kwargs", {})}), **options)
        arms.refuse("generation", f"max_gen_toks is {message}")
        assert arms.pair(allow=["generation"]).tasks[0].allowed[0].startswith("generation: document 0")

    def test_lengths_that_agree_over_two_roads(self, arms: Arms) -> None:
        open_length = {"until": ["</s>"], "temperature": 0.0}
        make_run(arms.candidate, qa(generation={**open_length, "max_gen_toks": 256}), source="hosted-chat")
        make_run(arms.reference, qa(generation=open_length), source="local-completions")
        settings = {setting.name: setting for setting in arms.pair().settings}
        assert settings["max_gen_toks"].candidate == settings["max_gen_toks"].reference == 256
        make_run(arms.reference, qa(generation=open_length), source="somebody-s")
        make_run(arms.candidate, qa(generation=open_length), source="somebody-s")
        assert "piaf_fr: there is no record of the candidate's maximum answer length" in arms.pair().notes

    def test_an_arms_own_record_of_what_was_sent_counts(self, arms: Arms) -> None:
        open_length = {"until": ["</s>"], "temperature": 0.0}
        make_run(arms.candidate, qa(generation=open_length), source="hosted-chat")
        make_run(arms.reference, qa(generation=open_length), source="hosted-chat")
        run = find_run(arms.candidate)
        about = run.results_path.with_name(f"arm_{run.results_path.stem.removeprefix('results_')}.json")
        about.write_text(json.dumps({"sent": {"piaf_fr": {"max_tokens": 99, "other": {"top_p": 0.5}, "repeats": 2}}}))
        arms.refuse("generation", "max_gen_toks is 99 in the candidate, 1024 in the reference")
        about.write_text(json.dumps({"sent": {"piaf_fr": {"max_tokens": 1024, "other": {"top_p": 0.5}}}}))
        arms.refuse("generation", "top_p is 0.5 in the candidate, not set in the reference")
        about.write_text(json.dumps({"sent": {"piaf_fr": {"max_tokens": 1024, "repeats": 2}}}))
        arms.refuse("generation", "repeats is 2 in the candidate, 1 in the reference")
        about.write_text(json.dumps({"sent": [1]}))
        assert arms.pair().tasks[0].n == 4

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            (
                {"max_tokens": 9, "max_tokens_from": "model_args"},
                r"max_gen_toks is 9 .*64 .*\(.*--model_args extra_body",
            ),
            (
                {"max_tokens": None, "max_tokens_from": "server"},
                r"max_gen_toks is not set .*64 .*\(.* left to the server",
            ),
            ({"temperature": None}, r"temperature is not set in the candidate, 0\.0"),
            ({"temperature": 1}, r"temperature is 1 in the candidate, 0\.0"),
            (
                {"stop": ["\n"], "stop_applied_here": ["</s>"]},
                r"until is \['\\n', '</s>'\] in the candidate, \['</s>'\]",
            ),
            ({"stop": [], "stop_applied_here": ["</s>"]}, None),
            ({"seed": 7}, None),
        ],
    )
    def test_a_record_counts_where_the_log_says_otherwise(
        self, arms: Arms, record: dict[str, Any], message: str | None
    ) -> None:
        arms.write(qa(), qa())
        run = find_run(arms.candidate)
        about = run.results_path.with_name(f"arm_{run.results_path.stem.removeprefix('results_')}.json")
        sent = {
            "max_tokens": 64,
            "max_tokens_from": "task",
            "stop": ["</s>"],
            "temperature": 0.0,
            "other": {},
            **record,
        }
        about.write_text(json.dumps({"sent": {"piaf_fr": sent}}))
        if message:
            arms.refuse("generation", message)
        else:
            differing = {setting.name for setting in arms.pair().settings if setting.differs}
            assert differing - {"model", "model_args.model"} == {"seed"}  # lm-eval's clients send one

    def test_what_a_request_that_differs_from_the_task_s_asked_for_is_not_hidden_by_the_record(
        self, arms: Arms
    ) -> None:
        arms.write(qa(), qa())
        run = find_run(arms.candidate)
        about = run.results_path.with_name(f"arm_{run.results_path.stem.removeprefix('results_')}.json")
        about.write_text(json.dumps({"sent": {"piaf_fr": {"max_tokens": 64, "stop": ["</s>"], "other": {}}}}))
        samples = next(run.path.glob("samples_*"))
        lines = samples.read_text(encoding="utf-8").splitlines(keepends=True)
        lines[2] = lines[2].replace('"max_gen_toks": 64', '"max_gen_toks": 32')
        samples.write_text("".join(lines), encoding="utf-8")
        arms.refuse("generation", r"jsonl:3: document 2 .*max_gen_toks is 32 in the candidate, 64 in the reference")

    def test_what_lm_evals_clients_make_of_the_same_settings(self, arms: Arms) -> None:
        both = {**GREEDY, "max_tokens": 512}  # --gen_kwargs max_tokens=512 beside the task's max_gen_toks
        make_run(arms.candidate, qa(generation=both), source="local-chat-completions")
        make_run(arms.reference, qa(generation=both), source="vllm")
        arms.refuse("generation", "max_gen_toks is 512 in the candidate, 64 in the reference")
        make_run(arms.candidate, qa(), source="openai-chat-completions", model_args="model=gpt-5-mini")
        make_run(arms.reference, qa(), source="hf")
        arms.refuse("generation", r"temperature is 1 in the candidate, 0\.0 in the reference")
        old = {"lm_eval_version": "0.4.8"}
        make_run(arms.candidate, qa(), source="openai-chat-completions", model_args="model=gpt-5-mini", results=old)
        assert arms.pair().tasks[0].n == 4

    def test_an_engine_s_seed_is_shown_once(self, arms: Arms) -> None:
        make_run(arms.candidate, qa(), source="fr-baseline", model_args="model=m,seed=7")
        make_run(arms.reference, qa(), source="fr-baseline")
        run = find_run(arms.candidate)
        about = run.results_path.with_name(f"arm_{run.results_path.stem.removeprefix('results_')}.json")
        about.write_text(json.dumps({"sent": {"piaf_fr": {"max_tokens": 64, "seed": 7, "other": {}}}}))
        assert {s.name for s in arms.pair().settings if s.differs and "seed" in s.name} == {"model_args.seed"}

    def test_drawn_answers_have_seeds_that_are_told(self, arms: Arms) -> None:
        drawn = {**GREEDY, "temperature": 0.7, "do_sample": True}
        make_run(arms.candidate, qa(generation=drawn), source="local-completions")
        make_run(arms.reference, qa(generation=drawn), source="hosted-chat")
        assert "piaf_fr: sampled with seed 1234 in the candidate, none in the reference" in arms.pair().notes

    def test_stops_that_a_chat_client_drops(self, arms: Arms) -> None:
        many = {**GREEDY, "until": ["a", "b", "c", "d", "e"]}
        make_run(arms.candidate, qa(generation=many), source="local-chat-completions")
        make_run(arms.reference, qa(generation=many), source="vllm")
        arms.refuse("generation", r"until is \['a', 'b', 'c', 'd'\] in the candidate, \['a', .*'e'\] in the reference")

    def test_filters(self, arms: Arms) -> None:
        def gsm8k(*names: str, regex: str = "#") -> FakeTask:
            by_filter = {name: (f"{name} 4", {"exact_match": float(len(name))}) for name in names}
            samples = [FakeSample({"i": i}, f"p{i}", "so 4", by_filter=by_filter) for i in range(2)]
            listed = [{"name": name, "filter": [{"function": "regex", "regex_pattern": regex}]} for name in names]
            return FakeTask("gsm8k", samples, filters=names, config={"filter_list": listed})

        arms.write(gsm8k("strict", "flexible"), gsm8k("strict", "flexible"))
        assert arms.pair().tasks[0].reference["exact_match"].tolist() == [6.0, 6.0]
        assert arms.pair().notes == ("gsm8k: the filter strict counts, of strict, flexible",)
        chosen = arms.pair(filters={"gsm8k": "flexible"}).tasks[0]
        assert (chosen.filter, chosen.reference["exact_match"].tolist()) == ("flexible", [8.0, 8.0])
        assert chosen.pair(1).candidate.answer == "flexible 4"
        with pytest.raises(UsageError, match=r"gsm8k has no filter 'lax' .its filters are strict, flexible"):
            arms.pair(filters={"gsm8k": "lax"})
        arms.write(gsm8k("flexible"), gsm8k("strict", "flexible"))
        arms.refuse("filters", "filtered by flexible in the candidate, strict, flexible in the reference")
        assert arms.pair(filters={"gsm8k": "flexible"}).tasks[0].n == 2
        arms.write(gsm8k("strict", regex="!"), gsm8k("strict"))
        arms.refuse("filters", "filter strict of gsm8k is .*!.* in the candidate, .*#.* in the reference")
        assert arms.pair(allow=["filters"]).tasks[0].allowed[0].startswith("filters: ")

    def test_unknown_words(self, arms: Arms) -> None:
        arms.write(qa(), qa())
        with pytest.raises(
            UsageError, match=r"there is no mismatch called 'prompt' .--allow takes tasks, documents, prompts"
        ):
            arms.pair(allow=["prompt"])
        with pytest.raises(UsageError, match=r"neither arm ran mmlu .they ran piaf_fr"):
            arms.pair(tasks=["mmlu"])
        with pytest.raises(UsageError, match="no task 'mmlu' in this comparison"):
            arms.pair(metrics={"mmlu": "acc"})
        assert set(KINDS) == {"tasks", "documents", "prompts", "targets", "versions", "generation", "filters", "reruns"}


class TestMetrics:
    def test_one_can_be_chosen(self, arms: Arms) -> None:
        (task,) = arms.write(qa(), qa()).pair(metrics={"piaf_fr": "exact_match"}).tasks
        assert task.metrics == ("exact_match",)
        assert list(task.candidate) == list(task.reference) == ["exact_match"]

    def test_a_primary_one_that_an_arm_lacks(self, arms: Arms) -> None:
        arms.write(plain_task("piaf_fr", {"exact_match": [1.0, 0.0, 0.0, 0.0]}, titles=TITLES), qa())
        with pytest.raises(
            InputError, match=r"candidate's samples of piaf_fr have no metric 'f1' .*both arms log: exact_match"
        ):
            arms.pair()
        assert arms.pair(metrics={"piaf_fr": "exact_match"}).tasks[0].n == 4

    def test_an_arm_that_was_not_scored(self, arms: Arms) -> None:
        arms.write(plain_task("piaf_fr", 4, titles=TITLES), qa())
        with pytest.raises(InputError, match=r"no metric 'f1' .*none is common"):
            arms.pair()

    def test_a_secondary_one_that_an_arm_lacks_is_left_out(self, arms: Arms) -> None:
        pairing = arms.write(plain_task("piaf_fr", {"f1": [1.0] * 4}, titles=TITLES), qa()).pair()
        assert pairing.tasks[0].metrics == ("f1",)
        assert "piaf_fr: only one arm has exact_match; left out" in pairing.notes

    def test_a_secondary_one_that_documents_lack_is_left_out(self, arms: Arms) -> None:
        tasks = [qa(), qa()]
        for task in tasks:
            del task.samples[3].scores["exact_match"]  # type: ignore[attr-defined]
        pairing = arms.write(*tasks).pair()
        assert pairing.tasks[0].metrics == ("f1",)
        assert pairing.notes == ("piaf_fr: exact_match is known for 3 of 4 documents; left out",)

    def test_a_score_that_one_arm_lacks_ends_in_no_verdict(self, arms: Arms) -> None:
        short = qa()
        del short.samples[3].scores["f1"]  # type: ignore[attr-defined]
        (task,) = arms.write(short, qa()).pair().tasks
        assert task.no_verdict is not None
        assert re.search(r"1 documents have a f1 in one arm only, document 3 .*candidate/.*jsonl:4", task.no_verdict)
        assert (task.n, task.metrics) == (3, ("f1", "exact_match"))

    def test_a_score_that_is_about_some_documents_counts_on_these(self, arms: Arms) -> None:
        def task(scores: Sequence[float]) -> FakeTask:
            own = "def nanmean(items):\n    ...\n"
            here = [x for x in scores if x == x]
            return plain_task(
                "t",
                {"bert": list(scores), "acc": [1.0] * len(scores)},
                aggregation={"bert": own},
                printed={"bert": sum(here) / len(here)},
            )

        pairing = arms.write(task([0.5, NAN, 0.25, NAN]), task([0.5, NAN, 1.0, NAN])).pair()
        (paired,) = pairing.tasks
        assert (paired.n, paired.doc_ids.tolist(), paired.no_verdict) == (2, [0, 2], None)
        assert paired.candidate["bert"].tolist() == [0.5, 0.25] and paired.candidate["acc"].tolist() == [1.0, 1.0]
        assert "t: bert is about 2 of 4 documents, and these count" in pairing.notes
        assert [pair.doc_id for pair in paired.pairs()] == [0, 2]
        arms.write(task([0.5, 0.5, 0.25, NAN]), task([0.5, NAN, 1.0, NAN]))
        assert "in one arm only, document 1" in str(arms.pair().tasks[0].no_verdict)

    def test_a_weighted_mean_is_the_plain_mean_of_what_is_paired(self, arms: Arms) -> None:
        """Instructions: every document is a cluster of as many as it has."""

        def task(truths: list[list[bool]]) -> FakeTask:
            samples = [FakeSample({"i": i}, f"p{i}", "a", {"inst": one}) for i, one in enumerate(truths)]
            flat = [item for one in truths for item in one]
            own = {"inst": "def agg(items):\n    ...\n"}
            return FakeTask("ifeval", samples, aggregation=own, printed={"inst": sum(flat) / len(flat)})

        (paired,) = arms.write(task([[True], [False, False, True]]), task([[True], [True, True, True]])).pair().tasks
        assert paired.candidate["inst"].mean() == pytest.approx(0.5) and paired.reference["inst"].mean() == 1.0
        assert paired.weights["inst"].tolist() == [1, 3] and paired.ends == {"inst": (0.0, 1.0)}
        (printed,) = paired.printed
        assert (printed.candidate, printed.reference, printed.score, printed.reason) == (0.5, 1.0, "inst", None)
        arms.write(task([[True], [False, True]]), task([[True], [True, True, True]]))
        assert "different numbers of units" in str(arms.pair().tasks[0].no_verdict)

    def test_a_direction_that_nobody_tells_allows_no_verdict(self, arms: Arms) -> None:
        config = {"metric_list": [{"metric": "loss", "aggregation": "mean"}]}
        task = plain_task("t", {"loss": [0.5, 0.25]}, config=config)
        blocks = {"higher_is_better": {"t": {}}}
        (paired,) = arms.write(task, task, results=blocks).pair().tasks
        assert paired.no_verdict == "lm-eval does not say whether a higher or lower loss is better"

    def test_a_corpus_metric_is_printed_and_the_next_one_counts(self, arms: Arms) -> None:
        def task(bleu: float) -> FakeTask:
            scores = [{"bleu": ["a", "b"], "acc": 1.0}, {"bleu": ["c", "c"], "acc": 0.0}]
            samples = [FakeSample({"i": i}, f"p{i}", "a", one) for i, one in enumerate(scores)]
            return FakeTask("wmt", samples, aggregation={"bleu": "bleu"}, printed={"bleu": bleu})

        (paired,) = arms.write(task(1.0), task(38.0)).pair().tasks
        assert paired.metrics == ("acc",) and paired.no_verdict is None and not paired.judged
        bleu = next(one for one in paired.printed if one.metric == "bleu")
        assert (bleu.candidate, bleu.reference, bleu.score) == (1.0, 38.0, None)
        assert bleu.reason == "computed from all documents together; none has a score of its own"

    def test_files_that_contradict_each_other_end_in_no_verdict_and_no_other_metric(self, arms: Arms) -> None:
        arms.write(qa(), qa())
        path = next(arms.candidate.rglob("samples_*"))
        path.write_text(path.read_text().replace('"f1": 0.5', '"f1": 1.0'))
        (paired,) = arms.pair().tasks
        assert paired.metrics == () and not paired.scored
        assert "candidate: the samples' mean of f1 is 0.5625, lm-eval printed 0.4375" in str(paired.no_verdict)
        with pytest.raises(InputError, match=r"the f1 of piaf_fr cannot be compared: candidate: .*choose one of exact"):
            arms.pair(metrics={"piaf_fr": "f1"})
        assert arms.pair(metrics={"piaf_fr": "exact_match"}).tasks[0].no_verdict is None


class TestHealth:
    def test_without_records_of_the_replies(self, arms: Arms) -> None:
        cut = "Le texte parle de la mer et de " * 5
        answers = ["", cut, "Paris", "\n"]
        (task,) = arms.write(qa(answers=answers), qa()).pair().tasks
        health = task.answers[0].health
        assert (health.answers, health.empty, health.truncated, health.failed) == (4, 2, 1, 0)
        assert task.answers[1].health.empty == task.answers[1].health.truncated == 0

    def test_the_servers_word_counts_where_it_is_kept(self, arms: Arms) -> None:
        cut = "Le texte parle de la mer et de " * 5
        arms.write(qa([1.0, 1.0, 1.0, 1.0], answers=[cut, "a", "", "b"]), qa(), form="chat")
        run = find_run(arms.candidate)
        hashes = list(arms.pair().tasks[0].doc_hashes)
        rows = [
            {"task": "piaf_fr", "doc_hash": name, "finish_reason": reason, "error": error}
            for name, reason, error in zip(
                hashes, ["stop", "length", None, "stop"], [None, None, "503", None], strict=True
            )
        ]
        write_responses(run.path, "piaf_fr", rows, run.results_path.stem.removeprefix("results_"))
        (task,) = arms.pair().tasks
        health = task.answers[0].health
        assert (health.empty, health.truncated, health.failed) == (0, 1, 1)
        assert task.candidate["f1"].tolist() == [1.0, 1.0, 0.0, 1.0], "a failed answer counts 0 whatever it was scored"
        assert task.candidate["exact_match"].tolist() == [1.0, 0.0, 0.0, 0.0]

    def test_a_missing_answer_counts_zero_and_is_not_dropped(self, arms: Arms) -> None:
        lost = qa()
        lost.samples[0].answer = []
        (task,) = arms.write(lost, qa()).pair().tasks
        assert (task.n, task.answers[0].health.failed, task.answers[0].health.empty) == (4, 1, 0)
        assert task.candidate["f1"].tolist() == [0.0, 0.5, 0.0, 0.25]

    def test_a_missing_answer_counts_the_worst_where_lower_is_better(self, arms: Arms) -> None:
        def task() -> FakeTask:
            return plain_task("wer", {"wer": [0.1, 0.7, 0.2]}, higher_is_better={"wer": False})

        lost = task()
        lost.samples[0].answer = []
        (paired,) = arms.write(lost, task()).pair().tasks
        assert paired.candidate["wer"].tolist() == [0.7, 0.7, 0.2]


def test_settings_side_by_side(arms: Arms) -> None:
    make_run(
        arms.candidate, qa(), model="org/a", model_args={"model": "org/a", "api_key": "sk-secret", "max_length": 4}
    )
    make_run(arms.reference, qa(), plain_task("sib200_fr", {"acc": [1]}), model="org/b", form="chat", limit=4)
    make_run(arms.candidate, plain_task("sib200_fr", {"acc": [1]}), model="org/a")
    pairing = arms.pair()
    settings = {setting.name: setting for setting in pairing.settings}
    assert settings["model"].differs and settings["model"].candidate == "org/a"
    assert (settings["source"].candidate, settings["source"].reference) == (
        "local-completions",
        "local-chat-completions",
    )
    assert settings["limit"].candidate is None and settings["limit"].reference == 4
    assert settings["until"].candidate == ["</s>"] and not settings["until"].differs
    assert "sk-secret" not in repr(pairing.settings)
    assert any("differ in model arguments: api_key, max_length" in note for note in pairing.notes)


SECRETS = ("geheim-1", "ABCDEF0123456789", "EN-TETE-A", "EN-TETE-B")
ADDRESS = "https://eva:geheim-1@llm.example/v1/chat/completions?x=1&key=ABCDEF0123456789"


@pytest.mark.parametrize(
    "given",
    [
        f'model=m,base_url={ADDRESS},header={{"X-Org": "EN-TETE-A", "y": "EN-TETE-B"}},num_concurrent=4',
        {"model": "m", "base_url": ADDRESS, "header": {"X-Org": "EN-TETE-A", "y": "EN-TETE-B"}, "num_concurrent": 4},
        {"model": "m", "base_url": ADDRESS, "client": {"default_headers": "a: EN-TETE-A, b: EN-TETE-B"}},
    ],
)
def test_credentials_of_a_foreign_run_are_in_no_setting(arms: Arms, given: Any) -> None:
    arms.write(qa(), qa(), model_args=given)
    path = next(arms.candidate.rglob("results_*"))
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "model_name": ADDRESS, "config": {**content["config"], "device": ADDRESS}}))
    shown = repr(arms.pair().settings) + find_run(arms.candidate).model
    assert not [secret for secret in SECRETS if secret in shown]
    assert "llm.example" in shown


def test_generation_settings_of_several_tasks(arms: Arms) -> None:
    tasks = [qa(), plain_task("sib200_fr", {"acc": [1]}, generation={**GREEDY, "max_gen_toks": 8})]
    settings = {s.name: s.reference for s in arms.write(tasks, tasks).pair().settings}
    assert settings["max_gen_toks (piaf_fr)"] == 64 and settings["max_gen_toks (sib200_fr)"] == 8
    assert settings["temperature"] == 0.0 and "max_gen_toks" not in settings


def test_a_run_against_itself_is_said(arms: Arms) -> None:
    run = find_run(make_run(arms.candidate, qa()))
    pairing = pair_runs(run, run)
    assert pairing.notes == ("candidate and reference are the same run",)
    assert np.array_equal(pairing.tasks[0].candidate["f1"], pairing.tasks[0].reference["f1"])


def test_a_rerun_on_another_port_is_one_where_both_servers_name_the_same_weights(tmp_path: Path) -> None:
    def run(name: str, port: int, revision: str | None) -> Run:
        address = {"base_url": f"http://127.0.0.1:{port}/v1/completions"}
        made = find_run(
            make_run(tmp_path / name, plain_task("piaf_fr", {"f1": [1.0, 0.0]}), model="m", model_args=address)
        )
        return replace(made, settings={**made.settings, "manifest.revision": revision})

    mine, reference = run("candidate", 8001, "files:ab"), run("reference", 8003, "files:ef")
    again = run("again", 8002, "files:ab")
    assert len(pair_runs(mine, reference, candidate_reruns=[again]).reruns) == 1
    for name, revision in (("other", "files:cd"), ("silent", None)):
        with pytest.raises(MismatchError, match="not a rerun of that arm"):
            pair_runs(mine, reference, candidate_reruns=[run(name, 8002, revision)])
    with pytest.raises(MismatchError, match="base_url"):
        pair_runs(run("undisclosed", 8001, None), reference, candidate_reruns=[run("as well", 8002, None)])


def test_a_rerun_of_another_model_is_no_rerun(tmp_path: Path) -> None:
    """Averaged into an arm it would hide half of a loss."""
    scores, seed = {"f1": [1.0, 0.0, 0.5]}, {"seed": 1, "num_concurrent": 4}
    made = {
        "candidate": ("org/nvfp4", {"dtype": "auto"} | seed),
        "again": ("org/nvfp4", "dtype=auto,seed=2,num_concurrent=32,read=second.jsonl"),
        "renamed": ("org/bf16", {"dtype": "auto"}),
        "other": ("org/nvfp4", {"dtype": "bfloat16"}),
        "reference": ("org/bf16", {}),
    }
    runs = {
        name: find_run(make_run(tmp_path / name, plain_task("piaf_fr", scores), model=model, model_args=arguments))
        for name, (model, arguments) in made.items()
    }

    def pairing(rerun: str, *allow: str) -> Pairing:
        return pair_runs(runs["candidate"], runs["reference"], candidate_reruns=[runs[rerun]], allow=allow)

    assert len(pairing("again").reruns) == 1
    with pytest.raises(MismatchError, match="model is org/nvfp4 in its run, org/bf16 in the candidate's rerun"):
        pairing("renamed")
    with pytest.raises(MismatchError, match=r"model_args.dtype is auto in its run, bfloat16 .* --allow reruns"):
        pairing("other")
    assert "reruns: model_args.dtype" in " ".join(pairing("other", "reruns").notes)


def test_scoring_code_that_changed_under_one_version_is_said(arms: Arms) -> None:
    arms.write(qa(config={"process_results": "def a"}), qa(config={"process_results": "def b"}))
    assert "piaf_fr: the arms' process_results differ" in arms.pair().notes[0]


def test_a_judged_task_pairs_without_scores(arms: Arms) -> None:
    tasks = [plain_task("analysis_fr", 3, answers=list("abc")), plain_task("analysis_fr", 3, answers=list("xyz"))]
    (task,) = arms.write(*tasks).pair().tasks
    assert task.judged and task.metrics == () and task.candidate == {}
    assert [(pair.candidate.answer, pair.reference.answer) for pair in task.pairs()] == [
        ("a", "x"),
        ("b", "y"),
        ("c", "z"),
    ]


def test_shards_against_a_whole_run(arms: Arms) -> None:
    whole = qa()
    make_run(arms.reference, whole, form="chat")
    for ids in ([0, 2], [1, 3]):
        samples = [replace(whole.samples[i], doc_id=i) for i in ids]
        make_run(arms.candidate / str(ids[0]), FakeTask("piaf_fr", samples, original=4))
    candidate = find_run([arms.candidate / "0", arms.candidate / "1"])
    (task,) = pair_runs(candidate, find_run(arms.reference)).tasks
    assert task.candidate["f1"].tolist() == task.reference["f1"].tolist()
    assert [pair.candidate.answer for pair in task.pairs()] == [f"réponse {i}" for i in range(4)]
