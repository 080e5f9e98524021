"""Published tables against runs: what is compatible, contradicted, undecidable, and what cannot be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from lm_eval_fr.analyses.claims import (
    PublishedDifference,
    check_claims,
    claimed_of,
    decide_claim,
    find_claims,
    read_claims,
)
from lm_eval_fr.analyses.claims_model import ClaimResult
from lm_eval_fr.analyses.fidelity.fidelity_command import read_fidelity
from lm_eval_fr.cli import main
from lm_eval_fr.compare import CompareOptions, compare
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.report import html_writer as html
from lm_eval_fr.stats import Interval, exact_match_spread, paired_difference
from lm_eval_fr.tasklib.definitions import claims_dir
from tests.fakes.judged import SEED_STUDY, judge_folder, verdicts_on
from tests.fakes.logprobs import PseudoModel
from tests.fakes.runs import FakeTask, make_run, plain_task
from tests.fakes.server import FakeOpenAI

SOURCE = {"url": "https://example.org", "title": "Une carte", "published": "2026-01-28", "read": "2026-11-21"}


def pairing_of(tmp_path: Path, candidate: list[FakeTask], reference: list[FakeTask]) -> Pairing:
    one = make_run(tmp_path / "candidate", *candidate, model="org/petit-NVFP4")
    other = make_run(tmp_path / "reference", *reference, model="org/petit-BF16")
    return pair_runs(find_run(one), find_run(other))


def right_and_wrong(n: int, lost: int, gained: int, right: int) -> tuple[list[float], list[float]]:
    """Candidate and reference: `right` in both, `lost` only in the reference, `gained` only in the candidate."""
    both = [1.0] * right + [0.0] * (n - right - lost - gained)
    return both + [0.0] * lost + [1.0] * gained, both + [1.0] * lost + [0.0] * gained


def file_of(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "claims.yaml"
    content = {"title": "T", "source": SOURCE, "candidate": "c", "reference": "r", "claims": list(rows)}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def checked(tmp_path: Path, n: int, lost: int, gained: int, **row: Any) -> ClaimResult:
    one, other = right_and_wrong(n, lost, gained, n // 2)
    pairing = pairing_of(tmp_path, [plain_task("aime25", {"em": one})], [plain_task("aime25", {"em": other})])
    published = read_claims(file_of(tmp_path, {"name": "AIME25", "task": "aime25", **row}))
    return check_claims(published, pairing.tasks, None, level=0.95).results[0]


def test_thirty_questions_decide_nothing_about_a_loss_of_two_points(tmp_path: Path) -> None:
    found = checked(tmp_path, 30, 2, 1, reference=89.1, candidate=86.7, documents=30)
    assert found.status == "undecidable" and found.claimed == pytest.approx(-0.024)
    assert found.documents_needed is not None and found.documents_needed > 500
    assert "undecidable with 30 documents" in found.sentence and "the benchmark has 30" in found.sentence
    assert "an interval that also contains 0" in found.sentence


def test_many_documents_confirm_it(tmp_path: Path) -> None:
    found = checked(tmp_path, 4000, 120, 60, reference=90.0, candidate=88.5)
    assert found.status == "compatible" and found.documents_needed is None
    assert found.ci_low is not None and found.ci_low >= -0.015 - 0.015 - 1e-9
    assert found.difference == pytest.approx(-0.015) and found.tolerance == pytest.approx(0.015)


def test_many_documents_contradict_it_on_either_side(tmp_path: Path) -> None:
    worse = checked(tmp_path / "a", 4000, 300, 60, reference=90.0, candidate=89.0)
    better = checked(tmp_path / "b", 4000, 60, 60, reference=90.0, candidate=84.0)
    assert worse.status == better.status == "contradicted"
    assert "does worse here" in worse.sentence and "does better here" in better.sentence


def test_rounding_is_no_contradiction() -> None:
    interval = Interval(-0.0200, -0.0208, -0.0192, 0.95, "t", 10_000)
    spread = exact_match_spread(0.05)
    near = PublishedDifference(-0.0185, 0.8815, 0.9, rounding=0.001, error=0.0, tolerance=0.0185)
    assert decide_claim(near, interval, spread, 0.95, None)[0] == "compatible"
    far = PublishedDifference(-0.0180, 0.882, 0.9, rounding=0.001, error=0.0, tolerance=0.018)
    assert decide_claim(far, interval, spread, 0.95, None)[0] == "contradicted"


def test_the_number_of_documents_that_it_names_decides_it() -> None:
    """Simulated at the claimed truth: with so many documents the claim comes out compatible four times in five."""
    source, claim = np.random.default_rng(8), PublishedDifference(-0.03, 0.86, 0.89, 0.001, 0.0, 0.03)
    lost, gained = 0.06, 0.03
    undecided = paired_difference(*_flips(source, 200, lost, gained))
    status, needed, _ = decide_claim(claim, undecided.interval, exact_match_spread(lost + gained), 0.95, None)
    assert status == "undecidable" and needed is not None
    kept = 0
    for _ in range(200):
        interval = paired_difference(*_flips(source, needed, lost, gained)).interval
        kept += decide_claim(claim, interval, exact_match_spread(lost + gained), 0.95, None)[0] == "compatible"
    assert 0.7 < kept / 200 < 0.97


def _flips(source: np.random.Generator, n: int, lost: float, gained: float) -> tuple[np.ndarray, np.ndarray]:
    drawn = source.random(n)
    reference = (drawn < lost) | (drawn > 0.5)
    candidate = ((drawn >= lost) & (drawn < lost + gained)) | (drawn > 0.5)
    return candidate.astype(float), reference.astype(float)


def test_the_tasks_of_a_pattern_are_pooled(tmp_path: Path) -> None:
    names = ("mmlu_pro_law", "mmlu_pro_physics")
    scores = [right_and_wrong(100, 3, 1, 50), right_and_wrong(300, 9, 3, 100)]
    tasks = [[plain_task(n, {"em": s[side]}) for n, s in zip(names, scores, strict=True)] for side in (0, 1)]
    pairing = pairing_of(tmp_path, tasks[0], tasks[1])
    row = {"name": "MMLU-Pro", "task": "mmlu_pro_*", "reference": 78.3, "candidate": 77.4}
    found = check_claims(read_claims(file_of(tmp_path, row)), pairing.tasks, None, level=0.95).results[0]
    assert found.documents == 400 and found.difference == pytest.approx(-8 / 400)
    assert found.task == "mmlu_pro_* (2 tasks)"


def test_the_first_task_that_was_run_counts(tmp_path: Path) -> None:
    one, other = right_and_wrong(30, 1, 0, 10)
    pairing = pairing_of(tmp_path, [plain_task("aime25", {"em": one})], [plain_task("aime25", {"em": other})])
    row = {"name": "AIME25", "task": ["aime25_repeats", "aime25"], "reference": 89.1, "candidate": 86.7}
    found = check_claims(read_claims(file_of(tmp_path, row)), pairing.tasks, None, level=0.95).results[0]
    assert found.task == "aime25"


def test_the_seed_studys_judge_table_is_compatible_with_itself(tmp_path: Path) -> None:
    judged = [plain_task("analysis_fr", 150)]
    pairing = pairing_of(tmp_path, judged, judged)
    folder = judge_folder(tmp_path / "judge", verdicts_on(pairing.tasks[0], SEED_STUDY))
    report = compare(pairing, CompareOptions(judge_dir=folder))
    published = find_claims("mistral_small_4_nvfp4")
    judge_row = next(row for row in published.claims if row.judge)
    claimed = claimed_of(judge_row, 0.95)
    assert claimed is not None and claimed.difference == pytest.approx(10 / 150)
    found = check_claims(
        read_claims(file_of(tmp_path, {"name": "j", "judge": {"wins": 50, "ties": 60, "losses": 40}})),
        pairing.tasks,
        report.judge,
        level=0.95,
    ).results[0]
    # Its own interval is [-5.8, +19.2]: the same counts again lie inside, and say no more than that.
    assert found.status == "compatible" and found.difference == pytest.approx(10 / 150)
    with pytest.raises(UsageError, match="nothing was judged"):
        check_claims(
            read_claims(file_of(tmp_path, {"name": "j", "judge": {"wins": 5, "ties": 6, "losses": 4}})),
            pairing.tasks,
            None,
            level=0.95,
        )


def test_every_format_shows_the_claims(tmp_path: Path) -> None:
    one, other = right_and_wrong(30, 2, 1, 15)
    pairing = pairing_of(tmp_path, [plain_task("aime25", {"em": one})], [plain_task("aime25", {"em": other})])
    rows = (
        {"name": "AIME25", "task": "aime25", "reference": 89.1, "candidate": 86.7, "documents": 30},
        {"name": "IFBench", "untested": "no such task", "reference": 71.5, "candidate": 70.7},
    )
    assert '"claims": null' in compare(pairing).to_json()
    report = compare(pairing, CompareOptions(claims=read_claims(file_of(tmp_path, *rows))))
    for shown in (report.to_text(), report.to_markdown(), html.render(report)):
        flat = " ".join(shown.split())
        assert "undecidable with 30 documents" in flat and "not tested: no such task" in flat
        assert "https://example.org" in flat
    assert all(len(line) <= 100 for line in report.to_text().splitlines())
    assert [one["status"] for one in report.to_dict()["claims"]["results"]] == ["undecidable", "untested"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"name": "GPQA", "task": "gpqa", "reference": 1.0, "candidate": 1.0}, "GPQA: gpqa was not run"),
        ({"name": "A", "task": "aime25", "metric": "f2", "reference": 1.0, "candidate": 1.0}, "has no metric f2"),
    ],
)
def test_claims_that_the_runs_cannot_answer_are_one_line(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    task = plain_task("aime25", {"em": [1.0, 0.0, 1.0]})
    pairing = pairing_of(tmp_path, [task], [task])
    with pytest.raises(UsageError, match=said) as caught:
        check_claims(read_claims(file_of(tmp_path, row)), pairing.tasks, None, level=0.95)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"name": "A"}, "give one of task, judge and untested"),
        ({"name": "A", "task": "x"}, "score is missing"),
        ({"name": "A", "task": "x", "score": 3}, "unknown field `score`"),
        ({"name": "A", "judge": {"wins": 1, "ties": 0, "losses": 0}}, "no judged pairs"),
        ({"name": "A", "task": "x", "candidate": "high"}, "Expected"),
        ({"name": "A", "task": "x", "candidate": float("nan"), "reference": 1.0}, "not between 0 and 100"),
        ({"name": "A", "task": "x", "candidate": 40.0, "reference": 1.0, "scale": "fraction"}, "not between 0 and 1"),
        (
            {"name": "A", "task": "x", "candidate": 40.0, "reference": 1.0, "tolerance": -1},
            "tolerance -1 is not above 0",
        ),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        read_claims(file_of(tmp_path, row))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one of acereason_nvfp4, acereason_nvfp4_qad"):
        find_claims("nemotron")
    path = tmp_path / "x.yaml"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(InputError, match="not YAML"):
        find_claims(str(path))
    with pytest.raises(InputError, match=r"fidelity.json that `lm-eval-fr fidelity` wrote"):
        read_fidelity(path)


def test_the_shipped_tables_name_their_sources_and_read_well() -> None:
    files = sorted(claims_dir().glob("*.yaml"))
    assert len(files) == 4
    for path in files:
        published = read_claims(path)
        assert published.source.url.startswith("https://") and str(published.source.read) and published.claims
    nemotron = {row.name: claimed_of(row, 0.95) for row in find_claims("nemotron_3_nano_nvfp4").claims}
    differences = {name: round(100 * claimed.difference, 3) for name, claimed in nemotron.items() if claimed}
    assert differences == {
        "MMLU-Pro": -0.9,
        "GPQA Diamond": -1.1,
        "AIME25": -2.4,
        "IFBench": -0.8,
    }


def test_the_command_shows_claims_and_a_measured_fidelity(
    fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    one, other = right_and_wrong(30, 2, 1, 15)
    task = [plain_task("aime25", {"em": scores}) for scores in (one, other)]
    runs = [make_run(tmp_path / name, each, model=name) for name, each in zip(("c", "r"), task, strict=True)]
    claims = file_of(tmp_path, {"name": "AIME25", "task": "aime25", "reference": 89.1, "candidate": 86.7})
    texts = tmp_path / "texts.txt"
    texts.write_text("Un été à Paris.\n\nUn hiver à Lyon.", encoding="utf-8")
    servers = fake_server(PseudoModel(damage=0.3)), fake_server(PseudoModel())
    measure = ["fidelity", servers[0].url, servers[1].url, "--texts", str(texts), "--out", str(tmp_path / "f")]
    assert CliRunner().invoke(main, [*measure, "--quiet"]).exit_code == 0
    page, record = tmp_path / "report.html", tmp_path / "compare.json"
    arguments = ["compare", *map(str, runs), "--claims", str(claims), "--fidelity", str(tmp_path / "f/fidelity.json")]
    done = CliRunner().invoke(main, [*arguments, "--html", str(page), "--json", str(record)])
    assert done.exit_code == 0, done.output
    assert "PUBLISHED CLAIMS" in done.output and "NEXT-TOKEN FIDELITY" in done.output
    found = json.loads(record.read_text(encoding="utf-8"))
    assert found["claims"]["results"][0]["status"] == "undecidable" and found["fidelity"]["distance"]["documents"] == 2
    assert 'id="claims"' in page.read_text(encoding="utf-8")
    missing = CliRunner().invoke(main, ["compare", *map(str, runs), "--claims", "nemotron_3_nano_nvfp4"])
    assert missing.exit_code == 2 and "MMLU-Pro: mmlu_pro_* was not run" in missing.output
    assert len(missing.output.strip().splitlines()) == 1
    several = CliRunner().invoke(main, ["compare", *map(str, [*runs, runs[0]]), "--claims", str(claims)])
    assert several.exit_code == 2 and "one candidate" in several.output
