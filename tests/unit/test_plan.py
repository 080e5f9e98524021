from pathlib import Path

import pytest

from lm_eval_fr.errors import PlanError
from lm_eval_fr.plan import load_plan, parse_plan, parse_share
from lm_eval_fr.plan.study_plan import arm_hash, changes

ROOT = Path(__file__).resolve().parents[2]
WHERE = Path("plan.yaml")
GOOD = """\
name: test
tasks: [piaf_fr, analysis_fr]
candidate: {model: fr-baseline, model_args: {damage: 0.3}}
reference:
  model: fr-baseline
margins: {piaf_fr: 0.05}
judge: {profile: offline}
"""


def test_margins_fall_back_from_task_to_kind_and_are_never_invented() -> None:
    plan = parse_plan(GOOD, where=WHERE)
    assert (plan.margin("piaf_fr"), plan.margin("sib200_fr"), plan.margin("judge")) == (0.05, None, None)
    both = parse_plan(GOOD.replace("piaf_fr: 0.05", "gold: 3%, judge: '20 %'"), where=WHERE)
    assert (both.margin("wikiner_fr"), both.margin("judge")) == (0.03, 0.2)


@pytest.mark.parametrize(
    ("written", "share"), [(0.02, 0.02), ("2%", 0.02), (" 2.5 % ", 0.025), ("1e-2", 0.01), (2, 2.0)]
)
def test_a_share_is_a_number_or_a_percentage(written: object, share: float) -> None:
    assert parse_share(written) == pytest.approx(share)


@pytest.mark.parametrize("written", ["two", "", "%", "nan", "inf%", True, None, [0.02]])
def test_what_is_not_a_share(written: object) -> None:
    with pytest.raises(ValueError, match=r"0\.02 or 2%"):
        parse_share(written)


@pytest.mark.parametrize(
    ("text", "plan_hash", "work_hash"),
    [
        (GOOD, "0d85c7999bec8993a042748a7ba7e11e98b6c437dfa1cf113d35d17ea7765c33", "9383e9e35ccd94ea"),
        (
            (ROOT / "plans" / "mistral_small_4.yaml").read_text(encoding="utf-8"),
            "880fb973a061a119cfc82f15f4ee7409f75e7f9a98d957dd99fe3a9f18c614e5",
            "f56295cdbd4771c3",
        ),
        (
            (ROOT / "lm_eval_fr" / "demo" / "plan.yaml").read_text(encoding="utf-8"),
            "b1cc40fbe49c938dc6bca91669b1041052d2cd8a9b884f1cfe23d7283ef58832",
            "7bbab4096dd0001e",
        ),
    ],
    ids=["test", "mistral_small_4", "demo"],
)
def test_plans_of_the_first_version_keep_their_hashes(text: str, plan_hash: str, work_hash: str) -> None:
    """Studies on people's disks name these."""
    plan = parse_plan(text, where=WHERE)
    assert plan.hash == plan_hash
    assert arm_hash(plan, plan.candidate).startswith(work_hash)


@pytest.mark.parametrize(
    "more",
    [
        "guarantee: worst-case",
        "repeats: 4",
        "parallel: {piaf_fr: piaf_fr}",
        "strata: {piaf_fr: [length]}",
        "judge: {profile: offline, controls: 0}",
        "judge: {profile: offline, trust_judge: true}",
    ],
)
def test_a_new_key_is_in_the_hash_when_it_says_something(more: str) -> None:
    plain = GOOD.replace("judge: {profile: offline}\n", "") if more.startswith("judge") else GOOD
    assert parse_plan(f"{plain}{more}\n", where=WHERE).hash != parse_plan(GOOD, where=WHERE).hash


def test_prices_are_no_part_of_the_work_or_the_hash() -> None:
    plan = parse_plan(GOOD, where=WHERE)
    priced = parse_plan(GOOD.replace("damage: 0.3}", "damage: 0.3}, prices: {hour: 2.5}"), where=WHERE)
    assert priced.hash == plan.hash and arm_hash(priced, priced.candidate) == arm_hash(plan, plan.candidate)


def test_what_changed_between_two_plans_is_told_key_by_key() -> None:
    before = parse_plan(GOOD, where=WHERE)
    text = GOOD.replace("0.05", "0.08").replace("damage: 0.3", "damage: 0.4").replace("name: test", "name: other")
    found = changes(before.content, parse_plan(text + "limit: 300\n", where=WHERE).content)
    assert [str(change) for change in found] == [
        "candidate.model_args.damage: 0.3 -> 0.4",
        "margins.piaf_fr: 0.05 -> 0.08",
        "limit: not set -> 300",
    ]
    assert [change.key for change in found if change.decides] == ["margins.piaf_fr"]


def test_hash_ignores_layout_and_sees_content() -> None:
    plan = parse_plan(GOOD, where=WHERE)
    same = "# a comment\nlevel: 0.95\n" + GOOD.replace("{profile: offline}", "\n  profile: offline")
    assert parse_plan(same, where=WHERE).hash == plan.hash
    assert parse_plan(GOOD.replace("0.05", "0.06"), where=WHERE).hash != plan.hash
    assert parse_plan(GOOD.replace("offline}", "offline, max_usd: 3}"), where=WHERE).hash == plan.hash
    assert parse_plan(GOOD.replace("offline}", "offline, orders: lazy}"), where=WHERE).hash != plan.hash


def test_arm_hash_depends_on_the_work_and_the_arm_only() -> None:
    plan = parse_plan(GOOD, where=WHERE)
    other_margin = parse_plan(GOOD.replace("0.05", "0.06"), where=WHERE)
    assert arm_hash(plan, plan.candidate) == arm_hash(other_margin, other_margin.candidate)
    assert arm_hash(plan, plan.candidate) != arm_hash(plan, plan.reference)
    limited = parse_plan(GOOD + "limit: 5\n", where=WHERE)
    assert arm_hash(limited, limited.candidate) != arm_hash(plan, plan.candidate)


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("margins:", "margin:"), 6, ["'margin'", "did you mean 'margins'"]),
        (("  model: fr-baseline", "  modle: fr-baseline"), 5, ["'modle'", "did you mean 'model'"]),
        (("name: test\n", ""), 1, ["'name' is missing"]),
        (("piaf_fr: 0.05", "piaf_fr: -0.05"), 6, ["-0.05", "above 0"]),
        (("tasks: [piaf_fr, analysis_fr]", "tasks: []"), 2, ["no tasks"]),
        (("tasks: [piaf_fr, analysis_fr]", "tasks: piaf_fr"), 2, ["tasks must be a list, not text (tasks: [piaf_fr])"]),
        (
            ("{piaf_fr: 0.05}", "2%"),
            6,
            ["margins must be a mapping of names to values, not text (margins: {gold: 2%})"],
        ),
        (("name: test", "repeats: two\nname: test"), 1, ["repeats must be a whole number, not text"]),
        (("name: test", "limit: -3\nname: test"), 1, ["limit must be a whole number of at least 1"]),
        (("tasks: [piaf_fr, analysis_fr]", "tasks: [piaf_fr"), 3, ["not YAML"]),
        (("{profile: offline}", "{profile: offline, orders: some}"), 7, ["some"]),
        (("name: test", "limit: {piaf: 3}\nname: test"), 1, ["'piaf'"]),
        (("piaf_fr: 0.05", "piaf_fr: five"), 6, ["'five' is not a number", "0.02 or 2%"]),
        (("piaf_fr: 0.05", "piaf_fr: .nan"), 6, ["nan"]),
        (("piaf_fr: 0.05", "gold: 5"), 6, ["the whole scale", "0.05 or 5%"]),
        (("piaf_fr: 0.05", "judge: 100%"), 6, ["the whole scale"]),
        (("name: test", "name: ../../elsewhere"), 1, ["not a valid folder name"]),
        (("name: test", "name: .hidden"), 1, ["not a valid folder name"]),
        (("name: test", 'name: "a\\e[2J"'), 1, ["not a valid folder name"]),
        (("name: test", "guarantee: worst\nname: test"), 1, ["worst"]),
        (("name: test", "strata: {piaf: [length]}\nname: test"), 1, ["'piaf'", "did you mean 'piaf_fr'"]),
        (("name: test", "parallel: {piaf: piaf_fr}\nname: test"), 1, ["'piaf'", "did you mean 'piaf_fr'"]),
        (
            ("  model: fr-baseline", "  model: fr-baseline\n  prices: {hour: 1, output: 2, input: 1}"),
            6,
            ["reference: prices"],
        ),
        (
            ("  model: fr-baseline", "  model: fr-baseline\n  prices: {ouput: 2}"),
            6,
            ["'ouput'", "did you mean 'output'"],
        ),
    ],
)
def test_every_mistake_is_one_line_with_its_place(change: tuple[str, str], line: int, words: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(GOOD.replace(*change), where=WHERE)
    message = str(caught.value)
    assert message.startswith(f"plan.yaml:{line}: "), message
    assert "\n" not in message and all(word in message for word in words), message
    assert caught.value.exit_code == 2


def test_a_missing_plan_and_a_list_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        load_plan(tmp_path / "none.yaml")
    with pytest.raises(PlanError, match="mapping"):
        parse_plan("- 1\n", where=WHERE)


def test_a_judge_may_be_a_panel() -> None:
    one = parse_plan(GOOD, where=WHERE)
    assert one.judge is not None and one.judge.profiles == ("offline",)
    panel = parse_plan(GOOD.replace("profile: offline", "profile: [gpt-4.1, mistral], repeats: 3"), where=WHERE)
    assert panel.judge is not None and panel.judge.profiles == ("gpt-4.1", "mistral") and panel.judge.repeats == 3
    assert panel.hash != one.hash


def test_a_twin_that_is_not_in_the_plan_is_to_be_added() -> None:
    text = GOOD.replace("[piaf_fr, analysis_fr]", "[fr_all]") + "parallel: {mgsm_cot_fr: mgsm_cot_en}\n"
    with pytest.raises(PlanError, match=r"'mgsm_cot_en', which is not a .*add mgsm_cot_en to tasks, or leave it out"):
        parse_plan(text, where=WHERE)


def test_reruns_without_end_are_refused() -> None:
    text = GOOD.replace("model: fr-baseline\nmargins", f"model: fr-baseline\n  rerun: {10**12}\nmargins")
    with pytest.raises(PlanError, match=r"plan.yaml:6: reference: more than 100 reruns"):
        parse_plan(text, where=WHERE)
