"""Divergence from top-k lists, the alignment of answers, replies of both dialects; runs are in test_fidelity_run."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lm_eval_fr.analyses.fidelity.divergence import diverge, first_difference
from lm_eval_fr.analyses.fidelity.fidelity_summary import (
    Compared,
    by_entropy,
    by_position,
    compare_text,
    excess,
    first_divergence,
    numbered,
    summarise,
    worst_passages,
)
from lm_eval_fr.analyses.fidelity.logprob_request import NoLogprobs, body_of, path_of, read_reply
from lm_eval_fr.analyses.fidelity.reply_store import Store
from lm_eval_fr.analyses.fidelity.scored import MISSING, KeyKind, Scored, decode, encode, from_flat
from lm_eval_fr.analyses.fidelity.texts import Passage, answer_start
from lm_eval_fr.errors import InputError
from lm_eval_fr.logs.logged_prompts import Turn
from tests.fakes.logprobs import PseudoModel, cut
from tests.fakes.server import Call

TEXT = "L’été dernier, à Paris, la préfecture a mesuré 41,5 °C ; les écoles ont fermé plus tôt que prévu."


def from_rows(
    kind: KeyKind,
    tokens: Sequence[str],
    ids: Sequence[int],
    rows: Sequence[Mapping[int, float]],
    own: Sequence[float],
    names: Mapping[int, str],
) -> Scored:
    """From one mapping of keys to log-probabilities per position."""
    keys, values = ([item for row in rows for item in part(row)] for part in (dict.keys, dict.values))
    return from_flat(kind, tokens, ids, [*map(len, rows)], keys, values, own, names)


def compared(document: str, cluster: str, candidate: Scored, reference: Scored) -> Compared:
    return compare_text(document, cluster, candidate, reference, numbered(candidate, reference))


def whole(distributions: list[list[float]], own: int = 0) -> Scored:
    """A Scored whose lists hold everything."""
    rows = [{key: math.log(p) for key, p in enumerate(row)} for row in distributions]
    names = {key: f"t{key}" for key in range(len(distributions[0]))}
    return from_rows("id", ["t0"] * len(rows), [own] * len(rows), rows, [row[own] for row in rows], names)


def top(scored: Scored, k: int) -> Scored:
    """Only the k most likely of each row."""
    rows = []
    for keys, logprobs in zip(scored.keys, scored.logprobs, strict=True):
        best = np.argsort(-logprobs)[:k]
        rows.append({int(keys[i]): float(logprobs[i]) for i in best})
    return from_rows(scored.kind, scored.tokens, scored.ids.tolist(), rows, scored.own.tolist(), scored.names)


def random_pair(seed: int, n: int = 200, words: int = 50, damage: float = 0.3) -> tuple[Scored, Scored]:
    source = np.random.default_rng(seed)
    logits = source.standard_normal((n, words)) * 3
    other = logits + damage * source.standard_normal((n, words))
    one, two = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (logits, other))
    return whole(two.tolist()), whole(one.tolist())


def exact(candidate: Scored, reference: Scored) -> np.ndarray:
    p, q = np.exp(reference.logprobs), np.exp(candidate.logprobs)
    return (p * (reference.logprobs - candidate.logprobs)).sum(axis=1) + 0 * q[:, 0]


def test_whole_lists_give_the_exact_divergence() -> None:
    candidate, reference = random_pair(1)
    found = diverge(candidate, reference)
    assert found.divergence == pytest.approx(exact(candidate, reference), abs=1e-6)
    assert found.covered == pytest.approx(np.ones(200))


@pytest.mark.parametrize("k", [1, 2, 5, 20, 49])
def test_truncated_lists_give_a_lower_bound_that_grows_with_the_list(k: int) -> None:
    candidate, reference = random_pair(2)
    truth = exact(candidate, reference)
    found = diverge(top(candidate, k), top(reference, k)).divergence
    assert (found <= truth + 1e-9).all() and (found >= 0).all()
    more = diverge(top(candidate, k + 1), top(reference, k + 1)).divergence
    assert more.mean() >= found.mean() - 1e-9


def test_an_arm_is_no_distance_from_itself() -> None:
    _, reference = random_pair(3)
    for k in (1, 5, 20):
        found = diverge(top(reference, k), top(reference, k))
        assert found.divergence.max() < 1e-9 and found.agree.all()


def test_lists_without_a_common_token_say_nothing_and_not_infinity() -> None:
    one, other = (from_rows("id", ["x"], [key], [{key: math.log(0.9)}], [-0.1], {key: "x"}) for key in (1, 2))
    found = diverge(one, other)
    assert found.divergence[0] == 0 and found.covered[0] == 0 and not found.agree[0]


def test_a_rest_that_rounding_hides_is_no_infinity() -> None:
    reference = from_rows("id", ["x"], [1], [{1: math.log(0.999)}], [0.0], {1: "x"})
    candidate = from_rows("id", ["x"], [1], [{1: 0.0}], [0.0], {1: "x"})
    found = diverge(candidate, reference).divergence[0]
    assert found == pytest.approx(0.999 * math.log(0.999) + 0.001 * math.log(0.001 / 1e-5), rel=1e-6)


def test_equally_likely_first_choices_agree() -> None:
    reference = whole([[0.4, 0.4, 0.2]])
    assert diverge(whole([[0.3, 0.5, 0.2]]), reference).agree[0]
    assert diverge(whole([[0.5, 0.3, 0.2]]), reference).agree[0]
    assert not diverge(whole([[0.2, 0.3, 0.5]]), reference).agree[0]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    candidate, reference = random_pair(4)
    at_once = diverge(candidate, reference)
    monkeypatch.setattr("lm_eval_fr.analyses.fidelity.divergence.BLOCK", 50 * 50 * 7)
    in_parts = diverge(candidate, reference)
    assert (at_once.divergence == in_parts.divergence).all() and (at_once.agree == in_parts.agree).all()


def test_the_first_different_token_is_found() -> None:
    one = from_rows("id", ["a", "b"], [1, 2], [{1: -1.0}, {2: -1.0}], [-1.0, -1.0], {1: "a", 2: "b"})
    cut_short = one.part(0)
    assert first_difference(one, cut_short) is None
    renumbered = from_rows("id", ["a", "b"], [1, 3], [{1: -1.0}, {3: -1.0}], [-1.0, -1.0], {1: "a", 3: "b"})
    assert first_difference(one, renumbered) == 1
    longer = from_rows("id", ["a", "b", "c"], [1, 2, 3], [{1: -1.0}] * 3, [-1.0] * 3, {1: "a"})
    assert first_difference(one, longer) == 2


@pytest.mark.parametrize(
    ("tokens", "answer", "start"),
    [
        (["<s>", "Question", " :", " Paris", " en", " 1889"], " Paris en 1889", 3),
        (["Réponse", " :", " P", "aris"], "Paris", 2),
        (["Réponse :P", "aris"], "Paris", 0),  # one token holds the end of the prompt and the beginning of the answer
        (["[INST]", " a", " b", "[/INST]", "a", " b"], "a b", 4),
        (["x", " coût", "\N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER}", " fin"], "coût 🌍 fin", 1),
        (["x", "le", "chat", "dort"], "le chat dort", 1),  # a server that shows tokens without their space
        (["x", " oui", "</s>"], "oui", 1),
        (["rien", " de", " tel"], "une tout autre réponse", None),
    ],
)
def test_the_answer_is_found_among_the_tokens(tokens: list[str], answer: str, start: int | None) -> None:
    assert answer_start(tokens, answer) == start


def test_real_text_is_aligned_at_every_place() -> None:
    tokens = cut(TEXT)
    for index in range(1, len(tokens)):
        found = answer_start(tokens, "".join(tokens[index:]))
        # White space alone belongs to no side in particular.
        assert found is not None and "".join(tokens[index:found]).strip() == ""


def reply(model: PseudoModel, dialect: str, top: int = 20) -> bytes:
    passage = Passage("1", TEXT, "1")
    call = Call("/v1/completions", {}, body_of(passage, "m", top, dialect), 0)  # type: ignore[arg-type]
    answer = model(call)
    assert not isinstance(answer, str) and answer.raw
    return answer.raw.encode()


def test_both_dialects_say_the_same() -> None:
    by_ids = read_reply(reply(PseudoModel(), "prompt_logprobs"), "prompt_logprobs")
    echoed = read_reply(reply(PseudoModel(), "echo"), "echo")
    assert by_ids.tokens == echoed.tokens == tuple(cut(TEXT))
    damaged = read_reply(reply(PseudoModel(damage=0.3), "prompt_logprobs"), "prompt_logprobs")
    by_number = compared("1", "1", damaged, by_ids).positions
    by_text = compared("1", "1", damaged, echoed).positions
    assert by_text.divergence == pytest.approx(by_number.divergence, abs=1e-9)
    assert (by_text.agree == by_number.agree).all() and by_number.divergence.mean() > 0.01


def test_the_top_list_of_a_server_bounds_its_whole_distribution() -> None:
    models = PseudoModel(damage=0.3), PseudoModel()
    few, many = (
        compared(
            "1", "1", *(read_reply(reply(model, "prompt_logprobs", k), "prompt_logprobs") for model in models)
        ).positions
        for k in (5, 20)
    )
    tokens = ["<s>", *cut(TEXT)]
    truth = []
    for before, actual in itertools.pairwise(tokens):
        other, one = (model.distribution(before, actual) for model in models)
        truth.append(sum(math.exp(one[word]) * (one[word] - other[word]) for word in one))
    assert (many.divergence <= np.array(truth) + 1e-9).all()
    assert few.divergence.mean() < many.divergence.mean() < np.mean(truth)


def test_tokens_that_share_a_text_name_none_of_them() -> None:
    scored = from_rows(
        "id", ["a"], [1], [{1: -1.0, 2: -2.0, 3: -3.0, 4: -4.0}], [-1.0], {1: "a", 2: "b", 3: "b", 4: "\ufffd"}
    )
    keys = scored.by_text().keys[0]
    assert keys[0] != MISSING and (keys[1:] == MISSING).all()


def test_the_store_keeps_what_the_server_said() -> None:
    scored = read_reply(reply(PseudoModel(), "prompt_logprobs"), "prompt_logprobs")
    again = decode(encode(scored))
    assert again.tokens == scored.tokens and again.names == scored.names
    assert (again.keys == scored.keys).all() and (again.ids == scored.ids).all()
    assert again.logprobs == pytest.approx(scored.logprobs, rel=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"text": "x"}]},
        {"choices": []},
        {"choices": [{"prompt_logprobs": [None, None], "prompt_token_ids": [1, 2]}]},
        {"choices": [{"prompt_logprobs": [None, {"2": {"logprob": -1.0}}], "prompt_token_ids": [1]}]},
    ],
)
def test_replies_without_log_probabilities_are_told(body: dict) -> None:
    for dialect in ("prompt_logprobs", "echo"):
        with pytest.raises(NoLogprobs):
            read_reply(json.dumps(body).encode(), dialect)  # type: ignore[arg-type]


def uneven(dialect: str, lists: int, longest: int) -> bytes:
    """A reply whose last position lists `longest` tokens and all others one."""
    numbers = range(longest)
    if dialect == "echo":
        best = [{"t": -1.0}] * lists + [{str(number): -1.0 for number in numbers}, {}]
        logprobs = {"tokens": ["t"] * (lists + 2), "token_logprobs": [-1.0] * (lists + 2), "top_logprobs": best}
        return json.dumps({"choices": [{"logprobs": logprobs}]}).encode()
    entry = {"logprob": -1.0}
    positions = [None, *[{"1": entry}] * lists, {str(number): entry for number in numbers}]
    choice = {"prompt_logprobs": positions, "prompt_token_ids": [1] * (lists + 2)}
    return json.dumps({"choices": [choice]}).encode()


@pytest.mark.parametrize("dialect", ["prompt_logprobs", "echo"])
def test_one_long_list_does_not_decide_how_much_memory_all_take(dialect: Any) -> None:
    assert read_reply(uneven(dialect, 100, 300), dialect).n >= 100
    with pytest.raises(NoLogprobs, match="far more at one token"):
        read_reply(uneven(dialect, 9_000, 9_000), dialect)


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x97\xa2id\x90\xc4\x01a\xc4\x00\xc4\x00\xc4\x00\x80", None])
def test_a_stored_reply_that_is_none_is_said_in_one_line(tmp_path: Path, value: bytes | None) -> None:
    with Store(tmp_path / "journal.sqlite") as store:
        store._do("INSERT INTO scored VALUES (?, ?, 0)", b"key", value)
        with pytest.raises(InputError, match="holds a reply that cannot be decoded"):
            store.get(b"key")


def test_a_journal_of_a_later_format_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Store(path) as store:
        store._do("PRAGMA user_version = 9")
    for _ in range(2):
        with pytest.raises(InputError, match="has format 9, this version reads 1"):
            Store(path)


def test_a_chat_goes_to_the_chat_endpoint_with_its_answer_unfinished() -> None:
    passage = Passage("1", "Oui.", "1", turns=(Turn("user", "Vrai ?"),))
    body = body_of(passage, "m", 5, "prompt_logprobs")
    assert path_of(passage) == "/chat/completions"
    assert body["messages"][-1] == {"role": "assistant", "content": "Oui."} and body["continue_final_message"]
    rendered = body_of(
        Passage("1", "Oui.", "1", prompt="<s>[INST]Vrai ?[/INST]", special=False), "m", 5, "prompt_logprobs"
    )
    assert rendered["add_special_tokens"] is False


def test_clusters_widen_the_interval_and_the_worst_passage_is_the_damaged_one() -> None:
    source = np.random.default_rng(5)
    texts = []
    for number in range(40):
        candidate, reference = random_pair(number, n=40, damage=float(source.uniform(0.05, 0.6)))
        texts.append(compared(str(number), str(number // 2), candidate, reference))
    found = summarise(texts, level=0.95)
    assert found.tokens == 1600 and found.documents == 40 and found.clusters == 20
    assert found.divergence.low is not None and found.divergence.high is not None
    values = np.concatenate([one.positions.divergence for one in texts])
    naive = 1.96 * values.std() / math.sqrt(values.size)
    assert found.divergence.high - found.divergence.low > 3 * naive
    worst = worst_passages(texts, 3)
    assert [one.divergence for one in worst] == sorted((one.divergence for one in worst), reverse=True)
    assert worst[0].token_divergence >= worst[0].divergence and worst[0].reference[0].probability > 0


def test_the_excess_over_the_floor_is_paired() -> None:
    pairs = [random_pair(number, n=40) for number in range(30)]
    texts = [compared(str(i), str(i), one, two) for i, (one, two) in enumerate(pairs)]
    still = [compared(str(i), str(i), two, two) for i, (one, two) in enumerate(pairs)]
    beyond = excess(texts, still, level=0.95)
    assert beyond.low is not None and beyond.low > 0
    nothing = excess(texts, texts, level=0.95)
    assert nothing.low is None and nothing.reason


def test_the_other_direction_is_the_arms_exchanged_and_exact_on_whole_lists() -> None:
    candidate, reference = random_pair(6)
    found = diverge(candidate, reference)
    assert found.reverse == pytest.approx(exact(reference, candidate), abs=1e-6)
    assert np.abs(found.reverse - found.divergence).max() > 0.01
    few = diverge(top(candidate, 3), top(reference, 3)), diverge(top(reference, 3), top(candidate, 3))
    assert few[0].reverse == pytest.approx(few[1].divergence)


def test_both_directions_and_the_entropy_of_two_tokens() -> None:
    found = diverge(whole([[0.9, 0.1]]), whole([[0.5, 0.5]]))
    assert found.divergence[0] == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1), abs=1e-9)
    assert found.reverse[0] == pytest.approx(0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5), abs=1e-9)
    assert found.entropy[0] == pytest.approx(math.log(2), abs=1e-9)


def test_the_entropy_counts_what_is_not_listed_as_one() -> None:
    reference = top(whole([[0.5, 0.25, 0.125, 0.125]]), 2)
    expected = 0.5 * math.log(2) + 0.25 * math.log(4) * 2
    assert diverge(reference, reference).entropy[0] == pytest.approx(expected)


def with_values(scored: Scored, values: dict[int, float]) -> Scored:
    """`values`: place -> what the server wrote for the token that stands there."""
    own = scored.own.copy()
    logprobs = scored.logprobs.copy()
    for place, value in values.items():
        own[place] = logprobs[place, 0] = value
    return Scored(scored.kind, scored.tokens, scored.ids, scored.keys, logprobs, own, scored.names)


def test_what_is_no_log_probability_is_counted_and_in_no_mean() -> None:
    candidate, reference = random_pair(7, n=20)
    odd = with_values(candidate, {3: -9999.0, 5: math.nan, 7: math.inf, 9: 0.5, 11: -math.inf})
    assert odd.no_probability.nonzero()[0].tolist() == [3, 11]
    assert odd.not_a_number.nonzero()[0].tolist() == [5, 7, 9]
    one = compared("1", "1", odd, reference)
    kept = [place for place in range(20) if place not in (3, 5, 7, 9, 11)]
    assert one.places.tolist() == kept and len(one.tokens) == 20
    clean = compared("1", "1", candidate, reference)
    assert one.positions.divergence == pytest.approx(clean.positions.divergence[kept])
    found = summarise([one], level=0.95)
    assert found.tokens == 15 and math.isfinite(found.perplexity)
    again = decode(encode(odd))
    assert (again.not_a_number == odd.not_a_number).all() and (again.no_probability == odd.no_probability).all()


def test_a_listed_token_without_probability_joins_the_rest() -> None:
    reference = from_rows("id", ["x"], [1], [{1: math.log(0.6), 2: math.log(0.3)}], [math.log(0.6)], {1: "x"})
    candidate = from_rows("id", ["x"], [1], [{1: math.log(0.5), 2: -9999.0}], [math.log(0.5)], {1: "x"})
    found = compared("1", "1", candidate, reference).positions
    assert found.divergence[0] == pytest.approx(0.6 * math.log(0.6 / 0.5) + 0.4 * math.log(0.4 / 0.5))
    assert found.covered[0] == pytest.approx(0.6)


def steps(agree: list[bool], first: float = 0.6) -> Compared:
    """A text whose first choices agree where told; at the others the candidate's are exchanged."""
    reference = whole([[first, 1 - first]] * len(agree))
    candidate = whole([[first, 1 - first] if same else [1 - first, first] for same in agree])
    return compared("t", str(id(agree)), candidate, reference)


def test_distances_are_told_by_tenths_of_the_text() -> None:
    half = [True] * 10 + [False] * 10
    bands = by_position([steps(half)], level=0.95)
    assert [(band.low, band.high, band.tokens) for band in bands] == [(i / 10, (i + 1) / 10, 2) for i in range(10)]
    one = 0.6 * math.log(0.6 / 0.4) + 0.4 * math.log(0.4 / 0.6)
    assert [band.divergence.value for band in bands] == pytest.approx([0.0] * 5 + [one] * 5, abs=1e-9)
    assert [band.agreement for band in bands] == [1.0] * 5 + [0.0] * 5
    short = by_position([steps([True, False, True])], level=0.95)
    assert [(round(band.low, 1), band.tokens) for band in short] == [(0.0, 1), (0.3, 1), (0.6, 1)]


def test_distances_are_told_by_how_sure_the_reference_is() -> None:
    sure, unsure = [steps([True] * 40, 0.99) for _ in range(4)], [steps([False] * 10, 0.55) for _ in range(4)]
    bands = by_entropy([*sure, *unsure], level=0.95)
    assert sum(band.tokens for band in bands) == 200
    assert [band.tokens for band in bands] == [160, 40]  # tokens of one entropy stay together
    assert bands[0].high == pytest.approx(-0.99 * math.log(0.99) - 0.01 * math.log(0.01))
    assert bands[0].agreement == 1 and bands[1].agreement == 0
    assert bands[0].agreement_at_least is not None and 0 < bands[0].agreement_at_least < 1
    source = [compared(str(i), str(i), *random_pair(i, n=50)) for i in range(8)]
    fifths = by_entropy(source, level=0.95)
    assert [band.tokens for band in fifths] == [80] * 5
    assert all(one.high <= other.low for one, other in itertools.pairwise(fifths))


def test_the_first_divergence_is_the_first_token_whose_first_choices_differ() -> None:
    texts = [
        steps([True, True, False, False]),
        steps([True] * 4),
        steps([False, True]),
        steps([True] * 9 + [False]),
    ]
    assert [one.first_divergence for one in texts] == [3, None, 1, 10]
    found = first_divergence(texts, answers=True)
    assert (found.basis, found.documents, found.diverged) == ("answers", 4, 3)
    # Together: 3/4 after token 1, 2/4 after 3, and the text that ends at 4 says nothing of 10: 0 after 10.
    assert found.tokens == {"p10": 1, "p50": 3, "p90": 10}
    never = first_divergence([steps([True] * 5)], answers=False)
    assert never.tokens == {"p10": None, "p50": None, "p90": None} and never.basis == "first_choices"


def test_agreement_is_bounded_from_below_only() -> None:
    source = [compared(str(i), str(i), *random_pair(i, n=40)) for i in range(30)]
    found = summarise(source, level=0.95)
    assert found.agreement.low is not None and found.agreement_at_least is not None
    assert found.agreement.low < found.agreement_at_least < found.agreement.value  # type: ignore[operator]
    assert found.agreement_at_least == pytest.approx(summarise(source, level=0.9).agreement.low)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"choices": 1e999}',
        b'{"choices": [{"prompt_logprobs": [null, {"1": {"logprob": "a"}}]}]}',
    ],
)
def test_replies_that_are_no_replies_are_told_in_one_line(content: bytes) -> None:
    for dialect in ("prompt_logprobs", "echo"):
        with pytest.raises(NoLogprobs) as told:
            read_reply(content, dialect)  # type: ignore[arg-type]
        assert "\n" not in str(told.value) and len(str(told.value)) < 400


@pytest.mark.parametrize("dialect", ["prompt_logprobs", "echo"])
def test_nan_as_python_writes_it_is_read_as_no_number(dialect: Any) -> None:
    content = reply(PseudoModel(says={" Paris": math.nan}), dialect)
    assert b"NaN" in content
    found = read_reply(content, dialect)
    assert [found.tokens[place] for place in found.not_a_number.nonzero()[0]] == [" Paris"]
