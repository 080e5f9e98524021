"""The scores that `run` prints when an arm is done."""

from lm_eval_fr.arms.score_table import score_table

RESULTS = {
    "results": {
        "piaf_fr": {
            "alias": "piaf_fr",
            "f1,none": 0.51239,
            "f1_stderr,none": 0.0123,
            "exact_match,none": 1,
            "exact_match_stderr,none": "N/A",
        },
        "gsm8k": {"exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": 0.1},
        "analysis_fr": {"alias": "analysis_fr", "bypass,none": 999},
        "fr_quality": {"alias": "fr_quality"},
    },
    "configs": {"piaf_fr": {}, "gsm8k": {}, "analysis_fr": {}},
    "groups": {"mmlu": {"acc,none": 0.25, "acc_stderr,none": 0.01}},
}


def test_one_line_a_metric() -> None:
    assert score_table(RESULTS).splitlines() == [
        "task         metric                       score  stderr",
        "piaf_fr      f1                          0.5124  0.0123",
        "             exact_match                      1       -",
        "gsm8k        exact_match (strict-match)  0.5000  0.1000",
        "analysis_fr  none: for the judge              -       -",
    ]


def test_groups() -> None:
    results = RESULTS | {"configs": {"mmlu_a": {}}}
    assert score_table(results, "groups").splitlines() == [
        "group  metric   score  stderr",
        "mmlu   acc     0.2500  0.0100",
    ]
