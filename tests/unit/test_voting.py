"""maj@k against brute force over all subsets; both arms' votes on the same documents, from run folders."""

from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from lm_eval_fr.analyses.voting.subsets import EXACT_RESPONSES, subset_masks, win_probabilities
from lm_eval_fr.analyses.voting.vote_tables import vote_table
from lm_eval_fr.analyses.voting.voting_builder import VoteOptions, independent_majority, vote_runs
from lm_eval_fr.analyses.voting.voting_model import VotingReport
from lm_eval_fr.cli import main
from lm_eval_fr.compare import CompareOptions, compare
from lm_eval_fr.errors import InputError, MismatchError, UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.report import html_writer as html
from lm_eval_fr.stats import paired_difference
from lm_eval_fr.tasklib.votes import NO_VOTE, Ballot, ItemBallot, kept_score, majority_score
from tests.fakes.runs import GREEDY, FakeTask, make_run
from tests.fakes.valued import draws, voting_task


def some_ballots(n: int, documents: int, seed: int = 1) -> list[Ballot]:
    draw = random.Random(seed)
    sizes = [draw.randint(1, 4) for _ in range(documents)]
    return [
        Ballot(tuple(draw.choice([NO_VOTE, *range(size)]) for _ in range(n)), tuple(draw.random() for _ in range(size)))
        for size in sizes
    ]


def some_lists(n: int, documents: int, seed: int = 1) -> list[ItemBallot]:
    draw = random.Random(seed)
    found = []
    for _ in range(documents):
        named = tuple(draw.getrandbits(n) for _ in range(draw.randint(0, 4)))
        gold = tuple(draw.random() < 0.5 for _ in named)
        found.append(ItemBallot(n, draw.getrandbits(n), named, gold, sum(gold) + draw.randint(0, 2)))
    return found


def test_one_answer_equals_all_subsets() -> None:
    ballots = some_ballots(7, 40)
    table = vote_table(ballots, 0.5, seed=0)
    assert table.exact.all()
    for row, ballot in enumerate(ballots):
        for k in range(1, 8):
            subsets = [
                Ballot(tuple(ballot.votes[i] for i in chosen), ballot.scores)
                for chosen in itertools.combinations(range(7), k)
            ]
            assert table.score[row, k - 1] == pytest.approx(np.mean([majority_score(one) for one in subsets]))
            above = [replace(one, scores=tuple(float(s >= 0.5) for s in one.scores)) for one in subsets]
            assert table.right[row, k - 1] == pytest.approx(np.mean([majority_score(one) for one in above]))


def test_lists_equal_all_subsets() -> None:
    ballots = some_lists(7, 40)
    table = vote_table([*ballots, *ballots], 0.5, seed=0)
    assert table.exact.all()
    for row, ballot in enumerate(ballots):
        for k in range(1, 8):
            chosen = [sum(1 << i for i in subset) for subset in itertools.combinations(range(7), k)]
            scores = [kept_score(ballot, subset) for subset in chosen]
            assert table.score[row, k - 1] == pytest.approx(np.mean(scores))
            assert table.right[row, k - 1] == pytest.approx(np.mean([score >= 0.5 for score in scores]))
    assert (table.score[:40] == table.score[40:]).all()


def test_winning_is_a_probability() -> None:
    for counts, silent in (((16,), 0), ((9, 7), 0), ((4, 4, 4), 4), ((1,) * 16, 0), ((), 3)):
        wins = win_probabilities(counts, silent).sum(axis=1)
        n = sum(counts) + silent
        voted = [1 - np.prod([(silent - i) / (n - i) for i in range(k)]) for k in range(1, n + 1)]
        assert wins == pytest.approx(voted if counts else [0.0] * n)


def test_many_responses_are_drawn_and_the_seed_fixes_them() -> None:
    n = EXACT_RESPONSES + 4
    ballots = some_ballots(n, 30)
    one, again, other = (vote_table(ballots, 0.5, seed=seed) for seed in (1, 1, 2))
    assert (one.score == again.score).all()
    assert (one.score != other.score).any()
    assert one.exact[[0, -1]].all()
    assert not one.exact[n // 2]
    exact = np.array(
        [
            win_probabilities(tuple(b.votes.count(c) for c in range(len(b.scores))), b.votes.count(NO_VOTE))
            @ np.array(b.scores)
            for b in ballots
        ]
    )
    assert one.score == pytest.approx(exact, abs=0.08)
    assert one.score[:, [0, -1]] == pytest.approx(exact[:, [0, -1]])


def test_subsets_of_sixteen() -> None:
    masks, whole = subset_masks(16, 2, seed=1)
    assert whole
    assert len(set(masks.tolist())) == 120
    masks, whole = subset_masks(16, 8, seed=1)
    assert not whole
    assert {int(mask).bit_count() for mask in masks} == {8}


def test_independence_is_condorcet() -> None:
    p = 0.87
    assert independent_majority(p, 1) == pytest.approx(p)
    assert independent_majority(p, 3) == pytest.approx(p**3 + 3 * p**2 * (1 - p))
    assert independent_majority(p, 2) == pytest.approx(p)


def voted(tmp_path: Path, candidate: FakeTask, reference: FakeTask, **options: Any) -> VotingReport:
    one = make_run(tmp_path / "candidate", candidate, model="org/petit-NVFP4")
    other = make_run(tmp_path / "reference", reference, model="petit-2603")
    return vote_runs(find_run(one), find_run(other), VoteOptions(**({"margin": 0.02} | options)))


def test_votes_of_both_arms_at_equal_cost(tmp_path: Path) -> None:
    mine, other = draws(1, 300, 8, 0.2, 0.9), draws(2, 300, 4, 0.0)
    report = voted(tmp_path, voting_task("piaf_fr_vote", mine), voting_task("piaf_fr_vote", other), cost_ratio=2.5)
    (task,) = report.tasks
    assert (task.n, task.clusters) == (300, 150)
    rates = np.array([[text == "oui" for text in row] for row in mine]).mean(axis=1)
    assert task.candidate.curve[0].score == pytest.approx(rates.mean())
    assert task.candidate.curve[7].score == pytest.approx(((rates > 0.5) + 0.5 * (rates == 0.5)).mean())
    assert [(m.candidate_votes, m.reference_votes, m.spare) for m in task.equal_cost] == [
        (2, 1, False),
        (5, 2, False),
        (7, 3, False),
        (8, 4, True),
    ]
    # A fifth of the documents is wrong whatever is drawn: independence promises what voting cannot give.
    last = task.candidate.curve[7]
    assert last.if_independent > 0.9
    assert last.right < last.if_independent - 0.1
    assert task.candidate.error_correlation == pytest.approx(0.64, abs=0.08)
    assert task.reference.error_correlation == pytest.approx(0.0, abs=0.08)
    assert task.shared_errors == pytest.approx(0.0, abs=0.1)
    match = task.against_one[2]
    assert match.same_cost_at == 3.0
    assert match.difference == pytest.approx(match.candidate - match.reference)


def test_the_comparison_is_paired(tmp_path: Path) -> None:
    """Errors that both arms make together leave no trace in the interval of the difference."""
    mine = draws(1, 200, 8, 0.4)
    task = voted(tmp_path, voting_task("piaf_fr_vote", mine), voting_task("piaf_fr_vote", mine)).tasks[0]
    assert task.shared_errors is not None
    assert task.shared_errors > 0.3
    same = task.against_one[0]
    assert same.difference == 0.0
    assert same.low is not None
    assert same.low > -0.03
    point = task.candidate.curve[0]
    assert point.low is not None
    assert point.score - point.low > 0.03
    assert task.recovers_at == 3
    scores = np.array([[text == "oui" for text in row] for row in mine]).mean(axis=1)
    expected = paired_difference(scores, scores, clusters=np.arange(200) // 2, kind="bounded").interval
    assert (same.low, same.high) == (expected.low, expected.high)


def test_one_reference_answer_of_the_plain_task(tmp_path: Path) -> None:
    mine, other = draws(1, 100, 8, 0.0), draws(2, 100, 1, 0.0, 0.6)
    report = voted(tmp_path, voting_task("piaf_fr_vote", mine), voting_task("piaf_fr", other), cost_ratio=0.4)
    (task,) = report.tasks
    assert task.reference.task == "piaf_fr"
    assert task.reference.responses == 1
    assert task.equal_cost == ()  # one reference answer does not pay for one of the candidate's
    assert task.recovers_at is not None
    assert task.against_one[6].outcome == "better"
    assert any("temperature 0.7 in the candidate, 0.0 in the reference" in caution for caution in report.cautions)


def test_accuracy_grows_with_agreement(tmp_path: Path) -> None:
    mine = draws(3, 400, 8, 0.0)
    task = voted(tmp_path, voting_task("piaf_fr_vote", mine), voting_task("piaf_fr_vote", mine)).tasks[0]
    bins = task.candidate.agreement
    assert sum(one.n for one in bins) == 400
    scores = [one.score for one in bins if one.score is not None]
    assert scores == sorted(scores)
    assert bins[-1].score == 1.0
    assert [(one.low, one.high) for one in bins] == [(0.0, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, 1.0)]


def test_an_arm_that_does_not_sample_is_named(tmp_path: Path) -> None:
    stuck = [[row[0]] * 8 for row in draws(1, 50, 8, 0.0)]
    report = voted(tmp_path, voting_task("piaf_fr_vote", stuck), voting_task("piaf_fr_vote", draws(2, 50, 8, 0.0)))
    (caution,) = report.cautions
    assert "all responses of org/petit-NVFP4 to a document are identical" in caution
    assert report.tasks[0].candidate.error_correlation == pytest.approx(1.0)


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    votes, one = draws(1, 6, 4, 0.0), draws(1, 6, 1, 0.0)
    with pytest.raises(InputError, match=r"one response per document in every task.*piaf_fr_vote"):
        voted(tmp_path / "a", voting_task("piaf_fr", one), voting_task("piaf_fr", one))
    with pytest.raises(InputError, match="piaf_fr has one response per document; voting needs several"):
        voted(tmp_path / "b", voting_task("piaf_fr", one), voting_task("piaf_fr", one), tasks=("piaf_fr",))
    with pytest.raises(MismatchError, match="only the candidate ran piaf_fr_vote"):
        voted(tmp_path / "c", voting_task("piaf_fr_vote", votes), voting_task("sib200_fr", one))
    with pytest.raises(InputError, match="does not declare how its answers are counted as votes"):
        mute = voting_task("piaf_fr_vote", votes, config={"repeats": 4})
        voted(tmp_path / "d", mute, voting_task("piaf_fr", one))
    with pytest.raises(MismatchError, match=r"document 5 .* is not in the candidate"):
        voted(tmp_path / "e", voting_task("piaf_fr_vote", votes[:5]), voting_task("piaf_fr", one))
    common = voted(
        tmp_path / "e2", voting_task("piaf_fr_vote", votes[:5]), voting_task("piaf_fr", one), allow=("documents",)
    )
    assert common.tasks[0].n == 5
    with pytest.raises(MismatchError, match="max_gen_toks is 64 in the candidate, 32 in the reference"):
        shorter = voting_task("piaf_fr", one, generation={**GREEDY, "max_gen_toks": 32})
        voted(tmp_path / "f", voting_task("piaf_fr_vote", votes), shorter)
    with pytest.raises(InputError, match="3 responses to document 2, 4 to others"):
        cut = [row[:3] if i == 2 else row for i, row in enumerate(votes)]
        voted(tmp_path / "g", voting_task("piaf_fr_vote", cut), voting_task("piaf_fr", one))
    with pytest.raises(UsageError, match="--cost-ratio 0 is not a cost ratio"):
        voted(tmp_path / "h", voting_task("piaf_fr_vote", votes), voting_task("piaf_fr", one), cost_ratio=0.0)
    with pytest.raises(UsageError, match="not scored by set_f1"):
        wanted = {"piaf_fr_vote": "set_f1"}
        voted(tmp_path / "i", voting_task("piaf_fr_vote", votes), voting_task("piaf_fr", one), metrics=wanted)


def test_votes_on_another_prompt_are_not_compared(tmp_path: Path) -> None:
    votes = draws(1, 6, 4, 0.0)
    mine, other = voting_task("piaf_fr_vote", votes), voting_task("piaf_fr_vote", votes)
    other.samples = [replace(one, prompt=f"{one.prompt} Réponds vite.") for one in other.samples]
    with pytest.raises(MismatchError, match=r"document 0 .* of piaf_fr_vote: the prompt is"):
        voted(tmp_path / "a", mine, other)
    assert voted(tmp_path / "b", mine, other, allow=("prompts",)).tasks[0].n == 6


def test_labels_and_lists_are_votes_too(tmp_path: Path) -> None:
    """A label is one of those that the task or its document lists; a list votes with each of its items."""
    said = [["Oui.", "oui", "non"], ["non", "non", "peut-être"]]

    def labels(**metadata: Any) -> FakeTask:
        about = {"version": 1.0, "voting": "label", **metadata}
        return voting_task("sib200_fr_vote", said, config={"repeats": 3, "metadata": about})

    listed = labels(labels=["oui", "non"])
    (task,) = voted(tmp_path / "a", listed, listed).tasks
    assert task.metric == "exact_match"
    assert [point.score for point in task.candidate.curve] == pytest.approx([1 / 3, 1 / 3, 0.5])
    own = labels()
    own.samples = [replace(one, doc={**one.doc, "labels": ["oui", "non"]}) for one in own.samples]
    assert voted(tmp_path / "b", own, own).tasks[0].candidate.curve == task.candidate.curve
    with pytest.raises(InputError, match="sib200_fr_vote does not list its labels"):
        voted(tmp_path / "c", labels(), labels())
    items = voting_task("wikiner_fr_vote", [['["Lyon"]', '["Lyon", "Paris"]', "rien"]] * 2)
    items.samples = [replace(one, target='["Lyon"]') for one in items.samples]
    items = replace(items, config={"repeats": 3, "metadata": {"version": 1.0, "voting": "items"}})
    (task,) = voted(tmp_path / "d", items, items).tasks
    assert task.metric == "set_f1"
    assert task.candidate.curve[2].score == 1.0  # two of three name Lyon, and one of three Paris


def test_every_right_answer_of_a_document_counts(tmp_path: Path) -> None:
    task = voting_task("piaf_fr_vote", [["Lyon", "Lyon", "Paris"]] * 2)
    task.samples = [
        replace(one, doc={**one.doc, "answers": {"text": ["Paris", "Lyon"]}}, target="Paris") for one in task.samples
    ]
    assert voted(tmp_path, task, task).tasks[0].candidate.curve[2].score == 1.0


def test_votes_that_cannot_be_counted(tmp_path: Path) -> None:
    votes, apart = draws(1, 4, 4, 0.0), voting_task("piaf_fr_vote", draws(1, 4, 4, 0.0))
    apart.samples = [replace(one, doc={**one.doc, "id": f"other {i}"}) for i, one in enumerate(apart.samples)]
    with pytest.raises(InputError, match="the two runs of piaf_fr_vote have no document in common"):
        voted(tmp_path / "a", voting_task("piaf_fr_vote", votes), apart, allow=("documents",))
    with pytest.raises(InputError, match="65 responses per document; voting reads at most 64"):
        many = voting_task("piaf_fr_vote", draws(1, 2, 65, 0.0))
        voted(tmp_path / "b", many, many)
    fewer = voting_task("piaf_fr", draws(1, 3, 1, 0.0))
    with pytest.raises(MismatchError, match=r"document 3 .* is not in the reference"):
        voted(tmp_path / "c", voting_task("piaf_fr_vote", votes), fewer)
    common = voted(tmp_path / "d", voting_task("piaf_fr_vote", votes), fewer, allow=("documents",))
    assert "piaf_fr_vote: only the 3 documents that both arms answered" in common.cautions


def two_runs(tmp_path: Path) -> tuple[Path, Path]:
    one = make_run(tmp_path / "c", voting_task("piaf_fr_vote", draws(1, 80, 8, 0.2, 0.9)), model="org/petit-NVFP4")
    other = make_run(tmp_path / "r", voting_task("piaf_fr_vote", draws(2, 80, 4, 0.1)), model="petit-2603")
    return one, other


def test_every_format(tmp_path: Path) -> None:
    pairing = pair_runs(*map(find_run, two_runs(tmp_path)))
    report = compare(pairing, CompareOptions(cost_ratio=3.0, margins={"gold": 0.02}))
    assert report.to_dict()["voting"]["cost_ratio"] == 3.0
    shown = [report.to_text(), report.to_markdown(), html.render(report)]
    for content in shown:
        assert "independent" in content
        assert "None" not in content
        assert not re.search(r"\bnan\b", content.lower())
    assert max(map(len, shown[0].splitlines())) <= 100
    assert 'id="voting"' in shown[2]
    assert shown[2].count('class="line assumed"') == 1  # what would be, if errors were independent, is drawn apart


def test_votes_are_held_to_the_margins_of_the_comparison(tmp_path: Path) -> None:
    pairing = pair_runs(*map(find_run, two_runs(tmp_path)))

    def within(margins: dict[str, float]) -> list[bool | None]:
        voting = compare(pairing, CompareOptions(margins=margins)).to_dict()["voting"]
        return [match["non_inferior"] for match in voting["tasks"][0]["against_one"]]

    assert within({}) == [None] * 8
    assert within({"gold": 0.001}) != within({"gold": 0.4}) == [True] * 8
    assert within({"gold": 0.001, "piaf_fr_vote": 0.4}) == [True] * 8


def test_runs_without_votes_have_no_part_about_them(tmp_path: Path) -> None:
    plain = make_run(tmp_path / "plain", voting_task("piaf_fr", draws(1, 20, 1, 0.0)))
    alone = pair_runs(find_run(plain), find_run(plain))
    assert compare(alone).extras == ()
    with pytest.raises(InputError, match="no task of the candidate has votes"):
        compare(alone, CompareOptions(cost_ratio=3.0))


def test_the_command(tmp_path: Path) -> None:
    runs = [str(run) for run in two_runs(tmp_path)]
    done = CliRunner().invoke(main, ["vote", *runs, "--cost-ratio", "2", "--html", str(tmp_path / "vote.html")])
    assert done.exit_code == 0, done.output
    assert "at equal cost, one reference answer for 2 of the candidate's (as given)" in " ".join(done.stdout.split())
    assert "<polyline" in (tmp_path / "vote.html").read_text(encoding="utf-8")
    done = CliRunner().invoke(main, ["vote", *runs, "--price", "1/2", "--price", "4/8", "--json", "-"])
    voting = json.loads(done.stdout)["voting"]
    assert voting["cost_ratio"] == pytest.approx(4.0, rel=0.1)  # the same prompts at four times the price
    assert [match["candidate_votes"] for match in voting["tasks"][0]["equal_cost"]][:1] in ([3], [4])
    done = CliRunner().invoke(main, ["compare", *runs, "--cost-ratio", "3", "--json", "-"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["voting"]["cost_ratio"] == 3.0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cost-ratio", "-1"], "--cost-ratio -1 is not a cost ratio"),
        (["--cost-ratio", "2", "--price", "1/1"], "exclude each other"),
        (["--task", "sib200_fr"], "the candidate did not run sib200_fr"),
        (["--price", "0/1"], "a price of 0 would make every ratio infinite"),
    ],
)
def test_bad_flags_are_one_line(tmp_path: Path, flags: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["vote", *(str(run) for run in two_runs(tmp_path)), *flags])
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
