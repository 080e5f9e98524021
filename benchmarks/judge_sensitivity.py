"""What a judge of known sensitivity may claim: level, power and price of the four conditions, simulated.

    python benchmarks/judge_sensitivity.py [--quick]

Level: readers lose exactly the margin, and the share of studies that say `non_inferior` is printed (nominal 0.025).
Power: readers lose nothing. Passed: the share of judges that get through the controls. No network, no key.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.properties.judges_world import Habit, Judge, ask_controls, chance, constant, length, position, share, tie

HABITS: tuple[Habit, ...] = (constant, chance, position, length, tie)
MARGINS = (0.05, 0.10, 0.20)
SIZES = (60, 200, 600, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    studies = 100 if parser.parse_args().quick else 2000
    level(studies)
    if studies > 100:
        worst(studies // 4)
    power(studies // 4)
    controls(studies // 4)


def level(studies: int) -> None:
    print(f"{studies} studies of 600 pairs, 30 % ties, margin 10 points, true loss 10 points: non_inferior")
    print(f"{'when it sees nothing':22}{'sight':>7}{'drawn':>7}{'balanced':>10}{'candidate longer in 95 %':>26}")
    for habit in HABITS:
        for sight, drawn in ((0.0, "pair"), (0.4, "pair"), (0.8, "pair"), (0.8, "order"), (1.0, "pair")):
            judge = Judge(habit, sight, 1.0, drawn)  # type: ignore[arg-type]
            found = [
                share("non_inferior", studies, judge, 1, n=600, net=-0.1, ties=0.3, margin=0.1, candidate_longer=longer)
                for longer in (0.5, 0.95)
            ]
            print(f"{habit.__name__:22}{sight:7.1f}{drawn:>7}{found[0]:10.3f}{found[1]:26.3f}")


def worst(studies: int) -> None:
    found = []
    for habit in HABITS:
        for sight in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
            for n in SIZES:
                for margin in MARGINS:
                    judge = Judge(habit, sight, 1.0)
                    rate = share("non_inferior", studies, judge, 5, n=n, net=-margin, ties=0.3, margin=margin)
                    found.append((rate, habit.__name__, sight, n, margin))
    print(f"\nworst of {len(found)} cells of {studies} studies:", *sorted(found)[-3:], sep="\n  ")


def power(studies: int) -> None:
    print(f"\npower, nothing lost, margin 10 points ({studies} studies)")
    print(f"{'judge':34}{'ties':>6}{'pairs':>7}{'power':>8}")
    for name, judge, sizes in (
        ("perfect", Judge(constant, 1.0), (667, 493)),
        ("sees 0.8, drawn per order", Judge(constant, 0.8, 1.0, "order"), (909, 681)),
        ("sees 0.8, else by chance, per pair", Judge(chance, 0.8, 1.0), (909, 681)),
        ("sees 0.8, else a tie, per order", Judge(tie, 0.8, 1.0, "order"), (909, 681)),
    ):
        for ties, n in zip((0.2, 0.4), sizes, strict=True):
            certified = share("non_inferior", studies, judge, 3, n=n, net=0.0, ties=ties, margin=0.1)
            print(f"{name:34}{ties:6.1f}{n:7}{certified:8.3f}")


def controls(studies: int) -> None:
    print(f"\nshare of judges with s_L above 1/3, that see 0.8 ({studies} judges)")
    print(f"{'graded controls':18}" + "".join(f"{habit.__name__ + ', ' + drawn:>18}" for habit, drawn in PASSING))
    for n in (10, 20, 40, 80):
        g, row = np.random.default_rng(7), []
        for habit, drawn in PASSING:
            judge = Judge(habit, 0.8, 1.0, drawn)  # type: ignore[arg-type]
            row.append(sum(ask_controls(judge, g, n).sees_graded for _ in range(studies)) / studies)
        print(f"{n:<18}" + "".join(f"{passed:18.2f}" for passed in row))


PASSING: tuple[tuple[Habit, str], ...] = ((constant, "pair"), (chance, "order"), (tie, "pair"), (tie, "order"))

if __name__ == "__main__":
    main()
