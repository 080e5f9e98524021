"""What is asked, what it costs and what is written, against a judge whose every verdict is known."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from lm_eval_fr.errors import InputError, JournalError, Unfinished, UsageError
from lm_eval_fr.judge.asking.prompt import shared_part
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.session import check_finished, judge_runs
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.judge_summary import read_summary
from lm_eval_fr.judge.verdicts.outcome import read_verdicts
from lm_eval_fr.pairing import Pairing
from tests.fakes.judged import exchanged
from tests.fakes.judging import (
    PRICES,
    TASK,
    answer,
    by_quality,
    document,
    judge,
    options,
    outcomes,
    pair,
    quality,
    verdict_json,
    write_profile,
    write_runs,
)
from tests.fakes.runs import make_run, plain_task
from tests.fakes.server import Call, FakeOpenAI, Reply
from tests.fakes.terminal import Terminal

CANDIDATE = [answer(q) for q in (2, 1, 0, 1, 2, 0)]
REFERENCE = [answer(q, "Autre.") for q in (1, 1, 1, 1, 1, 1)]
EXPECTED = ["win", "tie", "loss", "tie", "win", "loss"]


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_runs(tmp_path_factory.mktemp("runs"), CANDIDATE, REFERENCE)


@pytest.fixture(scope="module")
def pairing(arms: tuple[Path, Path]) -> Pairing:
    return pair(*arms)


@pytest.fixture
def server(fake_server) -> FakeOpenAI:
    return fake_server(by_quality)


@pytest.fixture
def profile(server: FakeOpenAI, tmp_path: Path) -> str:
    return write_profile(tmp_path, server.url)


def test_verdicts_and_summary(pairing: Pairing, server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    summary, verdicts = judge(pairing, tmp_path / "out", profile, command="lm-eval-fr judge a b")
    assert outcomes(verdicts) == EXPECTED
    assert [v.doc_hash for v in verdicts] == list(pairing.tasks[0].doc_hashes)
    assert verdicts[0].reasons == {"candidate_first": "plus fidèle", "reference_first": "plus fidèle"}
    assert verdicts[0].usage.calls == 2
    assert (verdicts[0].candidate_chars, verdicts[0].reference_chars) == (len(CANDIDATE[0]), len(REFERENCE[0]))
    assert summary.counts["win"] == summary.counts["tie"] == summary.counts["loss"] == 2
    assert summary == read_summary(tmp_path / "out")
    assert (summary.profile, summary.model, summary.rubric) == ("fake", "fake-model", "analyses_fr")
    assert summary.command == "lm-eval-fr judge a b"
    assert server.count == 12
    assert summary.usage.calls == summary.spent.calls == 12
    assert summary.usage.dollars == pytest.approx(
        (summary.usage.input_tokens * 2.0 + summary.usage.output_tokens * 8.0) / 1e6
    )


def test_on_a_terminal_every_stage_has_its_bar(
    pairing: Pairing, server: FakeOpenAI, profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Controls and reruns take as long as pairs: none of them is a wait without a word."""
    with Terminal(80) as terminal:
        monkeypatch.setattr("sys.stderr", terminal.stream)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        judge_runs(pairing, tmp_path / "j", options(profile, controls=40), rerun=pairing, progress=True)
    labels = [part.split(" [")[0] for part in terminal.text.split("\r") if " [" in part]
    assert list(dict.fromkeys(labels)) == ["controls", "judge", "rerun"]


def test_a_second_run_calls_nobody(pairing: Pairing, server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    judge(pairing, tmp_path / "out", profile)
    written = (tmp_path / "out" / "verdicts.jsonl").read_bytes()
    summary, _ = judge(pairing, tmp_path / "out", profile)
    assert server.count == 12
    assert (summary.usage.calls, summary.spent.calls) == (12, 0)
    assert (tmp_path / "out" / "verdicts.jsonl").read_bytes() == written


@pytest.mark.parametrize("orders", ["both", "lazy"])
def test_exchanged_arms_cost_nothing(
    orders: str, arms: tuple[Path, Path], server: FakeOpenAI, profile: str, tmp_path: Path
) -> None:
    _, there = judge(pair(*arms), tmp_path / "out", profile, orders=orders)
    calls = server.count
    summary, back = judge(pair(*reversed(arms)), tmp_path / "out", profile, orders=orders)
    assert server.count == calls
    assert summary.spent.calls == 0
    assert [exchanged(v) for v in back] == there


def test_identical_answers_cost_nothing(server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    pairing = pair(*write_runs(tmp_path, [answer(1), answer(2)], [answer(1), answer(1)]))
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert outcomes(verdicts) == ["identical", "win"]
    assert server.count == 2
    assert verdicts[0].usage.calls == 0
    assert summary.counts["identical"] == 1


def test_the_same_words_in_two_documents_are_asked_once(server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    texts = ["Le même texte, n° 0."] * 5
    pairing = pair(*write_runs(tmp_path, [answer(2)] * 5, [answer(1)] * 5, texts=texts))
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert outcomes(verdicts) == ["win"] * 5
    assert server.count == summary.usage.calls == 2


def test_lazy_skips_what_cannot_matter(pairing: Pairing, server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    _, verdicts = judge(pairing, tmp_path / "out", profile, orders="lazy")
    assert outcomes(verdicts) == EXPECTED
    assert server.count == 12 - 2
    for verdict in verdicts:
        asked = [j for j in (verdict.candidate_first, verdict.reference_first) if j is not None]
        assert len(asked) == (1 if verdict.outcome == "tie" else 2)
    _, both = judge(pairing, tmp_path / "out", profile)
    assert (server.count, outcomes(both)) == (12, EXPECTED)


def test_the_second_order_follows_the_first_and_shares_its_beginning(
    pairing: Pairing, fake_server, tmp_path: Path
) -> None:
    answered: Counter[int] = Counter()
    seen: Counter[int] = Counter()

    def respond(call: Call) -> Reply | str:
        number = document(call)
        assert answered[number] == seen[number], "the second order was sent before the first was back"
        seen[number] += 1
        threading.Timer(0.02, lambda: answered.update([number])).start()
        return Reply(by_quality(call), delay=0.03)

    server = fake_server(respond)
    judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url, cache_key=True, concurrency=3))
    by_document: dict[int, list[Call]] = {}
    for call in server.calls:
        by_document.setdefault(document(call), []).append(call)
    assert len(by_document) == 6
    for first, second in by_document.values():
        assert shared_part(first.messages) == shared_part(second.messages)
        assert first.body["prompt_cache_key"] == second.body["prompt_cache_key"]
    assert len({calls[0].body["prompt_cache_key"] for calls in by_document.values()}) > 1


def test_no_call_says_which_arm_is_which(pairing: Pairing, server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    judge(pairing, tmp_path / "out", profile)
    for call in server.calls:
        sent = json.dumps(call.body, ensure_ascii=False).casefold()
        for word in ("candidate", "candidat", "reference", "référence", "org/", "nvfp4", "samples_", TASK):
            assert word not in sent


@pytest.mark.parametrize("change", ["rubric", "model", "parameter", "answer"])
def test_what_is_sent_anew_is_paid_anew(
    change: str, arms: tuple[Path, Path], server: FakeOpenAI, profile: str, tmp_path: Path
) -> None:
    judge(pair(*arms), tmp_path / "out", profile)
    more = {}
    if change == "rubric":
        rubric = tmp_path / "rubric.yaml"
        rubric.write_text("text: Juge la concision.\n")
        more = {"rubric": str(rubric)}
    elif change == "model":
        more = {"model": "other-model"}
    elif change == "parameter":
        profile = write_profile(tmp_path, server.url, parameters={"temperature": 0.5, "max_tokens": 300})
    else:
        changed = [CANDIDATE[0] + " Et encore.", *CANDIDATE[1:]]
        arms = write_runs(tmp_path / "changed", changed, REFERENCE)
    judge(pair(*arms), tmp_path / "out", profile, **more)
    assert server.count == 12 + (2 if change == "answer" else 12)


def test_a_changed_parser_reads_the_stored_replies_again(
    pairing: Pairing, fake_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies that this version cannot read (a verdict in French) are read by one that can, for free."""
    from lm_eval_fr.judge.asking import envelope
    from lm_eval_fr.judge.asking.prompt import parse_reply

    server = fake_server(lambda call: json.dumps({"reason": "", "choix": json.loads(by_quality(call))["verdict"]}))
    profile = write_profile(tmp_path, server.url)
    _, verdicts = judge(pairing, tmp_path / "out", profile)
    assert outcomes(verdicts) == ["invalid"] * 6
    paid = server.count
    assert paid == 12  # two tries of each first order; the second order would not help
    monkeypatch.setattr(envelope, "parse_reply", lambda text: parse_reply(text.replace("choix", "verdict")))
    summary, verdicts = judge(pairing, tmp_path / "out", profile, reparse=True)
    assert server.count == paid
    assert outcomes(verdicts) == ["unjudged"] * 6  # one order each
    assert [v.bounds for v in verdicts if v.doc_id == 1] == [(0, 0)]
    assert "--reparse makes no calls" in (summary.left or "")
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert (server.count, outcomes(verdicts)) == (paid + 6, EXPECTED)


def test_reparse_needs_no_key_and_no_server(pairing: Pairing, server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    judge(pairing, tmp_path / "out", profile)
    server.stop()
    keyed = write_profile(tmp_path, server.url, key_env="NO_SUCH_KEY_IS_SET")
    assert outcomes(judge(pairing, tmp_path / "out", keyed, reparse=True)[1]) == EXPECTED


def test_a_journal_in_use_is_left_alone(pairing: Pairing, server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Journal.open(out / "journal.sqlite"), pytest.raises(JournalError, match="in use by process"):
        judge(pairing, out, profile)
    assert server.count == 0


def usage(call: Call, output: int = 50) -> dict[str, int]:
    """Tokens as a real server counts them: never more than the bytes that were sent."""
    sent = len(json.dumps(call.messages, ensure_ascii=False)) // 4
    return {"prompt_tokens": sent, "completion_tokens": output, "total_tokens": sent + output}


@pytest.mark.parametrize("concurrency", [1, 32])
def test_the_budget_is_never_exceeded(concurrency: int, fake_server, tmp_path: Path) -> None:
    pairing = pair(*write_runs(tmp_path, [answer(2)] * 40, [answer(1)] * 40))
    dollars: list[float] = []

    def respond(call: Call) -> Reply:
        used = usage(call)
        dollars.append((used["prompt_tokens"] * 2.0 + used["completion_tokens"] * 8.0) / 1e6)
        return Reply(by_quality(call), usage=used)

    server = fake_server(respond, latency=0.01)
    profile = write_profile(tmp_path, server.url, concurrency=concurrency)
    out = tmp_path / "out"
    for limit in (0.05, 0.06):
        summary, verdicts = judge(pairing, out, profile, max_usd=limit)
        assert limit - 0.012 < sum(dollars) <= limit  # and little is left over: one call may cost up to a cent
        assert not summary.finished
        assert summary.remedy == "raise --max-usd"
        left = sum(v.outcome == "unjudged" for v in verdicts)
        assert f"{left} of 40 pairs are not judged: ${sum(dollars):.4f} of ${limit:g} are spent" in (summary.left or "")
        with pytest.raises(Unfinished, match="raise --max-usd"):
            check_finished(summary, out)
    summary, verdicts = judge(pairing, out, profile, max_usd=5.0)
    check_finished(summary, out)
    assert outcomes(verdicts) == ["win"] * 40
    assert server.count == 80
    assert summary.usage.dollars == pytest.approx(sum(dollars))


def test_lost_calls_count_against_the_budget(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    """A connection that breaks may have been billed: it is counted at its greatest cost."""
    server = fake_server(lambda call: Reply(drop=True))
    profile = write_profile(tmp_path, server.url, concurrency=1)
    summary, _ = judge(pairing, tmp_path / "out", profile, max_usd=0.02)
    assert 1 <= server.count <= 4
    assert summary.spent.lost_dollars is not None
    assert 0 < summary.spent.lost_dollars <= 0.02
    assert summary.remedy == "raise --max-usd"


def test_a_budget_needs_prices_and_a_limit(pairing: Pairing, server: FakeOpenAI, tmp_path: Path) -> None:
    for change in ({"prices": {}}, {"parameters": {"temperature": 0}}):
        with pytest.raises(UsageError, match="--max-usd cannot be kept"):
            judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url, **change), max_usd=1.0)
    assert server.count == 0


def test_an_unknown_price_is_unknown_not_zero(pairing: Pairing, server: FakeOpenAI, tmp_path: Path) -> None:
    summary, _ = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url, prices={}))
    assert summary.usage.dollars is None
    assert summary.usage.input_tokens > 0
    assert "the cost is unknown: no price in the profile" in summary.warnings
    priced = write_profile(tmp_path, server.url)  # the price is found out later
    summary, _ = judge(pairing, tmp_path / "out", priced)
    assert summary.usage.dollars == pytest.approx(
        (summary.usage.input_tokens * 2.0 + summary.usage.output_tokens * 8.0) / 1e6
    )


def test_the_ledger_splits_what_was_cached(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    used = {"prompt_tokens": 2000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 1024}}
    server = fake_server(lambda call: Reply(by_quality(call), usage=used))
    summary, _ = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url))
    live = summary.usage.live
    assert (live.calls, live.input_tokens, live.cached_tokens, live.output_tokens) == (12, 24000, 12288, 1200)
    assert live.dollars == pytest.approx((11712 * 2.0 + 12288 * 0.5 + 1200 * 8.0) / 1e6)
    assert summary.usage.batch.calls == 0


def test_repeats_measure_noise_in_the_same_order(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    """A judge that changes its mind on every second asking of one document."""
    asked: Counter[str] = Counter()

    def respond(call: Call) -> str:
        key = call.user
        asked[key] += 1
        return verdict_json("tie") if document(call) == 0 and asked[key] % 2 == 0 else by_quality(call)

    server = fake_server(respond)
    profile = write_profile(tmp_path, server.url, concurrency=1)
    summary, verdicts = judge(pairing, tmp_path / "out", profile, repeats=3, repeat_sample=6)
    assert server.count == 12 * 3
    assert outcomes(verdicts) == EXPECTED  # the first asking counts
    assert verdicts[0].repeats == {"candidate_first": ("A", "tie", "A"), "reference_first": ("B", "tie", "B")}
    assert verdicts[1].repeats["candidate_first"] == ("tie", "tie", "tie")
    assert summary.position is not None and (repeats := summary.position.repeats) is not None
    assert repeats.questions == 12 and (repeats.changed.share or 0) > 0
    judge(pairing, tmp_path / "out", profile, repeats=3, repeat_sample=6)
    assert server.count == 12 * 3


def test_a_judge_that_prefers_a_place_moves_no_headline(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    server = fake_server(verdict_json("A"))
    summary, verdicts = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url))
    assert outcomes(verdicts) == ["flip"] * 6
    assert summary.position is not None and summary.position.position is not None
    assert summary.position.position.first_answer.share == 1.0


def many(tmp_path: Path, candidate: int, n: int = 400, per_article: int = 1) -> Pairing:
    titles = [f"article {i % (n // per_article)}" for i in range(n)]
    return pair(*write_runs(tmp_path, [answer(candidate)] * n, [answer(1, "Autre.")] * n, titles=titles))


@pytest.mark.parametrize(("candidate", "decision"), [(2, "non_inferior"), (0, "inferior")])
@pytest.mark.parametrize("per_article", [1, 5])
def test_anytime_stops_when_the_margin_is_decided(
    candidate: int, decision: str, per_article: int, server: FakeOpenAI, profile: str, tmp_path: Path
) -> None:
    pairing = many(tmp_path / "runs", candidate, per_article=per_article)
    summary, verdicts = judge(pairing, tmp_path / "out", profile, stop="anytime", margin=0.1)
    assert summary.finished
    assert summary.stopped is not None
    assert (summary.stopped.decision, summary.stopped.margin) == (decision, 0.1)
    assert summary.stopped.units_planned == 400 // per_article
    assert summary.stopped.pairs == len(verdicts) == summary.stopped.units * per_article
    assert len(verdicts) < 400
    assert server.count <= 2 * (len(verdicts) + 4)  # what was in flight when it was decided
    if per_article > 1:  # whole articles, one after the other
        assert set(Counter(v.cluster for v in verdicts).values()) == {per_article}
    calls = server.count
    again, same = judge(pairing, tmp_path / "out", profile, stop="anytime", margin=0.1)
    assert (server.count, same, again.stopped) == (calls, verdicts, summary.stopped)


def test_anytime_gives_the_same_verdicts_at_any_concurrency(server: FakeOpenAI, tmp_path: Path) -> None:
    pairing = many(tmp_path / "runs", 2, 120)
    found = []
    for concurrency in (1, 24):
        profile = write_profile(tmp_path, server.url, concurrency=concurrency)
        out = tmp_path / f"out{concurrency}"
        found.append(judge(pairing, out, profile, stop="anytime", margin=0.3)[1])
    assert outcomes(found[0]) == outcomes(found[1])
    assert [v.doc_hash for v in found[0]] == [v.doc_hash for v in found[1]]


def test_anytime_takes_failures_for_the_worst(fake_server, tmp_path: Path) -> None:
    """A judge that always wins or fails: had the failures been dropped, it would stop early and say non-inferior."""
    server = fake_server(lambda call: by_quality(call) if document(call) % 2 else Reply(None, refusal="non"))
    pairing = many(tmp_path / "runs", 2, 100)
    profile = write_profile(tmp_path, server.url)
    summary, verdicts = judge(pairing, tmp_path / "out", profile, stop="anytime", margin=0.1)
    assert summary.stopped is None
    assert Counter(outcomes(verdicts)) == {"win": 50, "refused": 50}


def test_the_judge_on_a_rerun_gives_its_noise_floor(
    arms: tuple[Path, Path], server: FakeOpenAI, profile: str, tmp_path: Path
) -> None:
    _, other = write_runs(tmp_path / "rerun", CANDIDATE, [answer(1, "Bis.")] * 6)
    rerun = pair(arms[1], other)
    summary = judge_runs(pair(*arms), tmp_path / "out", options(profile), rerun=rerun)
    noise = summary.controls.noise
    assert noise is not None and noise.n == 6 and noise.winner is None
    assert outcomes(read_verdicts(tmp_path / "out" / "rerun_verdicts.jsonl")) == ["tie"] * 6
    assert server.count == 24


def test_a_panel_decides_by_majority(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    servers = [fake_server(by_quality), fake_server(by_quality), fake_server(verdict_json("tie"))]
    profiles = tuple(write_profile(tmp_path, s.url, f"judge{i}", model=f"m{i}") for i, s in enumerate(servers))
    out = tmp_path / "out"
    summary = judge_runs(pairing, out, JudgeOptions(profile=profiles, controls=0))
    assert outcomes(read_verdicts(out)) == EXPECTED
    assert summary.profile == "judge0+judge1+judge2"
    assert (summary.usage.calls, summary.finished) == (36, True)
    assert summary.panel.agreement[0].kappa == 1.0
    assert outcomes(read_verdicts(out / "panel" / "judge2")) == ["tie"] * 6
    assert read_summary(out) == summary


def test_human_labels_give_agreement(pairing: Pairing, profile: str, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    rows = [{"task": TASK, "doc_id": i, "label": label} for i, label in enumerate(["win", "tie", "loss", "win"])]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary, _ = judge(pairing, tmp_path / "out", profile, labels=labels)
    assert summary.controls.people is not None and summary.controls.people.raw.share == 0.75


def test_several_judged_tasks_are_judged_together(server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    for name, q in (("candidate", 2), ("reference", 1)):
        tasks = [plain_task(task, 3, answers=[answer(q)] * 3) for task in (TASK, "own_analysis_fr")]
        make_run(tmp_path / name, *tasks, plain_task("piaf_fr", {"f1": [0.5]}, answers=["Paris"]), model=name)
    pairing = pair(tmp_path / "candidate", tmp_path / "reference")
    _, verdicts = judge(pairing, tmp_path / "out", profile)
    assert Counter((v.task, v.outcome) for v in verdicts) == {(TASK, "win"): 3, ("own_analysis_fr", "win"): 3}


def test_runs_without_a_judged_task(server: FakeOpenAI, profile: str, tmp_path: Path) -> None:
    for name in ("candidate", "reference"):
        make_run(tmp_path / name, plain_task("piaf_fr", {"f1": [0.5]}, answers=["Paris"]), model=name)
    with pytest.raises(InputError, match=r"no judged task in both runs \(tasks found: piaf_fr\)"):
        judge(pair(tmp_path / "candidate", tmp_path / "reference"), tmp_path / "out", profile)
    assert not (tmp_path / "out").exists()


def test_the_offline_judge_takes_the_same_road(arms: tuple[Path, Path], tmp_path: Path) -> None:
    summary, verdicts = judge(pair(*arms), tmp_path / "out", "offline", controls=40)
    assert len(verdicts) == 6
    assert summary.usage.dollars == 0.0
    assert (canaries := summary.controls.canaries) is not None and canaries.judged == canaries.n
    _, back = judge(pair(*reversed(arms)), tmp_path / "out", "offline")
    assert [exchanged(v) for v in back] == verdicts


def test_a_model_that_is_gone_is_said(pairing: Pairing, server: FakeOpenAI, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, server.url, shutdown="2020-01-01", successor="gpt-6.1-terra")
    said: list[str] = []
    summary = judge_runs(pairing, tmp_path / "out", options(profile), say=said.append)
    (told,) = [line for line in said if "was shut down on 2020-01-01" in line]
    assert "change to --profile gpt-6.1-terra" in told
    assert not summary.warnings
    assert (summary.shutdown, summary.successor) == ("2020-01-01", "gpt-6.1-terra")


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"repeats": 0},
        {"max_usd": 0.0},
        {"max_usd": float("nan")},
        {"profile": ()},
        {"profile": ("a", "a")},
        {"profile": ("a", "b"), "model": "m"},
        {"stop": "anytime"},
        {"profile": ("a", "b"), "stop": "anytime", "margin": 0.1},
    ],
)
def test_options_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        JudgeOptions(**wrong)  # type: ignore[arg-type]


def test_the_files_are_one_line_a_pair_and_one_object(pairing: Pairing, profile: str, tmp_path: Path) -> None:
    judge(pairing, tmp_path / "out", profile)
    lines = (tmp_path / "out" / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    names = {"task", "doc_id", "doc_hash", "outcome", "candidate_first", "reference_first", "reasons", "usage"}
    assert len(lines) == 6
    assert all(names <= set(json.loads(line)) for line in lines)
    assert "plus fidèle" in lines[0]
    assert msgspec.json.decode((tmp_path / "out" / "judge.json").read_bytes())["finished"] is True
    assert PRICES["input"] == 2.0
    assert quality(CANDIDATE[0]) == 2


def test_labels_that_cannot_be_read_are_said_before_the_first_call(
    pairing: Pairing, server: FakeOpenAI, profile: str, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"task": "analysis_fr", "doc_id": 1, "label": "better"}\n')
    with pytest.raises(InputError, match=r"labels.jsonl:1: not a label"):
        judge(pairing, tmp_path / "out", profile, labels=labels)
    assert server.count == 0


def test_a_level_is_between_0_and_1(profile: str) -> None:
    with pytest.raises(UsageError, match="--level: a level of 95 is not between 0 and 1"):
        options(profile, alpha=(1 - 95) / 2)
