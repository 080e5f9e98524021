"""The preflight on real sockets: what would spoil a study is found before it starts, in one line with a remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lm_eval_fr.arms.flags import parse_call
from lm_eval_fr.check.check_findings import CheckReport
from lm_eval_fr.check.decision import PlannedClaim, prospect_of, prospects_of
from lm_eval_fr.check.judge_check import check_judge
from lm_eval_fr.check.plan_check import check_plan, is_hosted, prices_of
from lm_eval_fr.check.planned_documents import TaskWork, articles_of
from lm_eval_fr.check.reply_check import Asked
from lm_eval_fr.demo import example_plan, plan_path
from lm_eval_fr.errors import LmEvalFrError
from lm_eval_fr.io.http import Server
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.io.terminal import LINES
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.models.chat_replies import Reply as ReadReply
from lm_eval_fr.plan import parse_plan
from lm_eval_fr.study import run_study
from tests.fakes.checkpoints import W4A4, make_checkpoint, make_mistral_checkpoint
from tests.fakes.server import Call, FakeOpenAI, Reply
from tests.fakes.tokenizing import FakeTokenizer

TEXT = "La ville de Vaurelle compte onze mille habitants et un pont de pierre sur l'Orcine. " * 8
VERDICT = json.dumps({"reason": "La réponse A couvre le texte.", "verdict": "A"})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve questions and ten articles."""
    folder = tmp_path / "data"
    folder.mkdir()
    questions = [
        {
            "id": str(number),
            "title": f"Ville {number}",
            "context": f"{TEXT} Document {number}.",
            "question": "Combien d'habitants la ville compte-t-elle ?",
            "answers": {"text": ["onze mille"], "answer_start": [29]},
        }
        for number in range(12)
    ]
    articles = [{"id": f"a{number}", "title": f"Ville {number}", "text": f"{TEXT} {number}"} for number in range(10)]
    for name, rows in (("piaf_fr", questions), ("analysis_fr", articles)):
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def check(tmp_path: Path, data: Path) -> Callable[..., CheckReport]:
    """Checks a plan of two `fr-baseline` arms with `changes`."""

    def run(**changes: Any) -> CheckReport:
        plan: dict[str, Any] = {
            "name": "try",
            "tasks": ["piaf_fr"],
            "limit": 5,
            "margins": {"gold": 0.05, "judge": 0.1},
            "data_dir": "data",
            "candidate": {"model": "fr-baseline", "model_args": {"damage": 0.3}},
            "reference": {"model": "fr-baseline", "rerun": True},
        } | changes
        path = tmp_path / "plan.yaml"
        path.write_text(json.dumps({name: value for name, value in plan.items() if value is not None}))
        return check_plan(path)

    return run


def arm(server: FakeOpenAI, model: str = "local-completions", **arguments: Any) -> dict[str, Any]:
    path = "completions" if model == "local-completions" else "chat/completions"
    return {"model": model, "model_args": {"base_url": f"{server.url}/{path}", "model": "fake-model", **arguments}}


def profile(folder: Path, server: FakeOpenAI, **changes: Any) -> dict[str, Any]:
    settings = {
        "model": "fake-model",
        "base_url": server.url,
        "key_env": None,
        "parameters": {"temperature": 0, "max_tokens": 100},
        "prices": {"input": 2.0, "cached": 0.5, "output": 8.0, "batch": 0.5},
    }
    (folder / "judge.yaml").write_text(json.dumps(settings | changes))
    return {"profile": "./judge.yaml"}


def found(report: CheckReport, where: str, level: str = "problem") -> str:
    """The only finding of that level there."""
    matching = [finding for finding in report.findings if (finding.where, finding.level) == (where, level)]
    assert len(matching) == 1, report.text()
    assert "\n" not in str(matching[0])
    return str(matching[0])


def test_a_plan_that_is_ready(
    check: Callable[..., CheckReport], fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    text, chat, judge = fake_server("onze mille"), fake_server("onze mille"), fake_server(VERDICT)
    report = check(
        tasks=["piaf_fr", "analysis_fr"],
        candidate=arm(text),
        reference={**arm(chat, "hosted-chat"), "rerun": True},
        judge=profile(tmp_path, judge),
    )
    assert report.exit_code == 0, report.text()
    assert not report.problems
    assert "only the reference is asked through a chat template" in found(report, "plan", "warning")
    # One question each, with the fields and the prompt of the arm's own requests.
    assert [server.count for server in (text, chat, judge)] == [1, 1, 1]
    assert TEXT.strip()[:80] in text.calls[0].body["prompt"]
    assert text.calls[0].body["max_tokens"] == chat.calls[0].body["max_tokens"] == 64
    assert "seed" in text.calls[0].body
    assert "seed" not in chat.calls[0].body
    candidate, reference = report.arms
    assert (candidate.documents, candidate.requests, reference.requests) == (10, 10, 20)
    assert candidate.output_tokens == 5 * 64 + 5 * 1024
    assert candidate.measured
    assert candidate.own
    (estimate,) = report.judge
    assert (estimate.controls, estimate.pairs, estimate.rerun) == (14 + 5, 5, 5)
    assert estimate.dollars is not None
    assert 0 < estimate.dollars.low <= estimate.dollars.expected <= estimate.dollars.high
    few = found(report, "controls", "warning")
    assert "5 of 40 graded controls can be made" in few and "no claim will be made" in few
    assert "ready, 2 warnings: lm-eval-fr ab" in report.text()


def test_nothing_is_written(check: Callable[..., CheckReport], tmp_path: Path) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    check()
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "plan.yaml") == before


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(""), "an empty answer to the first document of piaf_fr"),
        (Reply("<think>voyons</think> onze mille"), "it reasons before it answers: the reply has <think>"),
        (
            Reply("onze", usage={"prompt_tokens": 250, "completion_tokens_details": {"reasoning_tokens": 9}}),
            "the reply cost 9 reasoning tokens",
        ),
        (Reply("onze mille", usage={"prompt_tokens": 20}), "characters and 20 tokens by the server's count"),
        (Reply("onze mille", usage={"prompt_tokens": 4000}), "characters and 4,000 tokens by the server's count"),
        (Reply("seed: extra fields not permitted", status=422), "--model hosted-chat sends no seed"),
        (Reply("no such", status=500), "the server answers HTTP 500: no such"),
        (Reply(raw="<html>"), "not a completion: <html>"),
    ],
)
def test_an_endpoint_that_would_spoil_the_study(
    check: Callable[..., CheckReport], fake_server: Callable[..., FakeOpenAI], reply: Reply, says: str
) -> None:
    report = check(candidate=arm(fake_server(lambda call: reply)))
    assert report.exit_code == 2
    assert says in found(report, "candidate")


def test_reasoning_in_a_field_of_its_own(
    check: Callable[..., CheckReport], fake_server: Callable[..., FakeOpenAI]
) -> None:
    for field in ("reasoning_content", "reasoning"):
        message = {"role": "assistant", "content": "onze mille", field: "Voyons."}
        body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 250}}
        server = fake_server(lambda call, body=body: Reply(raw=json.dumps(body)))
        report = check(reference=arm(server, "hosted-chat"))
        assert f"the reply has `{field}`" in found(report, "reference")
        assert "add reasoning_effort: none to model_args" in found(report, "reference")


def test_endpoints_that_cannot_be_asked(
    check: Callable[..., CheckReport], fake_server: Callable[..., FakeOpenAI], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = fake_server()
    gone.stop()
    assert "no server answers" in found(check(candidate=arm(gone)), "candidate")

    def only_its_own(call: Call) -> Reply:
        return Reply("The model does not exist.", status=404)

    named = fake_server(only_its_own, models=("mistral-small",))
    report = check(candidate=arm(named, "hosted-chat"))
    assert "the server has no model 'fake-model'" in found(report, "candidate")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0123456789")
    locked = fake_server(api_key="sk-right-0123456789")
    said = found(check(candidate=arm(locked)), "candidate")
    assert "the key is read from OPENAI_API_KEY, which is refused" in said
    assert "sk-" not in said
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    hosted = {"model": "hosted-chat", "model_args": {"preset": "mistral", "model": "mistral-small-2603"}}
    assert "MISTRAL_API_KEY is not set" in found(check(reference=hosted), "reference")


def count(tokenizer: FakeTokenizer, call: Call) -> int:
    return len(tokenizer.chat(call.messages) if call.messages else tokenizer.text(call.user, start=True))


def test_the_servers_own_tokenizer_is_asked(
    check: Callable[..., CheckReport], fake_server: Callable[..., FakeOpenAI]
) -> None:
    def serve(tokenizer: FakeTokenizer, off: int = 0) -> FakeOpenAI:
        server = FakeOpenAI(lambda call: Reply("onze", usage={"prompt_tokens": count(tokenizer, call) + off}))
        return server.mount(*tokenizer.routes).start()

    servers = [serve(FakeTokenizer()), serve(FakeTokenizer(start_doubled=True)), serve(FakeTokenizer(), off=7)]
    try:
        fine, doubled, other = (check(candidate=arm(server, "hosted-chat")) for server in servers)
        assert "the server's /tokenize agrees" in fine.text()
        assert fine.exit_code == 0
        assert "prompts begin with two begin-of-text tokens" in found(doubled, "candidate")
        assert "by the count in its answer" in found(other, "candidate", "warning")
    finally:
        for server in servers:
            server.stop()


def test_a_tokenizer_that_answers_nothing_is_unknown_and_not_zero(
    check: Callable[..., CheckReport], capfd: pytest.CaptureFixture[str]
) -> None:
    """llama.cpp's /tokenize wants another field, and answers an empty list to vLLM's."""

    async def tokenize(request: web.Request) -> web.Response:
        return web.json_response({"tokens": []})

    with FakeOpenAI("onze mille").mount(web.post("/tokenize", tokenize)) as server:
        for model in ("hosted-chat", "local-completions"):
            report = check(candidate=arm(server, model))
            assert report.exit_code == 0 and "has 0 tokens" not in report.text(), report.text()
            assert "plausible for French text" in report.text()
    assert "EOS" not in capfd.readouterr().err


def test_sampled_answers_under_one_seed_are_found_before_the_study(check: Callable[..., CheckReport]) -> None:
    with FakeOpenAI("onze mille") as server:
        vote = {"tasks": ["piaf_fr_vote"], "margins": {}}
        says = "piaf_fr_vote samples 8 answers per document, and every request would carry the seed 1234"
        assert says in found(check(candidate=arm(server, "local-chat-completions"), **vote), "candidate")
        assert says.replace("1234", "7") in found(
            check(candidate=arm(server, "hosted-chat", seed=7), **vote), "candidate"
        )
        assert server.count == 0
        check(candidate=arm(server, "hosted-chat"), **vote)
        assert server.count == 1


@pytest.mark.parametrize("letters", [False, True])
def test_a_prompt_that_the_arm_renders_itself(letters: bool) -> None:
    """The template writes the begin-of-text mark, and the server adds its own; or the marks are no marks there."""
    tokenizer = FakeTokenizer(marks_are_letters=letters)
    prompt = f"<s><|user|>{TEXT}<|end|><|assistant|>"
    reply = ReadReply("onze mille", "stop", {"prompt_tokens": len(tokenizer.text(prompt, start=True))})
    with FakeOpenAI().mount(*tokenizer.routes) as running:
        server = Server(f"{running.url}/completions")
        asked = Asked(server, "fake-model", "piaf_fr", prompt, prompt, reply, templated=True, quiet="")
        problems = [finding.what for finding in asked.findings("candidate") if finding.level == "problem"]
    says = "special tokens are read as plain text" if letters else "prompts begin with two begin-of-text"
    assert len(problems) == 1, problems
    assert says in problems[0]


@pytest.mark.parametrize(
    ("tokens", "counted", "level", "says"),
    [
        ([1, *range(100, 200)], 101, "ok", "as sent"),
        ([1, 1, *range(100, 200)], 102, "problem", "two begin-of-text tokens"),
        ([1, *range(100, 200)], 90, "warning", "101 tokens, 90 by the count in its answer"),
    ],
)
def test_token_ids_that_lm_eval_made(tokens: list[int], counted: int, level: str, says: str) -> None:
    reply = ReadReply("onze mille", "stop", {"prompt_tokens": counted})
    server = Server("http://127.0.0.1:9/v1/completions")  # nobody is asked how it would encode them
    asked = Asked(server, "fake-model", "piaf_fr", tokens, TEXT[:400], reply, templated=True, quiet="")
    found = [str(finding) for finding in asked.findings("candidate") if finding.level == level]
    assert any(says in finding for finding in found), found


def test_checkpoints(check: Callable[..., CheckReport], tmp_path: Path) -> None:
    def engine(folder: Path, **arguments: Any) -> CheckReport:
        return check(candidate={"model": "vllm", "model_args": {"pretrained": str(folder), **arguments}})

    both = make_checkpoint(tmp_path / "both", quantization=W4A4, tekken=True)
    assert "add tokenizer_mode=hf to --model_args" in engine(both).text()
    assert "tokenizer_mode=hf" not in engine(both, tokenizer_mode="hf").text()
    assert "quantisation compressed-tensors nvfp4-pack-quantized W4A4" in engine(both, tokenizer_mode="hf").text()
    alone = make_mistral_checkpoint(tmp_path / "alone")
    assert "tokenizer_mode hf, but no tokenizer.json" in engine(alone, tokenizer_mode="hf").text()
    half = make_checkpoint(tmp_path / "half", shards=2)
    (half / "model-00001-of-00002.safetensors").unlink()
    assert "download incomplete: model-00001-of-00002.safetensors missing" in engine(half).text()
    assert engine(half).exit_code == 2
    assert "no such checkpoint folder" in engine(tmp_path / "nowhere").text()


def test_what_would_make_the_arms_different_work(check: Callable[..., CheckReport]) -> None:
    one = {"model": "fr-baseline", "model_args": {"damage": 0.3}, "gen_kwargs": {"max_gen_toks": 32}}
    report = check(candidate=one)
    assert "piaf_fr would be generated differently: max_gen_toks is 32 in the candidate, 64" in found(report, "plan")
    assert check(candidate=one, allow=["generation"]).exit_code == 0
    same = {"model": "fr-baseline", "model_args": {"damage": 0.3}}
    report = check(candidate=same, reference=same, tasks=["piaf_fr", "analysis_fr"])
    warnings = [finding.what for finding in report.findings if finding.level == "warning"]
    assert "candidate and reference are the same arm" in warnings
    assert "no arm is run twice, so the noise floor will be unknown" in warnings
    assert "analysis_fr needs a judge, and the plan has none" in warnings


def test_documents_that_are_not_there(check: Callable[..., CheckReport], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    report = check(data_dir="empty")
    assert report.exit_code == 2
    assert "piaf_fr" in found(report, "both arms")
    assert "12 documents, the plan asks for 13" in found(check(limit={"piaf_fr": 13}), "both arms")
    assert "no such task" in found(check(tasks=["piaf"]), "both arms")


@pytest.mark.parametrize(
    ("answer", "changes", "level", "says"),
    [
        (VERDICT, {}, "ok", "prefers the full answer in one control"),
        (VERDICT.replace('"A"', '"B"'), {}, "warning", "check that it understands French"),
        ("Je préfère A.", {}, "problem", "gives no verdict: not a JSON object"),
        (Reply("nope", status=404), {}, "problem", "check that the server has a model"),
        (VERDICT, {"key_env": "NO_SUCH_KEY"}, "problem", "the environment variable NO_SUCH_KEY is empty"),
        (VERDICT, {"shutdown": "2020-01-01"}, "warning", "was shut down on 2020-01-01"),
    ],
)
def test_the_judge(
    check: Callable[..., CheckReport],
    fake_server: Callable[..., FakeOpenAI],
    tmp_path: Path,
    answer: str | Reply,
    changes: dict[str, Any],
    level: str,
    says: str,
) -> None:
    server = fake_server(lambda call: answer)
    report = check(tasks=["analysis_fr"], judge=profile(tmp_path, server, **changes))
    assert says in found(report, "judge", level)
    assert server.count <= 1


def test_the_judges_budget(
    check: Callable[..., CheckReport], fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    server = fake_server(VERDICT)
    judge = profile(tmp_path, server)
    tight = check(tasks=["analysis_fr"], judge={**judge, "max_usd": 0.01})
    assert "is needed, and max_usd is 0.01" in found(tight, "judge", "warning")
    profile(tmp_path, server, prices={})
    assert "cannot be kept without prices" in found(
        check(tasks=["analysis_fr"], judge={**judge, "max_usd": 1}), "judge"
    )
    assert "no task that needs one" in found(check(judge=judge), "judge", "warning")
    offline = check(tasks=["analysis_fr"], judge={"profile": "offline"})
    assert offline.exit_code == 0
    assert offline.judge[0].dollars is not None
    assert offline.judge[0].dollars.high == 0


def planned(tokens: int, clusters: tuple[str, ...], documents: int = 60) -> TaskWork:
    prompts = tuple(f"Résume le texte n° {number}." for number in range(documents))
    return TaskWork("analysis_fr", True, None, documents, prompts, clusters, {"max_gen_toks": tokens}, None)


@pytest.mark.parametrize(
    ("work", "controls", "warned"),
    [
        (planned(400, ()), 40, None),
        (planned(400, tuple(f"Article {number % 12}" for number in range(60))), 40, None),
        (planned(400, (), 30), 30, "30 of 40 graded controls can be made: too few documents"),
        (planned(400, (), 1), 0, "0 of 40 graded controls can be made: too few documents"),
        (planned(8, ()), 0, "so few cannot show enough of any judge, and no claim will be made"),
    ],
    ids=["enough", "articles", "few", "one", "labels"],
)
def test_controls_are_counted_as_the_judge_will_make_them(work: TaskWork, controls: int, warned: str | None) -> None:
    findings, (estimate,) = check_judge(JudgeOptions(profile=("offline",)), [work])
    assert estimate.controls == 14 + controls
    said = [str(finding) for finding in findings if finding.where == "controls"]
    assert [warned in one for one in said if warned] == [True] * (warned is not None) and bool(said) == bool(warned)


def test_prices() -> None:
    known = prices_of("mistral-small-2603")
    assert known is not None
    assert known.input == 0.15
    judged = prices_of("gpt-4.1-2025-04-14")
    assert judged is not None
    assert judged.output == 8.0
    assert prices_of("my-own") is None


@pytest.mark.parametrize(
    ("address", "hosted"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://localhost:8000/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://192.168.1.7:8000/v1", False),
        ("http://spark.local:8000/v1", False),
        ("http://gpu.internal/v1", False),
        ("http://8.8.8.8/v1", True),
        ("https://api.mistral.ai/v1", True),
        (None, True),  # the client's own API
    ],
)
def test_what_is_somebody_else_s_api(address: str | None, hosted: bool) -> None:
    """An arm on one's own hardware costs no dollars a token."""
    settings = {"model": "m"} if address is None else {"model": "m", "base_url": f"{address}/chat/completions"}
    flags = ["--model", "hosted-chat", "--model_args", json.dumps(settings), "--tasks", "piaf_fr"]
    call = parse_call([*flags, "--output_path", "unused"], Redactor.from_environment())
    assert is_hosted(call) is hosted
    own = parse_call(["--model", "fr-baseline", *flags[4:], "--output_path", "unused"], Redactor.from_environment())
    assert not is_hosted(own)


def test_repeats_of_greedy_answers_are_warned(check: Callable[..., CheckReport]) -> None:
    report = check(repeats=3)
    assert "answers at temperature 0 vary little, and repeats: 3 asks for several" in found(report, "plan", "warning")
    drawn = {"model": "fr-baseline", "gen_kwargs": {"temperature": 0.7}}
    assert "vary little" not in check(repeats=3, candidate=drawn, reference=drawn).text()


def test_what_the_documents_can_decide(check: Callable[..., CheckReport]) -> None:
    judge = {"profile": "offline"}
    report = check(tasks=["piaf_fr", "analysis_fr"], judge=judge)
    first, *lines = report.text().splitlines()
    assert first == "This plan will probably not decide: too few documents for the margin of piaf_fr, judge."
    assert report.exit_code == 0
    piaf = next(line for line in lines if line.strip().startswith("piaf_fr: 5 documents establish"))
    assert (
        "yours is 5 points: expect `inconclusive`. It would take about" in piaf
        and "documents, and there are 12: plan for" in piaf
    )
    assert any(line.strip().startswith("judge: 5 pairs establish") for line in lines)
    assert any(line.strip().startswith("all claims together: power 0.") for line in lines)
    for columns in (60, 80):
        brief = report.brief(columns).splitlines()
        assert len(brief) <= LINES and max(map(len, brief[:-1])) <= columns
        assert " ".join(brief).startswith("This plan will probably not decide: too few documents for")
        assert any(line.split()[:3] == ["piaf_fr", "5", "5"] for line in brief)
        assert "--full" in brief[-2] and brief[-1] == report.conclusion
    wide = check(margins={"gold": 0.9})
    assert wide.prospects.headline is None
    assert "yours is 90 points: power" in wide.text()


def test_in_a_glance_what_is_wrong(check: Callable[..., CheckReport]) -> None:
    report = check(candidate={"model": "fr-baselin"})
    first, *_, more, last = report.brief(200).splitlines()
    assert first.startswith("PROBLEM  candidate") and "did you mean 'fr-baseline'?" in first
    assert "--full" in more and last.startswith("1 problem: fix it before")


def test_a_plan_without_margins_is_warned(check: Callable[..., CheckReport]) -> None:
    report = check(margins=None)
    assert "differences will be shown without a verdict" in found(report, "plan", "warning")
    assert report.exit_code == 0 and report.prospects.headline is None


@pytest.mark.parametrize(
    ("changes", "line", "says"),
    [
        ({"tasks": ["piaf"]}, 2, "no such task (did you mean 'piaf_fr'?)"),
        ({"data_dir": "nowhere"}, 4, "data_dir nowhere: no such folder (a relative path starts in the plan's folder)"),
        ({"candidate": {"model": "fr-baselin"}}, 6, "no such model (did you mean 'fr-baseline'?)"),
        (
            {"candidate": {"model": "fr-baseline", "model_args": {"damag": 1}}},
            6,
            "no argument 'damag' (did you mean 'damage'?)",
        ),
        ({"candidate": {"model": "fr-baseline", "flags": ["--batchsize", "2"]}}, 6, "--batchsize: no such flag"),
        ({"reference": {"model": "hosted-chat", "model_args": {"model": "m"}}}, 7, "base_url is missing"),
        ({"reference": {"model": "hosted-chat", "model_args": {"base_ul": "x"}}}, 7, "(did you mean 'base_url'?)"),
        ({"allow": ["prompt"]}, 8, "there is no mismatch called 'prompt' (did you mean 'prompts'?)"),
    ],
)
def test_a_mistake_is_found_with_its_line(
    tmp_path: Path, data: Path, changes: dict[str, Any], line: int, says: str
) -> None:
    plan = {
        "name": "try",
        "tasks": ["piaf_fr"],
        "limit": 5,
        "data_dir": "data",
        "margins": {"gold": 0.05},
        "candidate": {"model": "fr-baseline", "model_args": {"damage": 0.3}},
        "reference": {"model": "fr-baseline", "rerun": True},
    } | changes
    path = tmp_path / "plan.yaml"
    path.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in plan.items()) + "\n")
    problems = [str(problem) for problem in check_plan(path).problems]
    assert any(f"plan.yaml:{line}: " in problem and says in problem for problem in problems), problems
    with pytest.raises(LmEvalFrError, match=rf"plan\.yaml:{line}: .*{re.escape(says)}"):
        run_study(path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_base_model_asked_for_a_chat(
    check: Callable[..., CheckReport], fake_server: Callable[..., FakeOpenAI]
) -> None:
    said = "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template"
    server = fake_server(lambda call: Reply(said, status=400))
    told = found(check(candidate=arm(server, "hosted-chat")), "candidate")
    assert "for a base model, leave out apply_chat_template" in told and "*_shots" in told


@pytest.mark.parametrize(
    ("task", "kind", "available", "articles"),
    [
        ("piaf_fr", "score", 3835, 191),
        ("massive_scenario_fr", "exact_match", 2974, None),
        ("sib200_fr", "exact_match", 701, None),
        ("ifeval_fr", "exact_match", 235, None),
        ("mgsm_cot_fr", "exact_match", 250, None),
        ("judge", "judge", 1000, 200),
    ],
)
def test_the_readme_s_plan_can_decide(task: str, kind: Any, available: int, articles: int | None) -> None:
    """With the sizes of the public data sets."""
    plan = parse_plan(example_plan().read_text(encoding="utf-8"), where=example_plan())
    assert isinstance(plan.limit, int)
    documents = min(available, plan.limit)
    size = documents / articles if articles else 1.0
    claim = PlannedClaim(task, kind, documents, available, articles, size, plan.margin(task))
    prospect = prospect_of(claim, plan.level, plan.guarantee)
    assert prospect.power is not None and prospect.power > 0.95, str(prospect)


def work_of(name: str, metric: str = "f1", n: int = 600, **more: Any) -> TaskWork:
    known = {"clusters": (), "generation": {}, "task": None} | more
    return TaskWork(name, False, metric, n, ("prompt",) * n, **known)


def test_a_planned_document_without_an_article_is_one_of_its_own() -> None:
    docs = [{"source": "Lyon"}, {"source": None}, {}, {"source": "Lyon"}]
    assert articles_of(docs, "source") == ("Lyon", "document 1", "document 2", "Lyon")
    assert articles_of(docs, "title") == articles_of(docs, None) == ()


def test_strata_and_the_mean_are_planned_as_claims() -> None:
    text = "name: a\ntasks: [piaf_fr, sib200_fr]\nmargins: {gold: 5%}\n"
    text += "candidate: {model: vllm}\nreference: {model: vllm}\n"
    lengths = {"length": ("4096",) * 400 + ("65536",) * 200}
    work = [work_of("piaf_fr", strata=lengths), work_of("sib200_fr", "exact_match")]
    alone = prospects_of(parse_plan(text, where=Path("p")), work)
    assert [one.claim.name for one in alone.claims] == ["piaf_fr", "sib200_fr"]
    both = prospects_of(parse_plan(text + "strata: {piaf_fr: [length]}\n", where=Path("p")), work)
    short, long = both.claims[2:]
    assert [(one.claim.name, one.claim.documents, one.claim.family) for one in (short, long)] == [
        ("piaf_fr, 4096", 400, 2),
        ("piaf_fr, 65536", 200, 2),
    ]
    one = prospects_of(parse_plan(text + "strata: {piaf_fr: ['4096']}\n", where=Path("p")), work).claims[2]
    assert short.power is not None
    assert one.power is not None
    assert short.power < one.power  # Holm over two asks for more
    assert both.together is not None
    assert alone.together is not None
    assert both.together < alone.together
    mean = prospects_of(parse_plan(text + "overall_mean: true\n", where=Path("p")), work)
    assert mean.together == alone.together
    assert mean.claims[-1].claim.name == "mean over 2 tasks"
    assert mean.claims[-1].power is not None
    assert mean.claims[-1].power > min(one.power or 0 for one in alone.claims)
    repeated = prospects_of(parse_plan(text + "repeats: 4\n", where=Path("p")), work)
    assert (repeated.claims[0].establishes or 1) < (alone.claims[0].establishes or 0)
    assert "each answered 4 times" in str(repeated.claims[0])


def test_a_misspelt_stratum_is_found_before_anything_is_asked(
    check: Callable[..., CheckReport], tmp_path: Path
) -> None:
    own = {"tasks": ["ifeval_fr"], "data_dir": str(plan_path().parent / "data"), "limit": 20}
    told = found(check(**own, strata={"ifeval_fr": ["familly"]}), "plan")
    assert "ifeval_fr has no stratum 'familly'" in told
    assert "family" in told
    with pytest.raises(LmEvalFrError, match="no stratum 'familly'"):
        run_study(tmp_path / "plan.yaml", out=tmp_path / "out")
    fine = check(**own, strata={"ifeval_fr": ["family"]})
    assert not fine.problems
    assert any(one.claim.name.startswith("ifeval_fr, ") for one in fine.prospects.claims)
