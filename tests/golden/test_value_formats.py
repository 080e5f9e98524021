"""What people read of value and voting, word for word. LM_EVAL_FR_UPDATE_GOLDEN=1 rewrites the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lm_eval_fr.analyses.value.prices import PriceFlags
from lm_eval_fr.analyses.value.value_builder import value_runs
from lm_eval_fr.analyses.value.value_section import value_section
from lm_eval_fr.analyses.voting.voting_builder import VoteOptions, vote_runs
from lm_eval_fr.analyses.voting.voting_section import voting_section
from lm_eval_fr.logs import find_run
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report.sections import Section
from tests.fakes.runs import make_run
from tests.fakes.valued import arm, draws, right, voting_task

FOLDER = Path(__file__).parent


def a_value(folder: Path) -> Section:
    """The published example: three candidate answers for the price of one, 87 % of them right instead of 89 %."""
    titles = [f"Article {i // 4}" for i in range(100)]
    runs = [
        arm(folder / "candidate", right(100, 87), model="org/petit-NVFP4", titles=titles),
        arm(folder / "reference", right(100, 89), model="petit-2603", titles=titles),
    ]
    flags = PriceFlags(prices=("1/h", "3/h"), successes=("piaf_fr:f1>=0.5",))
    return value_section(value_runs([find_run(run) for run in runs], flags))


def votes(folder: Path) -> Section:
    tasks = [
        voting_task("piaf_fr_vote", draws(seed, 200, n, hard, 0.9)) for seed, n, hard in ((1, 8, 0.15), (2, 3, 0.1))
    ]
    runs = [
        make_run(folder / name, task, model=name) for name, task in zip(("petit-NVFP4", "petit"), tasks, strict=True)
    ]
    return voting_section(vote_runs(*map(find_run, runs), VoteOptions(cost_ratio=3.0, margin=0.02)))


FORMATS = {
    "value.txt": lambda folder: text.render([a_value(folder)]),
    "value.md": lambda folder: markdown.render([a_value(folder)]),
    "voting.txt": lambda folder: text.render([votes(folder)]),
    "voting.md": lambda folder: markdown.render([votes(folder)]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_format(name: str, tmp_path: Path) -> None:
    now = FORMATS[name](tmp_path)
    if os.environ.get("LM_EVAL_FR_UPDATE_GOLDEN"):
        (FOLDER / name).write_text(now, encoding="utf-8")
    assert now == (FOLDER / name).read_text(encoding="utf-8")
