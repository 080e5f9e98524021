from pathlib import Path

import pytest

from lm_eval_fr.errors import PlanError
from lm_eval_fr.plan import arm_hash, load_plan, parse_plan

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


def test_margins_fall_back_from_task_to_kind_to_default() -> None:
    plan = parse_plan(GOOD, where=WHERE)
    assert (plan.margin("piaf_fr"), plan.margin("sib200_fr"), plan.margin("judge")) == (0.05, 0.02, 0.10)
    assert parse_plan(GOOD.replace("piaf_fr: 0.05", "gold: 0.03, judge: 0.2"), where=WHERE).margin("wikiner_fr") == 0.03


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
        (("piaf_fr: 0.05", "piaf_fr: -0.05"), 6, ["> 0"]),
        (("tasks: [piaf_fr, analysis_fr]", "tasks: []"), 2, ["no tasks"]),
        (("tasks: [piaf_fr, analysis_fr]", "tasks: [piaf_fr"), 3, ["not YAML"]),
        (("{profile: offline}", "{profile: offline, orders: some}"), 7, ["some"]),
        (("name: test", "limit: {piaf: 3}\nname: test"), 1, ["'piaf'"]),
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
    with pytest.raises(PlanError, match="cannot read the plan"):
        load_plan(tmp_path / "none.yaml")
    with pytest.raises(PlanError, match="mapping"):
        parse_plan("- 1\n", where=WHERE)


def test_a_judge_may_be_a_panel() -> None:
    one = parse_plan(GOOD, where=WHERE)
    assert one.judge is not None and one.judge.profiles == ("offline",)
    panel = parse_plan(GOOD.replace("profile: offline", "profile: [gpt-4.1, mistral], repeats: 3"), where=WHERE)
    assert panel.judge is not None and panel.judge.profiles == ("gpt-4.1", "mistral") and panel.judge.repeats == 3
    assert panel.hash != one.hash
