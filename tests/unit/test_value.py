"""Successes per dollar: the published example, numbers against ones computed here, prices, tokens, times, bad input."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from lm_eval_fr.analyses.value.prices import HourPrice, PriceFlags, TokenPrice, parse_price
from lm_eval_fr.analyses.value.success import parse_success
from lm_eval_fr.analyses.value.throughput import read_throughput
from lm_eval_fr.analyses.value.value_builder import sensitivity, value_runs
from lm_eval_fr.analyses.value.value_model import ValueReport
from lm_eval_fr.analyses.value.value_section import sentence
from lm_eval_fr.cli import main
from lm_eval_fr.compare import CompareOptions, compare
from lm_eval_fr.errors import InputError, LmEvalFrError, UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.report import html_writer as html
from lm_eval_fr.report.json_writer import part_to_json
from lm_eval_fr.stats import share_interval, success_rate_per_cost, value_ratio
from lm_eval_fr.stats.ratios import bootstrap_sums
from tests.fakes.valued import Scores, arm, right


def valued(runs: Sequence[Path], *prices: str, level: float = 0.95, **flags: Any) -> ValueReport:
    return value_runs([find_run(run) for run in runs], PriceFlags(prices=prices, **flags), level=level)


def test_the_published_example(tmp_path: Path) -> None:
    """300 answers of which 87 % are right, for the price of 100 of which 89 % are: 261 successes against 89."""
    runs = [
        arm(tmp_path / "nvfp4", right(100, 87), model="nvfp4"),
        arm(tmp_path / "bf16", right(100, 89), model="bf16"),
    ]
    (ratio,) = valued(runs, "1/h", "3/h").ratios
    assert ratio.answers_for_100 == pytest.approx(300)
    assert ratio.candidate_successes_for_100 == pytest.approx(261)
    assert ratio.reference_successes_for_100 == pytest.approx(89)
    assert ratio.ratio == pytest.approx(261 / 89)
    assert ratio.cost_ratio == pytest.approx(3)
    assert ratio.break_even == pytest.approx(89 / 87)
    assert ratio.break_even_speedup == pytest.approx(89 / 87 / 3)
    assert ratio.low is not None
    assert ratio.high is not None
    assert 2.4 < ratio.low < 261 / 89 < ratio.high < 3.6
    said = sentence(ratio, 0.95)
    assert (
        "For the price of 100 answers of bf16, 89.0 of them successes, nvfp4 gives 300 answers with 261 success" in said
    )
    assert "2.93 times as many" in said
    assert "the candidate buys more" in said


def test_a_failure_that_costs_money_turns_it_round(tmp_path: Path) -> None:
    runs = [arm(tmp_path / "c", right(100, 87), model="c"), arm(tmp_path / "r", right(100, 89), model="r")]
    value = valued(runs, "1/10", "3/30")
    (ratio,) = value.ratios
    assert ratio.failure_cost is not None
    costs = [one.tasks[0].dollars_per_answer for one in value.arms]
    rates = (0.87, 0.89)
    whole = [(cost + ratio.failure_cost * (1 - p)) / p for cost, p in zip(costs, rates, strict=True)]
    assert whole[0] == pytest.approx(whole[1])


def test_tokens_times_price(tmp_path: Path) -> None:
    usage = [(1000 + i, 50 + i, 400) for i in range(40)]
    run = arm(tmp_path / "a", right(40, 30), usage=usage)
    (only,) = valued([run], "0.15/0.60/0.015").arms
    (row,) = only.tasks
    dollars = sum((i - c) * 0.15 + c * 0.015 + o * 0.60 for i, o, c in usage) / 1e6
    assert row.dollars == pytest.approx(dollars)
    assert row.successes == 30
    assert row.successes_per_dollar == pytest.approx(30 / dollars)
    assert row.dollars_per_success == pytest.approx(dollars / 30)
    assert row.per_success_low == pytest.approx(1 / row.per_dollar_high)  # type: ignore[operator]
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == tuple(map(sum, zip(*usage, strict=True)))
    assert only.tokens == "usage"
    value = valued([run], "0.15/0.60")
    assert value.arms[0].tasks[0].dollars > dollars
    assert any("cached tokens are billed as input" in caution for caution in value.cautions)
    assert value.ratios == ()
    assert value.sensitivity is None


def test_several_responses_cost_several_times(tmp_path: Path) -> None:
    run = arm(tmp_path / "a", right(10, 8))
    responses = next(run.glob("responses_*"))
    once = valued([run], "1/1").arms[0].tasks[0].dollars
    responses.write_text(responses.read_text(encoding="utf-8") * 8, encoding="utf-8")
    assert valued([run], "1/1").arms[0].tasks[0].dollars == pytest.approx(8 * once)


def test_the_hour_is_shared_out_by_tokens(tmp_path: Path) -> None:
    usage = [(100, 0, 0)] * 10 + [(300, 0, 0)] * 10
    run = arm(tmp_path / "a", right(20, 20), usage=usage, seconds=3600)
    value = valued([run], "$2.50/h")
    (row,) = value.arms[0].tasks
    assert row.dollars == pytest.approx(2.5)
    assert row.seconds == pytest.approx(3600)
    assert any("start-up" in caution for caution in value.cautions)
    both = arm(tmp_path / "b", {"piaf_fr": right(20, 20), "autre_fr": right(60, 30)}, seconds=3600)
    part = valued([both], "2.5/h", successes=("piaf_fr:f1>=0.5",)).arms[0].tasks
    assert [(row.task, round(row.dollars, 9)) for row in part] == [("piaf_fr", 0.625)]


def test_a_time_that_is_not_the_time_of_the_answers(tmp_path: Path) -> None:
    run = arm(tmp_path / "a", right(20, 20))
    stamp = next(run.glob("results_*")).stem.removeprefix("results_")
    (run / f"arm_{stamp}.json").write_text(json.dumps({"answers_kept": 7}), encoding="utf-8")
    with pytest.raises(InputError, match=r"7 of its answers came from its cache.*--throughput FILE"):
        valued([run], "2.5/h")
    assert valued([run], "1/2").arms[0].tasks[0].dollars > 0  # by the token it does not matter
    (run / f"arm_{stamp}.json").write_text(json.dumps({"answers_kept": 0}), encoding="utf-8")
    assert valued([run], "2.5/h").arms[0].tasks[0].seconds == pytest.approx(12.5)


VLLM_SERVE = {"total_token_throughput": 1100.0, "total_input_tokens": 1000, "total_output_tokens": 100, "duration": 1.0}
VLLM_OFFLINE = {"elapsed_time": 2.0, "num_requests": 2, "total_num_tokens": 2200, "tokens_per_second": 1100.0}


def guidellm(*rates: float) -> dict[str, Any]:
    def by_status(mean: float) -> dict[str, Any]:
        return {"successful": {"mean": mean}, "errored": {"mean": 9e9}}

    return {
        "benchmarks": [
            {
                "metrics": {
                    "tokens_per_second": by_status(rate),
                    "prompt_token_count": by_status(1000.0),
                    "output_token_count": by_status(100.0),
                }
            }
            for rate in rates
        ]
    }


@pytest.mark.parametrize("content", [VLLM_SERVE, VLLM_OFFLINE, guidellm(500.0, 1100.0, 900.0)])
def test_a_measured_throughput(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "throughput.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    run = arm(tmp_path / "a", right(36, 36))
    value = valued([run], "100/h", throughputs=(path,))
    (row,) = value.arms[0].tasks
    assert row.seconds == pytest.approx(36)
    assert row.dollars == pytest.approx(1.0)
    assert "throughput.json" in value.arms[0].cost_note
    assert not any("throughput was measured on other work" in caution for caution in value.cautions)


def test_a_throughput_of_other_work_is_said(tmp_path: Path) -> None:
    path = tmp_path / "throughput.json"
    path.write_text(json.dumps({**VLLM_SERVE, "total_output_tokens": 2000}), encoding="utf-8")
    value = valued([arm(tmp_path / "a", right(10, 9))], "100/h", throughputs=(path,))
    assert any("measured on other work: 2 output tokens an input token against 0.1" in c for c in value.cautions)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a throughput measurement"),
        ('{"a": 1}', "not a throughput measurement"),
        ('{"benchmarks": [{}]}', "none of its benchmarks reports tokens per second"),
        ('{"total_token_throughput": 0}', "total_token_throughput is 0"),
        ('{"tokens_per_second": "fast"}', "tokens_per_second is 'fast'"),
    ],
)
def test_files_that_measure_nothing(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "throughput.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)):
        read_throughput(path)


def test_the_ratio_is_paired_and_agrees_with_the_bootstrap() -> None:
    generator = np.random.default_rng(5)
    shared = generator.random(600)
    mine, other = (shared < 0.85).astype(float), (shared < 0.88).astype(float)
    costs = generator.gamma(4, 1 / 12, 600), generator.gamma(4, 1 / 4, 600)
    found = value_ratio((mine, costs[0]), (other, costs[1]))
    assert found.estimate == pytest.approx(mine.sum() / costs[0].sum() / (other.sum() / costs[1].sum()))
    draws = [bootstrap_sums(a, b, 4000, seed=1) for a, b in ((mine, costs[0]), (other, costs[1]))]  # same weights
    ratios = (draws[0][0] / draws[0][1]) / (draws[1][0] / draws[1][1])
    assert found.low == pytest.approx(np.quantile(ratios, 0.025), rel=0.01)
    assert found.high == pytest.approx(np.quantile(ratios, 0.975), rel=0.01)
    apart = value_ratio((generator.permutation(mine), costs[0]), (other, costs[1]))
    assert apart.high - apart.low > found.high - found.low  # type: ignore[operator]
    alone = success_rate_per_cost(mine, costs[0])
    per_dollar = draws[0][0] / draws[0][1]
    assert (alone.low, alone.high) == pytest.approx(tuple(np.quantile(per_dollar, (0.025, 0.975))), rel=0.01)


def test_articles_widen_the_interval() -> None:
    generator = np.random.default_rng(5)
    article = np.repeat(np.arange(60), 5)
    mine = (generator.random(60)[article] < 0.8).astype(float)
    other = (generator.random(60)[article] < 0.8).astype(float)
    ones = np.ones(300)
    single, whole = (value_ratio((mine, ones), (other, ones), clusters=c) for c in (None, article))
    assert whole.clusters == 60
    assert whole.high - whole.low > 1.7 * (single.high - single.low)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("mine", "other", "estimate", "reason"),
    [
        ([0.0] * 9, [1.0] * 9, 0.0, None),
        ([1.0] * 9, [0.0] * 9, None, "the reference has no success"),
        ([1.0], [1.0], 1.0, "one document"),
        ([], [], None, "no documents"),
    ],
)
def test_undefined_ratios_say_why(mine: Scores, other: Scores, estimate: float | None, reason: str | None) -> None:
    found = value_ratio((mine, np.ones(len(mine))), (other, np.ones(len(other))))
    assert found.estimate == estimate
    assert (found.reason or "").startswith(reason or "")
    if reason is None:
        assert found.low == 0.0
        assert found.high is not None
        assert found.high > 0


def test_identical_arms_are_not_certain() -> None:
    found = value_ratio((np.ones(100), np.ones(100)), (np.ones(100), np.ones(100)))
    assert found.estimate == 1.0
    assert found.low is not None
    assert 0.95 < found.low < 0.99


def test_prices_as_written() -> None:
    assert parse_price("0.15/0.60") == TokenPrice(0.15, 0.60)
    assert parse_price("$0.15/$0.60/0") == TokenPrice(0.15, 0.60, 0.0)
    assert parse_price("2.5/h") == parse_price("$2.5 / hour") == HourPrice(2.5)
    assert str(parse_price("2.5/h")) == "$2.5 per hour"


@pytest.mark.parametrize(
    "text_", ["", "2.5", "a/b", "1/2/3/4", "0/0", "0.15/0", "-1/h", "0/h", "inf/h", "nan/1", "1/2/-3"]
)
def test_what_is_no_price(text_: str) -> None:
    with pytest.raises(UsageError, match=r"--price .*: .*\(.+\)") as caught:
        parse_price(text_)
    assert "\n" not in str(caught.value)


def test_what_is_a_success(tmp_path: Path) -> None:
    rule = parse_success("piaf_fr:f1>=0.8")
    assert (rule.task, str(rule)) == ("piaf_fr", "f1 >= 0.8")
    assert rule.of(np.array([0.7, 0.8, 0.9])).tolist() == [0.0, 1.0, 1.0]
    assert parse_success("a:b < 3").of(np.array([2.0, 3.0])).tolist() == [1.0, 0.0]
    run = arm(tmp_path / "a", [0.9, 0.8, 0.7, 0.6])
    assert valued([run], "1/1", successes=("piaf_fr:f1>=0.8",)).arms[0].tasks[0].successes == 2
    usual = valued([run], "1/1")
    assert usual.arms[0].tasks[0].successes == 4
    assert any("a primary metric of 0.5 or more" in caution for caution in usual.cautions)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (("f1",), "not TASK:METRIC>=NUMBER"),
        (("piaf_fr:f1>=x",), "'x' is not a number"),
        (("piaf:f1>=0.5",), "no such scored task (the scored tasks are piaf_fr)"),
        (("piaf_fr:f2>=0.5",), "has no metric 'f2' (it has f1)"),
        (("piaf_fr:f1>=0.5", "piaf_fr:f1>=0.6"), "has two rules"),
    ],
)
def test_what_is_no_success(tmp_path: Path, rules: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        valued([arm(tmp_path / "a", [1.0, 0.0])], "1/1", successes=rules)


def test_without_usage_tokens_are_estimated_alike_or_not_at_all(tmp_path: Path) -> None:
    runs = [arm(tmp_path / name, right(20, 15), usage=None, model=name) for name in ("c", "r")]
    value = valued(runs, "1/2")
    assert [one.tokens for one in value.arms] == ["estimate", "estimate"]
    assert sum("tokens estimated at 3.6 characters" in caution for caution in value.cautions) == 2
    assert value.ratios[0].cost_ratio == pytest.approx(1.0)
    counted = arm(tmp_path / "counted", right(20, 15), model="r")
    with pytest.raises(InputError, match=r"c records no usage .*--tokenizer NAME counts them, --estimate"):
        valued([runs[0], counted], "1/2")
    assert valued([runs[0], counted], "1/2", estimate=True).ratios[0].ratio is not None
    by_the_hour = valued([runs[0], counted], "2.50/h", "1/2")  # tokens only divide the run's own time
    assert by_the_hour.arms[0].tasks[0].dollars == pytest.approx(2.5 * 12.5 / 3600)
    bench = tmp_path / "bench.json"
    bench.write_text('{"tokens_per_second": 1000.0}', encoding="utf-8")
    with pytest.raises(InputError, match="c records no usage"):
        valued([runs[0], counted], "2.50/h", "1/2", throughputs=(bench,))
    with pytest.raises(UsageError, match="--tokenizer nobody/nothing"):
        valued([runs[0], counted], "1/2", tokenizers=("nobody/nothing",))


def test_a_tokenizer_on_this_machine_counts(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    (tmp_path / "tokenizer").mkdir()
    words.save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    value = valued([arm(tmp_path / "a", [1.0, 0.0], usage=None)], "1/2", tokenizers=(str(tmp_path / "tokenizer"),))
    assert value.arms[0].tokens == "tokenizer"
    assert value.arms[0].tasks[0].output_tokens == 4  # "réponse 0", "réponse 1"


def test_a_run_that_lost_a_record(tmp_path: Path) -> None:
    run = arm(tmp_path / "a", right(10, 8))
    responses = next(run.glob("responses_*"))
    lines = responses.read_text(encoding="utf-8").splitlines(keepends=True)
    responses.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(InputError, match=r"samples_piaf_fr_.*:10: no usage is recorded for document 9"):
        valued([run], "1/2")


def test_all_tasks_together(tmp_path: Path) -> None:
    scores = {"a_fr": right(40, 30), "b_fr": right(60, 60)}
    runs = [arm(tmp_path / name, scores, model=name) for name in ("c", "r")]
    value = valued(runs, "1/2", "2/4")
    assert [row.task for row in value.arms[0].tasks] == ["a_fr", "b_fr", "all"]
    whole = value.arms[0].tasks[2]
    assert (whole.n, whole.successes) == (100, 90)
    assert [ratio.task for ratio in value.ratios] == ["a_fr", "b_fr", "all"]
    assert value.ratios[2].ratio == pytest.approx(2.0)


def test_sensitivity() -> None:
    found = sensitivity(0.89)
    assert found is not None
    at = found.cost_ratios.index(3.0), found.gaps.index(0.02)
    assert found.ratios[at[1]][at[0]] == pytest.approx(261 / 89)
    assert sensitivity(0.0) is None
    low = sensitivity(0.04)
    assert low is not None
    assert low.ratios[-1] == (None,) * len(low.cost_ratios)


def test_every_format(tmp_path: Path) -> None:
    runs = [arm(tmp_path / "c", right(100, 87), model="c"), arm(tmp_path / "r", right(100, 89), model="r")]
    pairing = pair_runs(*map(find_run, runs))
    report = compare(pairing, CompareOptions(prices=PriceFlags(prices=("1/2", "3/6"))))
    shown = [report.to_text(), report.to_markdown(), html.render(report)]
    for content in shown:
        assert "what a dollar buys" in content.lower()
        assert "261" in content
        assert "None" not in content
        assert not re.search(r"\bnan\b", content.lower())
    assert max(map(len, shown[0].splitlines())) <= 100
    assert 'id="value"' in shown[2]
    assert shown[2].count("<polyline") >= 5
    assert "style=" not in shown[2].split("<body>")[1]  # the page's policy would drop it
    (extra,) = report.extras
    part = json.loads(part_to_json("value", extra.data))
    assert part["value"]["ratios"][0]["cost_ratio"] == pytest.approx(3)
    assert json.loads(report.to_json())["value"] == part["value"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--price is missing"),
        (["--price", "0/0"], "a price of 0 would make every ratio infinite"),
        (["--price", "1/1", "--price", "1/1", "--price", "1/1"], "--price: 3 for 2 arms"),
        (["--price", "1/1", "--success", "nothing"], "--success nothing"),
        (["--price", "1/1", "--json", "-", "--markdown", "-"], "both want stdout"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, flags: list[str], message: str) -> None:
    runs = [str(arm(tmp_path / name, right(10, 9))) for name in ("c", "r")]
    done = CliRunner().invoke(main, ["value", *runs, *flags])
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_command(tmp_path: Path) -> None:
    runs = [str(arm(tmp_path / "c", right(100, 87), model="c")), str(arm(tmp_path / "r", right(100, 89), model="r"))]
    page = tmp_path / "value.html"
    done = CliRunner().invoke(main, ["value", *runs, "--price", "1/h", "--price", "3/h", "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert "2.93 times as many" in done.stdout
    assert "<polyline" in page.read_text(encoding="utf-8")
    done = CliRunner().invoke(main, ["value", *runs, "--price", "1/h", "--json", "-"])
    assert json.loads(done.stdout)["value"]["arms"][1]["name"] == "r"
    report = tmp_path / "report.html"
    done = CliRunner().invoke(
        main, ["compare", *runs, "--price", "1/h", "--price", "3/h", "--html", str(report), "--json", "-"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["value"]["ratios"][0]["ratio"] == pytest.approx(261 / 89)
    assert 'id="value"' in report.read_text(encoding="utf-8")


def test_nothing_was_used(tmp_path: Path) -> None:
    run = arm(tmp_path / "a", right(10, 9), usage=(0, 0, 0))
    with pytest.raises(LmEvalFrError, match="used no tokens on these documents"):
        valued([run], "1/1")


def test_a_share_without_variance_is_not_certain() -> None:
    found = share_interval(np.ones(93))
    assert found.low == pytest.approx(0.025 ** (1 / 93))
    assert found.high == 1.0
    few = share_interval(np.zeros(90), clusters=np.arange(90) // 9)
    assert few.high is not None
    assert (
        1 - 0.025 ** (1 / 90) < few.high < 1 - 0.025**0.1
    )  # nine on an article are fewer than nine, and more than one
    same = share_interval(np.full(5, 0.5))  # every score is one half, and the next one may be anything
    assert same.low is not None
    assert same.high is not None
    assert 0 < same.low < 0.5 < same.high < 1
    assert 0.9 < (share_interval([1.0, 1.0, 1.0, 0.9]).high or 0.0) <= 1.0
