"""How often each method says "non-inferior" at a true loss of the margin (2.5 % allowed), and with no loss (power).

    python benchmarks/stats_calibration.py [--quick]

The worlds and the stacked decisions are those of tests/properties/test_calibration.py, with more studies. `shipped` is
what the verdict uses; the other columns are common methods, or alternatives that were rejected. A rate above the
allowance (2.5 % and 3.3 standard errors of the simulation) is marked with !. Articles end with the worst cell of each
family. At the end: what several answers to a document save.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from sys import path

import numpy as np
from scipy import stats

path.insert(0, str(Path(__file__).resolve().parent.parent))

from lm_eval_fr.stats import decide, documents_for_margin, exact_match_spread, paired_difference, repeated
from tests.properties import worlds as w
from tests.properties.test_calibration import allowance, exact_rate, generator

Rates = Mapping[str, tuple[float, float | None]]
Method = Callable[[np.ndarray, float], np.ndarray]

BOUNDED: dict[str, Method] = {
    "shipped": w.dirichlet_p,
    "plain t": w.student_p,
    "betting": w.betting_p,
}
ARTICLES = ((10, 0.10), (20, 0.10), (40, 0.05), (80, 0.05), (150, 0.02))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the studies")
    quick = parser.parse_args().quick
    started = time.perf_counter()
    bounded(100_000 if quick else 1_000_000)
    clustered(300 if quick else 3000)
    counted()
    stopping(100_000 if quick else 1_000_000)
    answers(50 if quick else 200)
    print(f"{time.perf_counter() - started:.0f} s")


def bounded(drawn: int) -> None:
    heading("Bounded scores: rate at a loss of the margin / power with no loss, in %", list(BOUNDED))
    for world in w.WORLDS:
        for n, margin in ((30, 0.10), (50, 0.05), (100, 0.05), (150, 0.02), (300, 0.02), (1000, 0.02)):
            studies = drawn // n
            d = world.draw(generator("long", world.name, n), studies, n, -margin)
            rates = {name: (rate(method(d, -margin)), rate(method(d, -2 * margin))) for name, method in BOUNDED.items()}
            row(f"{world.name}, n {n}, margin {margin:g}", rates, studies)


def clustered(studies: int) -> None:
    heading("Articles: rate at a loss of the margin, in %", ["shipped", "worst-case", "CR1 t", "ignoring clusters"])
    worst: dict[str, float] = {}
    for world in w.CLUSTER_WORLDS:
        for sizes in world.sizes:
            for clusters, margin in ARTICLES:
                stack = world.study(generator("long", world.name, sizes, clusters), studies, clusters, sizes, -margin)
                found = {
                    "shipped": rate(w.cluster_p_above(stack, -margin)),
                    "worst-case": rate(w.cluster_p_above(stack, -margin, "worst-case")),
                    "CR1 t": rate(w.cr1_p(stack, -margin)),
                    "ignoring clusters": rate(w.ignoring_clusters_p(stack, -margin)),
                }
                worst[world.family] = max(worst.get(world.family, 0.0), found["shipped"])
                label = f"{world.family}, {world.name}, {clusters} of {sizes}, margin {margin:g}"
                row(label, {name: (share, None) for name, share in found.items()}, studies)
    print("\nworst cell of each family, shipped")
    for family, share in worst.items():
        print(f"  {family:40} {100 * share:.2f} %")


def counted() -> None:
    heading("Counted outcomes, summed exactly: rate at a loss of the margin", ["shipped", "Wald"])
    z = float(stats.norm.isf(w.ALPHA))
    for kind, margin, shares in (("binary", 0.02, (0.02, 0.03, 0.05, 0.10)), ("outcome", 0.10, (0.10, 0.2, 0.6))):
        for share in shares:
            for n in (30, 50, 100, 150, 300, 1000):

                def wald(lost: int, gained: int, n: int = n, margin: float = margin) -> bool:
                    mean = (gained - lost) / n
                    return mean + margin > z * max(((lost + gained) / n - mean**2) / n, 0) ** 0.5

                naive = w.exact_rate(n, (share + margin) / 2, (share - margin) / 2, wald)
                rates = {"shipped": (exact_rate(kind, n, margin, share), None), "Wald": (naive, None)}
                row(f"{kind}, {100 * share:g} % discordant, n {n}, margin {margin:g}", rates, None)


def stopping(drawn: int) -> None:
    heading(
        "Looking after every document: rate at a loss of the margin / decided with no loss, in %",
        ["e-process", "t every 50"],
    )
    for world in w.WORLDS[::2]:
        for n, margin in ((150, 0.10), (600, 0.02), (600, 0.05)):
            studies = drawn // n
            d = world.draw(generator("look", world.name, n, margin), studies, n, -margin)
            looks = range(50, n + 1, 50)
            rates = {
                "e-process": (rate(w.betting_p(d, -margin)), rate(w.betting_p(d, -2 * margin))),
                "t every 50": tuple(
                    float(np.any([w.student_p(d[:, :k], c) <= w.ALPHA for k in looks], axis=0).mean())
                    for c in (-margin, -2 * margin)
                ),
            }
            row(f"{world.name}, {n} planned, margin {margin:g}", rates, studies)  # type: ignore[arg-type]


def answers(studies: int) -> None:
    """10 % of the documents come out right half of the time in either arm; margin 2, 80 % power."""
    print("\nSeveral answers a document: documents planned, power simulated with them; documents that simulation needs")
    for k in (1, 2, 4):
        planned = documents_for_margin(0.02, repeated(exact_match_spread(0.05), k, 1.0)).documents_guarded
        assert planned is not None
        found = list(range(planned * 85 // 100, planned * 115 // 100, planned // 25))
        powers = [answered_power(n, k, studies) for n in (planned, *found)]
        smooth = np.polynomial.Polynomial.fit(found, powers[1:], 1)
        needed = (0.8 - smooth.convert().coef[0]) / smooth.convert().coef[1]
        print(f"  {k} answers: {planned:5,} planned, power {powers[0]:.3f}; {needed:5,.0f} needed", flush=True)


def answered_power(documents: int, answers: int, studies: int) -> float:
    g, shown = generator("answers", documents, answers), 0
    for _ in range(studies):
        unstable = g.random(documents) < 0.1
        arms = [np.where(unstable, g.binomial(answers, 0.5, documents) / answers, 1.0) for _ in range(2)]
        shown += decide(paired_difference(*arms).interval, 0.02) == "non_inferior"
    return shown / studies


def rate(p: np.ndarray) -> float:
    return float((p <= w.ALPHA).mean())


def heading(title: str, methods: list[str]) -> None:
    print(f"\n{title}\n{'':66}" + "".join(f"{name:>20}" for name in methods), flush=True)


def row(name: str, rates: Rates, studies: int | None) -> None:
    cells = []
    for wrong, power in rates.values():
        most = w.ALPHA * 1.1 if studies is None else w.ALPHA + allowance(studies)
        mark = "!" if wrong > most else " "
        cells.append(f"{100 * wrong:.2f}{mark}" + ("" if power is None else f" / {100 * power:5.1f}"))
    print(f"{name:66}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
