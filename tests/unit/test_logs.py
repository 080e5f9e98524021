"""A run folder into typed objects, and a clear refusal of everything that is no whole run."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs import find_run, read_samples, task_as_asked
from lm_eval_fr.logs.column_reader import read_columns
from lm_eval_fr.logs.columns import Columns, Request
from lm_eval_fr.logs.reply_records import Replied, read_replies
from lm_eval_fr.logs.results import arguments_of
from lm_eval_fr.logs.samples import score_of
from tests.fakes.runs import FakeSample, FakeTask, make_run, plain_task, write_responses

QA = plain_task("piaf_fr", {"f1": [1.0, 0.5, 0.0], "exact_match": [1, 0, 0]}, titles=["Paris", "Lyon", "Paris"])


def columns_of(folder: Path, task: str = "piaf_fr", **request: object) -> Columns:
    log = find_run(folder).tasks[task]
    fields = (log.cluster_field,) if log.cluster_field else ()
    asked = {"filter": log.filters[0], "metrics": log.metrics, "fields": fields, **request}
    return read_columns(Request(log, **asked))  # type: ignore[arg-type]


def samples_file(folder: Path) -> Path:
    return next(folder.rglob("samples_*.jsonl"))


def test_a_run_carries_what_lm_eval_wrote(tmp_path: Path) -> None:
    make_run(tmp_path, QA, model="org/nvfp4", form="chat", limit=50, gen_kwargs={"reasoning_effort": "none"})
    run = find_run(tmp_path)
    assert (run.model, run.source, run.seconds) == ("org/nvfp4", "local-chat-completions", 12.5)
    assert run.path == tmp_path / "org__nvfp4"
    assert run.model_args == {"model": "org/nvfp4"}
    assert run.settings["limit"] == 50
    assert run.settings["gen_kwargs"] == {"reasoning_effort": "none"}
    assert run.settings["chat_template_applied"] is True
    log = run.tasks["piaf_fr"]
    assert (log.metric_names, log.filters, log.n_logged, log.judged) == (("f1", "exact_match"), ("none",), 3, False)
    assert log.version == 1.0
    assert log.generation["reasoning_effort"] == "none"
    assert log.cluster_field == "title"
    assert run.notes == ()


def test_the_device_flag_counts_where_lm_eval_loaded_a_model(tmp_path: Path) -> None:
    path = next(make_run(tmp_path, QA).rglob("results_*"))
    content = json.loads(path.read_text())
    for more, known in (({}, False), ({"model_num_parameters": 1000}, True)):
        path.write_text(json.dumps({**content, "config": {**content["config"], "device": "cuda:0", **more}}))
        assert ("cuda:0" in find_run(tmp_path).settings.values()) is known


def test_a_sample_is_read_in_full(tmp_path: Path) -> None:
    folder = make_run(tmp_path, QA, form="chat", system_instruction="Tu es précis.")
    first = next(read_samples(find_run(folder).tasks["piaf_fr"]))
    assert first.doc["title"] == "Paris"
    assert (first.answer, first.responses, first.target) == ("réponse 0", ("réponse 0",), "cible 0")
    assert first.scores == {"f1": 1.0, "exact_match": 1.0}
    assert first.generation["max_gen_toks"] == 64
    assert (first.path, first.line) == (samples_file(folder), 1)
    assert task_as_asked(first) == ("Tu es précis.", QA.samples[0].prompt)


def test_columns_hold_the_scores_of_the_samples(tmp_path: Path) -> None:
    columns = columns_of(make_run(tmp_path, QA))
    assert columns.scores["f1"].values.tolist() == [1.0, 0.5, 0.0]
    assert columns.scores["exact_match"].values.tolist() == [1.0, 0.0, 0.0]
    assert columns.fields["title"].names == ("Paris", "Lyon")
    assert columns.fields["title"].codes.tolist() == [0, 1, 0]
    assert columns.doc_id.tolist() == [0, 1, 2]
    assert columns.notes == ()


def test_a_second_run_of_a_task_counts_and_is_said(tmp_path: Path) -> None:
    make_run(tmp_path, plain_task("piaf_fr", {"f1": [0.0] * 3}), plain_task("sib200_fr", {"exact_match": [1, 1]}))
    newer = make_run(tmp_path, QA)
    run = find_run(tmp_path)
    assert list(run.tasks) == ["piaf_fr", "sib200_fr"]
    assert run.tasks["piaf_fr"].metric_names == ("f1", "exact_match")
    assert run.results_path == max(newer.glob("results_*.json"))
    assert [note for note in run.notes if note.startswith("piaf_fr: the newest of 2 runs counts")]
    assert not [note for note in run.notes if note.startswith("sib200_fr")]


def test_one_results_file_names_an_older_run(tmp_path: Path) -> None:
    make_run(tmp_path, plain_task("piaf_fr", {"f1": [0.25] * 3}))
    folder = make_run(tmp_path, QA)
    older = min(folder.glob("results_*.json"))
    assert find_run(older).tasks["piaf_fr"].metric_names == ("f1",)


def test_an_output_path_that_ends_in_json(tmp_path: Path) -> None:
    folder = make_run(tmp_path, QA)
    for path in folder.iterdir():
        path.rename(tmp_path / path.name.replace("results_", "arm_"))
    assert find_run(tmp_path / "arm.json").tasks["piaf_fr"].n_logged == 3


def test_a_judged_task_has_no_metrics(tmp_path: Path) -> None:
    log = find_run(make_run(tmp_path, plain_task("analysis_fr", 4))).tasks["analysis_fr"]
    assert log.judged and log.metrics == () and log.n_logged == 4
    assert len(columns_of(tmp_path, "analysis_fr")) == 4


@pytest.mark.parametrize("form", ["raw", "chat", "template"])
def test_the_task_as_asked_is_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    task = plain_task("analysis_fr", 2, description="Tu analyses.\n")
    folder = make_run(tmp_path, task, form=form)  # type: ignore[arg-type]
    asked = [task_as_asked(sample) for sample in read_samples(find_run(folder).tasks["analysis_fr"])]
    assert asked == [("Tu analyses.\n", sample.prompt) for sample in task.samples]


def gsm8k() -> FakeTask:
    filtered = {"strict-match": ("[invalid]", {"exact_match": 0.0}), "flexible-extract": ("42", {"exact_match": 1.0})}
    samples = [FakeSample({"q": str(i)}, f"q{i}", "so 42", by_filter=filtered, target="42") for i in range(3)]
    return FakeTask("gsm8k", samples, filters=("strict-match", "flexible-extract"))


def test_several_filters_are_kept_apart(tmp_path: Path) -> None:
    folder = make_run(tmp_path, gsm8k())
    log = find_run(folder).tasks["gsm8k"]
    assert log.filters == ("strict-match", "flexible-extract") and log.n_logged == 3
    assert columns_of(folder, "gsm8k").scores["exact_match"].values.tolist() == [0.0] * 3
    flexible = columns_of(folder, "gsm8k", filter="flexible-extract")
    assert flexible.scores["exact_match"].values.tolist() == [1.0] * 3
    assert flexible.line.tolist() == [2, 4, 6]
    assert [sample.answer for sample in read_samples(log, filter="flexible-extract")] == ["42"] * 3
    with pytest.raises(InputError, match="no sample of the filter 'loose'"):
        columns_of(folder, "gsm8k", filter="loose")


def test_what_a_sample_shows_of_a_metric(tmp_path: Path) -> None:
    scores = {
        "strict": [True, False],
        "four": [1, 0, 0, 0.5],
        "f1": [0, 1],
        "word_perplexity": [-3.5, 12],
        "acc": "True",
    }
    own = dict.fromkeys(("strict", "four"), "def aggregate(items):\n    ...\n")
    task = FakeTask(
        "t",
        [FakeSample({"i": 0}, "p", ["a", "b", "c", "d"], scores)],
        aggregation={**own, "f1": "f1", "word_perplexity": "weighted_perplexity"},
    )
    sample = next(read_samples(find_run(make_run(tmp_path, task)).tasks["t"]))
    assert sample.scores == {"strict": 0.5, "four": 0.375, "acc": 1.0}
    assert sample.responses == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (True, 1.0),
        (0, 0.0),
        ("0.25", 0.25),
        ("False", 0.0),
        ([1, 0], None),
        ("un", None),
        (None, None),
        ({"a": 1}, None),
        (10**400, None),
        (float("nan"), None),
    ],
)
def test_what_counts_as_a_number(value: object, score: float | None) -> None:
    assert score_of(value) == score


def test_answers_that_are_empty_cut_or_missing_are_marked(tmp_path: Path) -> None:
    cut = "Le texte parle de la mer et de " * 5
    answers = ["", " \n\u00a0", "É", cut, cut.strip() + ".", "«\u202fOui\u202f»"]
    task = plain_task("analysis_fr", len(answers), answers=answers)
    missing = FakeSample({"id": "none"}, "Où ?", [])
    columns = columns_of(make_run(tmp_path, FakeTask("analysis_fr", [*task.samples, missing])), "analysis_fr")
    assert columns.empty.tolist() == [True, True, False, False, False, False, True]
    assert columns.cut_looking.tolist() == [False, False, False, True, False, False, False]
    assert columns.missing.tolist() == [False] * 6 + [True]


def test_responses_beside_the_samples(tmp_path: Path) -> None:
    folder = make_run(tmp_path, QA, form="chat")
    log = find_run(folder).tasks["piaf_fr"]
    assert log.replies == {}
    hashes = [sample.doc_hash for sample in read_samples(log)]
    rows = [{"task": "piaf_fr", "doc_hash": name, "finish_reason": "length", "error": None} for name in hashes]
    path = write_responses(folder, "piaf_fr", rows, samples_file(folder).stem.rpartition("_")[2])
    assert find_run(folder).tasks["piaf_fr"].replies[hashes[1]].end == "truncated"
    path.write_text('{"task": "piaf_fr"}\n')
    with pytest.raises(InputError, match=r"responses_.*:1: not a record of a response"):
        find_run(folder).tasks["piaf_fr"].replies  # noqa: B018 (reading it raises)


@pytest.mark.parametrize(
    ("reason", "tokens", "limit", "end"),
    [
        (None, 64, 64, "truncated"),
        (None, 63, 64, "sound"),
        ("stop", 64, 64, "sound"),
        ("length", 3, 64, "truncated"),
        (None, 64, None, "sound"),
        (None, None, 64, "sound"),
    ],
)
def test_a_cut_answer_is_known_by_its_reason_or_else_by_its_tokens(
    tmp_path: Path, reason: str | None, tokens: int | None, limit: int | None, end: str
) -> None:
    """Never by its text: that ends without a full stop in all of them, as an answer to PIAF does."""
    row = {"doc_hash": "a", "finish_reason": reason, "usage": {"completion_tokens": tokens}, "error": None}
    path = tmp_path / "responses_piaf_fr.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert read_replies([path], limit)["a"].end == end


def test_all_replies_to_a_document_are_one_record(tmp_path: Path) -> None:
    def reply(name: str, tokens: int | None, **more: object) -> str:
        usage = {"prompt_tokens": 9, "completion_tokens": tokens, "cached_tokens": 4, "reasoning_tokens": 1}
        return json.dumps({"doc_hash": name, "finish_reason": "stop", "usage": usage, "seconds": 0.5, **more})

    path = tmp_path / "responses_piaf_fr.jsonl"
    lost = {"error": "503", "usage": None, "seconds": None, "finish_reason": None}
    lines = [reply("a", 3), reply("a", 5, finish_reason="length"), reply("b", 7), reply("b", 0, **lost)]
    lines += [reply("c", 0, **lost), reply("d", None), reply("d", 2)]
    lines += [reply("e", 1, error="no content (finish reason: stop)")]  # paid for, and asked again by a rerun
    path.write_text("\n".join(lines) + "\n")
    found = read_replies([path, tmp_path / "no such shard"])
    assert found == {
        "a": Replied(2, "truncated", False, 18, 8, 8, 2, 1.0),
        "b": Replied(2, "sound", False, 9, 7, 4, 1, 0.5),
        "c": Replied(1, "sound", True, 0, 0, 0, 0, 0),
        "d": Replied(2, "sound", False, 18, None, 8, 2, 1.0),
        "e": Replied(1, "sound", True, 9, 1, 4, 1, 0.5),
    }


class TestShards:
    """Documents shared out over machines with --samples."""

    def shard(self, folder: Path, ids: list[int], **options: object) -> Path:
        whole = plain_task("piaf_fr", {"f1": [i / 10 for i in range(10)]})
        samples = [FakeSample(**{**vars(whole.samples[i]), "doc_id": i}) for i in ids]
        return make_run(folder, FakeTask("piaf_fr", samples, original=10, **options))  # type: ignore[arg-type]

    def test_of_one_folder_are_put_together(self, tmp_path: Path) -> None:
        self.shard(tmp_path, [0, 1, 2, 3, 4])
        self.shard(tmp_path, [5, 6, 7, 8, 9])
        columns = columns_of(tmp_path)
        assert sorted(columns.doc_id.tolist()) == list(range(10))
        assert columns.scores["f1"].values.sum() == pytest.approx(4.5)
        assert len(columns.paths) == 2
        assert find_run(tmp_path).notes == ("piaf_fr: 2 shards put together, 10 documents",)

    def test_of_several_folders_are_put_together(self, tmp_path: Path) -> None:
        self.shard(tmp_path / "machine-a", [0, 2, 4, 6, 8])
        self.shard(tmp_path / "machine-b", [1, 3, 5, 7, 9])
        run = find_run([tmp_path / "machine-a", tmp_path / "machine-b"])
        assert run.tasks["piaf_fr"].n_logged == 10

    def test_gaps_are_said(self, tmp_path: Path) -> None:
        self.shard(tmp_path, [0, 1, 2])
        self.shard(tmp_path, [5, 6])
        assert "piaf_fr: 5 of the 10 documents were run (--samples)" in find_run(tmp_path).notes

    @pytest.mark.parametrize("ids", [[2, 3, 4], [2]])
    def test_a_document_in_two_shards_is_refused(self, tmp_path: Path, ids: list[int]) -> None:
        self.shard(tmp_path, [0, 1, 2])
        self.shard(tmp_path, ids)
        match = r"samples_piaf_fr_.*:3: document 2 \(\w{12}\) of piaf_fr is also in samples_.*:1"
        with pytest.raises(InputError, match=match):
            find_run(tmp_path)

    def test_a_text_that_the_task_has_twice_is_no_duplicate(self, tmp_path: Path) -> None:
        for i in (3, 4):
            sample = FakeSample({"text": "même"}, "Où ?", "là", {"f1": 1.0}, doc_id=i)
            make_run(tmp_path, FakeTask("piaf_fr", [sample], original=10))
        assert sorted(columns_of(tmp_path).doc_id.tolist()) == [3, 4]

    def test_a_shard_that_was_run_again_counts_once(self, tmp_path: Path) -> None:
        self.shard(tmp_path, [0, 1, 2])
        self.shard(tmp_path, [3, 4])
        self.shard(tmp_path, [0, 1, 2])
        assert sorted(columns_of(tmp_path).doc_id.tolist()) == [0, 1, 2, 3, 4]

    def test_with_other_settings_are_refused(self, tmp_path: Path) -> None:
        self.shard(tmp_path, [0, 1, 2])
        self.shard(tmp_path, [3, 4], generation={"until": ["\n"], "max_gen_toks": 8})
        with pytest.raises(InputError, match="not the same work: generation_kwargs"):
            find_run(tmp_path)

    def test_a_probe_before_the_whole_run_is_superseded(self, tmp_path: Path) -> None:
        self.shard(tmp_path, [0, 1, 2])
        make_run(tmp_path, plain_task("piaf_fr", {"f1": [i / 10 for i in range(10)]}))
        assert len(columns_of(tmp_path)) == 10


class TestRefusals:
    def refuse(self, path: Path, match: str, **options: object) -> None:
        with pytest.raises(InputError, match=match) as error:
            columns_of(path, **options)
        assert "\n" not in str(error.value)

    def test_no_folder(self, tmp_path: Path) -> None:
        self.refuse(tmp_path / "nowhere", "nowhere: no such folder")

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        self.refuse(tmp_path, "no run of lm-eval in this folder .*lm-eval-fr run")

    def test_a_folder_too_high(self, tmp_path: Path) -> None:
        make_run(tmp_path / "out" / "nvfp4", QA)
        self.refuse(tmp_path / "out", "did you mean .*nvfp4")

    def test_two_models(self, tmp_path: Path) -> None:
        make_run(tmp_path, QA, model="org/a")
        make_run(tmp_path, QA, model="org/b")
        self.refuse(tmp_path, "runs of 2 models in one folder: org__a, org__b .*give the folder of one")

    def test_two_models_with_one_folder_name(self, tmp_path: Path) -> None:
        make_run(tmp_path, QA, model="org/a")
        make_run(tmp_path, QA, model="org:a")
        self.refuse(tmp_path, "runs of 2 models in one place: org/a, org:a")

    def test_no_samples(self, tmp_path: Path) -> None:
        make_run(tmp_path, QA, log_samples=False)
        self.refuse(tmp_path, "the newest run of piaf_fr has no samples .*--log_samples")

    def test_samples_without_results(self, tmp_path: Path) -> None:
        older = make_run(tmp_path, QA)
        shutil.copy(samples_file(older), older / "samples_piaf_fr_2027-01-01T00-00-00.jsonl")
        self.refuse(tmp_path, "samples without their results_2027-01-01T00-00-00.json")

    def test_only_samples(self, tmp_path: Path) -> None:
        folder = make_run(tmp_path, QA)
        next(folder.glob("results_*")).unlink()
        self.refuse(folder, "no run .*lack their results")

    def test_a_samples_file_as_the_run(self, tmp_path: Path) -> None:
        self.refuse(samples_file(make_run(tmp_path, QA)), "not a results file of lm-eval .*give the folder")

    @pytest.mark.parametrize("text", ["{", "[]", '{"configs": {}}', '{"configs": {"piaf_fr": {}}, "config": 3}', ""])
    def test_results_that_are_none(self, tmp_path: Path, text: str) -> None:
        folder = make_run(tmp_path, QA)
        next(folder.glob("results_*")).write_text(text)
        self.refuse(folder, r"results_.*not (JSON|results of lm-eval)")

    def test_an_unknown_task(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no run of sib200_fr .*it has piaf_fr"):
            find_run(make_run(tmp_path, QA), tasks=["sib200_fr"])

    def test_a_broken_task_that_nobody_asked_for(self, tmp_path: Path) -> None:
        folder = make_run(tmp_path, QA, plain_task("sib200_fr", {"exact_match": [1, 1]}))
        next(folder.glob("samples_sib200_fr*")).unlink()
        self.refuse(folder, "the newest run of sib200_fr has no samples")
        assert list(find_run(folder, tasks=["piaf_fr"]).tasks) == ["piaf_fr"]

    def test_a_cut_line(self, tmp_path: Path) -> None:
        path = samples_file(make_run(tmp_path, QA))
        path.write_bytes(path.read_bytes()[:-100])
        self.refuse(tmp_path, r"samples_.*jsonl:3: the file ends inside this line .*copy the file again")

    def test_a_line_that_is_not_json(self, tmp_path: Path) -> None:
        path = samples_file(make_run(tmp_path, QA))
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([lines[0], b"<html>502 Bad Gateway</html>\n", lines[2]]))
        self.refuse(tmp_path, r"jsonl:2: not JSON")

    def test_lost_lines(self, tmp_path: Path) -> None:
        path = samples_file(make_run(tmp_path, QA))
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
        self.refuse(tmp_path, "2 samples, but lm-eval wrote 3")

    def test_lost_lines_of_a_judged_task(self, tmp_path: Path) -> None:
        path = samples_file(make_run(tmp_path, plain_task("analysis_fr", 3)))
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
        self.refuse(tmp_path, "lines are missing or changed", task="analysis_fr")

    def test_an_empty_file(self, tmp_path: Path) -> None:
        samples_file(make_run(tmp_path, QA)).write_bytes(b"")
        self.refuse(tmp_path, "no sample in this file")

    @pytest.mark.parametrize("key", ["doc_hash", "prompt_hash", "doc_id", "arguments", "resps"])
    def test_a_line_of_something_else(self, tmp_path: Path, key: str) -> None:
        path = samples_file(make_run(tmp_path, QA))
        row = json.loads(path.read_text().splitlines()[1])
        lines = path.read_text().splitlines()
        for spoilt in ({k: v for k, v in row.items() if k != key}, row | {key: "x"}):
            path.write_text("\n".join([lines[0], json.dumps(spoilt), lines[2]]) + "\n")
            if key != "resps" or key not in spoilt:
                self.refuse(tmp_path, rf"jsonl:2: not a sample as lm-eval .*{key}")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "un", [1, 2], {}])
def test_a_score_that_is_no_finite_number(tmp_path: Path, value: object) -> None:
    """On a line that nobody looks at before: the metric has no scores, and the others do."""
    task = plain_task("piaf_fr", {"f1": [1.0] * 30, "exact_match": [1.0] * 30}, printed={"f1": 1.0})
    task.samples[25].scores["f1"] = value  # type: ignore[index]
    make_run(tmp_path, task)
    columns = columns_of(tmp_path)
    assert columns.scores["exact_match"].values.sum() == 30
    (none,) = columns.unscored
    assert none.metric == "f1" and none.broken
    assert re.search(r"the f1 of this document is .*, not a (finite )?number \(.*jsonl:26\)", none.reason)


def test_nan_in_a_document_is_no_obstacle(tmp_path: Path) -> None:
    samples = [FakeSample({"id": i, "weight": float("nan"), "title": "T"}, f"p{i}", "a", {"f1": 0.5}) for i in range(2)]
    columns = columns_of(make_run(tmp_path, FakeTask("piaf_fr", samples)))
    assert columns.scores["f1"].values.tolist() == [0.5, 0.5]
    assert columns.fields["title"].names == ("T",)


def test_a_reordered_file_is_read_and_said(tmp_path: Path) -> None:
    path = samples_file(make_run(tmp_path, QA))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[::-1]))
    columns = columns_of(tmp_path)
    assert columns.scores["f1"].values.tolist() == [0.0, 0.5, 1.0]
    assert "or their order, are not what" in columns.notes[0]


def test_scores_that_do_not_make_the_printed_mean_are_none(tmp_path: Path) -> None:
    path = samples_file(make_run(tmp_path, QA))
    path.write_text(path.read_text().replace('"f1": 0.5', '"f1": 0.9'))
    columns = columns_of(tmp_path)
    assert list(columns.scores) == ["exact_match"]
    (none,) = columns.unscored
    assert none.broken and "the samples' mean of f1 is 0.633333, lm-eval printed 0.5" in none.reason


def test_dates_without_microseconds_sort(tmp_path: Path) -> None:
    make_run(tmp_path, plain_task("piaf_fr", {"f1": [0.0]}), at=datetime(2026, 1, 1, 12, 0, 0, 5))
    make_run(tmp_path, QA, at=datetime(2026, 1, 1, 12, 0, 1))
    assert find_run(tmp_path).tasks["piaf_fr"].n_logged == 3


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a=1,b=x", {"a": "1", "b": "x"}),
        ('a={"b": 1, "c": [2, 3]},d=4', {"a": '{"b": 1, "c": [2, 3]}', "d": "4"}),
        ('a="x,y",b=(1,2)', {"a": '"x,y"', "b": "(1,2)"}),
        ("a=}},b=1", {"a": "}}", "b": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_model_arguments(given: object, found: dict[str, object]) -> None:
    assert arguments_of(given) == found
