"""Responses as votes: extracted, normalised, counted; and the voting tasks' own scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lm_eval_fr.tasklib.definitions import task_names, tasks_dir
from lm_eval_fr.tasklib.votes import (
    NO_VOTE,
    Ballot,
    item_ballot,
    item_vote_scores,
    kept_score,
    label_ballot,
    label_vote_scores,
    majority_score,
    responses_of,
    span_ballot,
    span_vote_scores,
)

VOTING = sorted(name for name in task_names() if name.endswith("_vote"))


def test_spans_vote_with_their_french_tokens() -> None:
    ballot = span_ballot(["l’été 1914", "Été 1914.", "en hiver", "", "l'été 1914"], ["été 1914"])
    assert ballot.votes == (0, 0, 1, NO_VOTE, 0)
    assert ballot.scores == (1.0, 0.0)
    assert ballot.agreement == 3 / 5
    assert majority_score(ballot) == 1.0


def test_a_capital_without_its_accent_votes_with_the_accented_one() -> None:
    assert span_ballot(["Éveil", "Eveil", "l'éveil", "reveil"], ["Eveil"]).votes == (0, 0, 0, 1)
    assert label_ballot(["SANTE", "santé", "sante"], "santé", ["sport", "santé"]).votes == (0, 0, NO_VOTE)
    ballot = item_ballot(['["Evry"]', '["Évry", "Étretat"]', '["Etretat"]'], ["Évry"])
    assert dict(zip(ballot.named, ballot.gold, strict=True)) == {0b011: True, 0b110: False}


def test_labels_vote_with_what_they_are() -> None:
    ballot = label_ballot(["Sport.", "sport", "je crois que c'est le sport", "santé"], "santé", ["sport", "santé"])
    assert ballot.votes == (0, 0, NO_VOTE, 1)
    assert ballot.scores == (0.0, 1.0)
    assert majority_score(ballot) == 0.0


def test_lists_vote_with_each_item() -> None:
    responses = ['["Paris", "la Loire"]', '["paris"]', '["Lyon", "Paris"]', "aucun", None]
    ballot = item_ballot(responses, ["Paris", "Loire"])  # type: ignore[list-item]
    assert ballot.lists == 0b00111
    assert dict(zip(ballot.named, ballot.gold, strict=True)) == {0b111: True, 0b001: True, 0b100: False}
    assert kept_score(ballot, 0b111) == pytest.approx(2 / 3)  # Paris alone has more than half of three votes
    assert kept_score(ballot, 0b001) == 1.0
    assert kept_score(ballot, 0b101) == pytest.approx(2 / 3)  # one of two is not more than half
    assert kept_score(ballot, 0b11111) == pytest.approx(2 / 3)  # three of five, two of which are silent
    assert kept_score(ballot, 0b11000) == 0.0
    assert ballot.agreement == 1 / 5


def test_nothing_to_find() -> None:
    ballot = item_ballot(["[]", "[]", "rien"], [])
    assert kept_score(ballot, 0b111) == 1.0
    assert kept_score(ballot, 0b100) == 0.0  # no list at all is no answer
    assert ballot.agreement == 2 / 3


def test_a_tie_shares_the_chance() -> None:
    assert majority_score(Ballot((0, 0, 1, 1, 2), (1.0, 0.5, 0.0))) == 0.75
    assert majority_score(Ballot((NO_VOTE, NO_VOTE), ())) == 0.0


@pytest.mark.parametrize(
    ("results", "responses"),
    [([["a", None]], ["a", ""]), (["a"], ["a"]), ([None], [""]), ([], [""])],
)
def test_what_lm_eval_hands_over(results: list[object], responses: list[str]) -> None:
    assert responses_of(results) == responses


def test_scores_are_means_and_majorities() -> None:
    spans = span_vote_scores([["Paris", "à Paris", "Lyon", "Paris"]], ["Paris"])
    assert spans == {
        "f1": pytest.approx((1 + 2 / 3 + 0 + 1) / 4),
        "exact_match": 0.5,
        "maj_f1": 1.0,
        "agreement": 0.5,
    }
    labels = label_vote_scores([["sport", "santé", "?", "sport"]], "santé", ["sport", "santé"])
    assert labels == {"exact_match": 0.25, "valid_label": 0.75, "maj_exact_match": 0.0, "agreement": 0.5}
    items = item_vote_scores([['["Paris"]', 'Voici : ["Paris", "Lyon"]', '["paris"]']], ["Paris"])
    assert items == {
        "set_f1": pytest.approx((1 + 2 / 3 + 1) / 3),
        "valid_json": pytest.approx(2 / 3),
        "maj_set_f1": 1.0,
        "agreement": pytest.approx(2 / 3),
    }


def read(path: Path) -> dict[str, object]:
    return yaml.load(path.read_text(encoding="utf-8").replace("!function ", ""), Loader=yaml.SafeLoader)


@pytest.mark.parametrize("name", VOTING)
def test_a_voting_task_is_its_base_with_votes(name: str) -> None:
    """lm-eval's `include` replaces whole blocks: what is written twice must stay the same."""
    path = next(tasks_dir().glob(f"*/{name}.yaml"))
    votes, base = read(path), read(path.with_name(f"{name.removesuffix('_vote')}.yaml"))
    assert votes["include"] == f"{base['task']}.yaml"
    assert votes["repeats"] == 8
    assert votes["filter_list"] == [{"name": "votes", "filter": []}]
    said = dict(votes["metadata"])  # type: ignore[call-overload]
    assert said.pop("voting") in ("span", "label", "items")
    assert said.pop("labels", "utils.LABELS") == "utils.LABELS"
    assert said == base["metadata"]
    drawn = {"do_sample": True, "temperature": 0.7}
    assert votes["generation_kwargs"] == {**base["generation_kwargs"], **drawn}  # type: ignore[dict-item]


def test_every_gold_task_votes() -> None:
    assert VOTING == ["massive_scenario_fr_vote", "piaf_fr_vote", "sib200_fr_vote", "wikiner_fr_vote"]
