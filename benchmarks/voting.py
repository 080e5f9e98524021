"""maj@k for every k up to 16, over 100,000 documents of 16 responses: from texts, and from ballots.

    python benchmarks/voting.py [--quick]

The peer is the obvious implementation: for each document and k, Counter over every subset, or over 200 drawn ones
where there are more. It runs on a sample and is scaled up. Seconds are the processor's, on one core.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import resource
import time
from collections import Counter
from collections.abc import Callable

from lm_eval_fr.analyses.voting.vote_tables import vote_table
from lm_eval_fr.tasklib.votes import Ballot, item_ballot, label_ballot, span_ballot

RESPONSES = 16
SUBSETS = 200
LABELS = [f"étiquette {i}" for i in range(18)]
AIM_SECONDS, AIM_BYTES = 20.0, 1e9


def texts(kind: str, documents: int, seed: int) -> list[list[str]]:
    """Documents of varying difficulty: the right answer, one near to it, or one of many wrong ones."""
    draw = random.Random(seed)
    found = []
    for number in range(documents):
        easy = draw.random() ** 0.5
        row = []
        for _ in range(RESPONSES):
            sure = draw.random() < easy
            if kind == "label":
                row.append(LABELS[0] if sure else draw.choice(LABELS))
            elif kind == "span":
                wrong = f"un autre passage du texte {draw.randrange(4)}"
                row.append(f"l'année {number} après la guerre" if sure else wrong)
            else:
                others = [f"Nom {number} {i}" for i in range(3) if draw.random() < 0.3]
                row.append(str([f"Lieu {number}", *([] if sure else others)]).replace("'", '"'))
        found.append(row)
    return found


def ballot_of(kind: str) -> Callable[[int, list[str]], object]:
    return {
        "label": lambda number, row: label_ballot(row, LABELS[0], LABELS),
        "span": lambda number, row: span_ballot(row, [f"l'année {number} après la guerre"]),
        "items": lambda number, row: item_ballot(row, [f"Lieu {number}"]),
    }[kind]


def naive(ballots: list[Ballot], seed: int) -> float:
    """Seconds of processor time for the peer on these ballots."""
    draw, started = random.Random(seed), time.process_time()
    for ballot in ballots:
        for k in range(1, RESPONSES + 1):
            few = math.comb(RESPONSES, k) <= SUBSETS
            subsets = (
                itertools.combinations(ballot.votes, k)
                if few
                else (draw.sample(ballot.votes, k) for _ in range(SUBSETS))
            )
            for subset in subsets:
                Counter(subset).most_common(1)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 documents")
    documents = 5_000 if parser.parse_args().quick else 100_000
    for kind in ("label", "span", "items"):
        rows, read = texts(kind, documents, seed=1), ballot_of(kind)
        started = time.process_time()
        ballots = [read(number, row) for number, row in enumerate(rows)]
        extracted = time.process_time() - started
        del rows
        started = time.process_time()
        table = vote_table(ballots, 0.5, seed=1)  # type: ignore[arg-type]
        counted = time.process_time() - started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        line = (
            f"{kind:<6}{documents:>8,} documents x {RESPONSES}: maj@k for all k {counted:.1f} s, extracting and "
            f"normalising {extracted:.1f} s, peak {memory / 1e9:.2f} GB, "
            f"maj@1 {table.score[:, 0].mean():.3f}, maj@{RESPONSES} {table.score[:, -1].mean():.3f}"
        )
        if kind == "label":
            sample = ballots[:: max(1, documents // 50)][:50]
            peer = naive(sample, seed=1) / len(sample) * documents  # type: ignore[arg-type]
            line += f"; subsets by hand {peer:.0f} s: {peer / counted:.0f} times as long"
        aim = documents / 100_000 * AIM_SECONDS
        print(f"{line}; aim {aim:.0f} s: ratio {(counted + extracted) / aim:.2f}, memory {memory / AIM_BYTES:.2f}")


if __name__ == "__main__":
    main()
