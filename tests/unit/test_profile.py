"""Profiles and rubrics: what ships can be used, what is wrong is said in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError, JudgeError, UsageError
from lm_eval_fr.judge.asking.controls import gross_items
from lm_eval_fr.judge.asking.profile import (
    load_profile,
    load_rubric,
    override,
    profile_names,
    shutdown_warning,
)
from lm_eval_fr.judge.asking.prompt import render
from lm_eval_fr.judge.asking.protocol import Prices, Profile
from lm_eval_fr.judge.asking.worklist import Questioner
from lm_eval_fr.judge.live.client import account_headers, server_of
from lm_eval_fr.judge.verdicts.ledger import cost_at_most
from lm_eval_fr.tasklib.definitions import judge_dir
from tests.hostile import FENCES


def test_what_ships_is_complete_and_can_be_read() -> None:
    assert set(profile_names()) == {"gpt-4.1", "gpt-6.1-terra", "mistral", "local", "offline"}
    rubrics = {path.stem for path in (judge_dir() / "rubrics").glob("*.yaml")}
    assert rubrics == {"analyses_fr", "custom_template", "general_fr"}
    for name in profile_names():
        assert load_profile(name).name == name
    for name in rubrics:
        rubric = load_rubric(name)
        assert rubric.name == name and len(rubric.sha256) == 64 and len(rubric.criteria) >= 3


def test_every_price_that_ships_says_where_it_is_from() -> None:
    for name in profile_names():
        prices = load_profile(name).prices
        text = (judge_dir() / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
        if prices.input:
            assert "Prices, dollars per million tokens: " in text and "2026" in text, name
    assert load_profile("local").prices == Prices()


def test_gpt_4_1_is_the_one_of_the_published_facts() -> None:
    profile = load_profile("gpt-4.1")
    assert profile.model == "gpt-4.1-2025-04-14" and profile.key_env == "OPENAI_API_KEY"
    assert profile.prices == Prices(input=2.0, cached=0.5, output=8.0, batch=0.5)
    assert profile.cache_key and profile.parameters["temperature"] == 0 and profile.shutdown == date(2027, 1, 14)


def test_mistral_is_sent_no_seed_that_it_refuses() -> None:
    profile = load_profile("mistral")
    assert profile.dialect == "mistral" and "seed" not in profile.parameters and "random_seed" in profile.parameters


@pytest.mark.parametrize(
    ("today", "said"),
    [
        (date(2026, 11, 14), None),
        (date(2026, 11, 15), "in 60 days"),
        (date(2027, 1, 14), "in 0 days"),
        (date(2027, 1, 24), "10 days ago"),
    ],
)
def test_a_shutdown_is_announced_sixty_days_before_and_ever_after(today: date, said: str | None) -> None:
    warning = shutdown_warning(load_profile("gpt-4.1"), today)
    assert warning is None if said is None else said in (warning or "")
    assert shutdown_warning(load_profile("offline"), today) is None


def test_another_model_has_unknown_prices_and_another_address_keeps_them() -> None:
    profile = load_profile("gpt-4.1")
    other = override(profile, model="gpt-9")
    assert other.model == "gpt-9" and other.prices == Prices() and other.shutdown is None
    assert override(profile, model=profile.model) == profile
    moved = override(profile, base_url="http://127.0.0.1:1/v1")
    assert moved == replace(profile, base_url="http://127.0.0.1:1/v1")


def test_a_file_of_ones_own_needs_only_a_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: m\n")
    assert load_profile(path) == Profile("mine", "m") == load_profile(str(path))


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("model: m\nmodle: x\n", "unknown field `modle`", 2),
        ("model: m\nprices:\n  inputt: 1\n", "unknown field `inputt` (known keys: input, cached", 3),
        ("model: m\nconcurrency: many\n", "`concurrency`: expected `int`, got `str`", 2),
        ("concurrency: 2\n", "missing required field `model`", None),
        ("model: m\nprices:\n  input: -1\n", "`prices.input` is negative", None),
        ("model: m\nparameters:\n  n: 2\n", "`parameters.n` is set by the judge", None),
        ("model: m\ndialect: mistral\nparameters:\n  seed: 1\n", "`random_seed`", None),
        ("model: m\nkey_env: sk-abc-123\n", "`key_env` is not the name of an environment variable", None),
        ("model: m\nshutdown: soon\n", "`shutdown`: not a date such as 2027-01-14", 2),
        ("model: m\ndialect: telnet\n", "Invalid enum value 'telnet'", 2),
        ("model: [\n", "not YAML", 2),
        ("- a\n", "Expected `object`", None),
        ("", "Expected `object`", None),
    ],
)
def test_what_is_wrong_in_a_profile_is_said_in_one_line(tmp_path: Path, text: str, said: str, line: int | None) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_profile(path)
    assert said.casefold() in str(caught.value).casefold() and "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert "sk-abc" not in str(caught.value)


def test_unknown_names_and_files_are_said_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown name gpt5 \(known: gpt-4.1, gpt-6.1-terra, local"):
        load_profile("gpt5")
    with pytest.raises(InputError, match="no such file"):
        load_profile(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"--rubric.*known: analyses_fr"):
        load_rubric("none")


def test_a_rubrics_digest_covers_all_that_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    digests = set()
    for text in ("text: a", "text: b", "text: a\nlanguage: en", "text: a\ncriteria: [x]"):
        path.write_text(text + "\n")
        rubric = load_rubric(path)
        digests.add(rubric.sha256)
        system = render(rubric, None, "t", "x", "y", "candidate_first", FENCES)[0]["content"]
        assert rubric.text in system and all(f"1. {c}" in system for c in rubric.criteria[:1])
    assert len(digests) == 4
    path.write_text("text: '  '\n")
    with pytest.raises(InputError, match="`text` is empty"):
        load_rubric(path)


PROFILE = {
    "model": "m",
    "base_url": "http://127.0.0.1:9/v1",
    "key_env": "null",
    "dialect": "openai",
    "parameters": "{max_tokens: 100}",
    "response_format": "json_schema",
    "prices": "{input: 1, cached: 0.5, output: 2, batch: 0.5}",
    "shutdown": "2027-01-01",
    "successor": "x",
    "cache_key": "true",
    "cache_breakpoint": "false",
    "context": "8000",
    "concurrency": "2",
    "timeout": "10",
}
RUBRIC = {"text": "Juge.", "language": "fr", "criteria": "[a, b]"}
NESTED = ("prices.input", "prices.cached", "prices.batch", "prices.cache_write")
NESTED += ("parameters.max_tokens", "parameters.temperature", "parameters.logit_bias")
VALUES = r"""
abc | '' | 12 | -3 | 0 | 1.5 | .nan | -.inf | 1e400 | true | null | 2026-01-01 | 2026-13-45 | [1, 2] | {a: 1} | é
2026-01-01 10:00:00 | [[[[1]]]] | {a: {b: {c: 1}}} | "\ud800" | "a\nb" | !!binary aGVsbG8= | !!set {a, b} | &a [*a]
!!python/object:os.system x | {1: 2} | {null: 2} | {2026-01-01: 3} | {a: 2026-01-01} | {a: .nan} | {a: "\ud800"}
{a: !!binary aGVsbG8=} | [2026-01-01] | ["\ud800"] | [null] | [''] | 1:30 | 0x10 | {} | [] | ? | @ | `
"""
MUTATIONS = [value for line in VALUES.strip().split("\n") for value in line.split(" | ")]
MUTATIONS += ["9" * 120, "9" * 30, "[" * 150 + "]" * 150, "{" * 150 + "}" * 150]
RUBRIC_THAT_SHIPS = load_rubric("analyses_fr")
JUDGE_THAT_SHIPS = load_profile("gpt-4.1")


def mutated(base: dict[str, str], key: str, value: str) -> str:
    part, _, inner = key.partition(".")
    if inner:
        value = f"{{{inner}: {value}}}" if inner == "input" or part != "prices" else f"{{input: 1, {inner}: {value}}}"
    return "".join(f"{name}: {said}\n" for name, said in {**base, part: value}.items())


def ask_by(path: Path) -> None:
    """What a judging does with a profile before its first call."""
    profile = load_profile(path)
    if profile.dialect != "offline":
        server_of(profile)
        account_headers(profile)
    body = Questioner(profile, RUBRIC_THAT_SHIPS, b"s").question(gross_items()[0], "candidate_first").body
    json.dumps(body, allow_nan=False).encode()
    dollars = cost_at_most(body, profile)
    assert dollars is None or math.isfinite(dollars)


def judge_by(path: Path) -> None:
    writer = Questioner(JUDGE_THAT_SHIPS, load_rubric(path), b"s")
    json.dumps(writer.question(gross_items()[0], "candidate_first").body, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("base", "key", "use"),
    [*((PROFILE, key, ask_by) for key in (*PROFILE, *NESTED)), *((RUBRIC, key, judge_by) for key in RUBRIC)],
    ids=[*PROFILE, *NESTED, *(f"rubric.{key}" for key in RUBRIC)],
)
def test_whatever_stands_at_a_key_it_works_or_is_said_in_one_line(
    base: dict[str, str], key: str, use: Callable[[Path], None], tmp_path: Path
) -> None:
    path, refused = tmp_path / "mine.yaml", 0
    for value in MUTATIONS:
        path.write_text(mutated(base, key, value), encoding="utf-8")
        try:
            use(path)
        except (InputError, UsageError) as error:
            refused += 1
            assert error.exit_code == 2 and "\n" not in str(error) and len(str(error)) < 400, value
        except JudgeError as error:  # an address or a key that cannot be
            assert error.exit_code == 2 and "\n" not in str(error), value
    assert refused > 3


def test_a_number_in_a_parameter_s_key_is_sent_as_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: m\nparameters: {logit_bias: {50256: -100}}\n")
    assert load_profile(path).parameters == {"logit_bias": {"50256": -100}}
