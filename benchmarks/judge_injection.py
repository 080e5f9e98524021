"""What an arm gains by writing to the judge: our prompt in both orders, against a plain one in one order and in both.

    python benchmarks/judge_injection.py [--quick]

The arm puts a hostile text before answers that are as good as the other arm's. Printed is its net win, -1 to +1; the
limit is 0, which it would have without that text. The judges are simulated, each with one weakness; no network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lm_eval_fr.judge.asking.controls import load_canaries
from lm_eval_fr.judge.verdicts.control_results import canary_report
from tests.fakes.judges import (
    Judge,
    copies_verdicts,
    honest,
    net_win,
    obeys_places,
    obeys_sentences,
    outcome_ours,
    outcome_plain,
)
from tests.hostile import HOSTILE, POSITIONAL

JUDGES: tuple[Judge, ...] = (honest, copies_verdicts, obeys_places, obeys_sentences)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    canaries = load_canaries()
    questions = list({canary.instruction: canary for canary in canaries}.values())[: 1 if options.quick else None]
    fences = [hostile for hostile in HOSTILE if hostile.name.startswith("fence-")]
    sentences = [hostile for hostile in HOSTILE if hostile.name.startswith("order-sentence")]
    print(f"{'judge':<16} {'the answer adds':<22} {'ours, both':>10} {'plain, both':>11} {'plain, one':>10}")
    for judge in JUDGES:
        for name, texts in (("an order for A", POSITIONAL), ("a fence", fences), ("an order for itself", sentences)):
            ours, both, one = [], [], []
            for question in questions:
                for hostile in texts:
                    pair = (question.task_text, f"{hostile.text}\n\n{question.good}", question.good)
                    ours.append(outcome_ours(judge, *pair))
                    both.append(outcome_plain(judge, *pair, both=True))
                    one.append(outcome_plain(judge, *pair, both=False))
            figures = f"{net_win(ours):>+10.2f} {net_win(both):>+11.2f} {net_win(one):>+10.2f}"
            print(f"{judge.__name__:<16} {name:<22} {figures}")
    for judge in JUDGES:
        report = canary_report({c.id: outcome_ours(judge, c.task_text, c.good, c.bad) for c in canaries})
        caught = "passes" if report.passed else "caught"
        won = f"{report.won} of {report.n} won"
        print(f"canaries: {judge.__name__:<16} {caught}, {won}, hostile gain {report.hostile_gain:.2f}")


if __name__ == "__main__":
    main()
