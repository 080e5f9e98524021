"""Pairs of answers for the report's tests: ordinary French ones, and ones that want to be markup."""

from __future__ import annotations

import hashlib
import random

from lm_eval_fr.report.sample_cards import Card

SENTENCE = (
    "la ville de Lyon fut fondée par les Romains et devint une capitale du commerce de la soie sur les bords du Rhône "
    "puis un centre de l'industrie où l'été dure jusqu'à septembre"
)
WORDS = SENTENCE.split()

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    '<!--<script>-->"\'><img src="http://127.0.0.1:9/x.png" onerror="window.hacked = 3">',
    '<svg onload="window.hacked = 4"><animate onbegin="window.hacked = 5" attributeName="x" dur="1s"/></svg>',
    "{{ 7 * 7 }} {% for x in y %} ${7 * 7} #{7 * 7} <%= 7 * 7 %>",
    "\u202eevil.exe\u202c \u2066isolé\u2069 \u200bzéro\u200d \ufeff \x00\x07\x1b[2J",
    "\u2028\u2029 ]]> <![CDATA[ &lt;b&gt; &amp;amp; \\u003cscript\\u003e",
    "javascript:window.hacked=6 <a href=javascript:window.hacked=7>x</a> <base href='http://127.0.0.1:9/'>",
    "<style>*{display:none}</style><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "مرحبا بالعالم שלום עולם <b dir=rtl>",
    "a" * 100_000,
    "mot " * 25_000,
    "```\n</div></section></main></body></html>\n```",
    "\ud800 lone surrogate",
)


def text(seed: int, words: int) -> str:
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS) for _ in range(words))


def doc_hash(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def a_gold_card(number: int, *, change: float = 0.0, flags: tuple[str, ...] = ()) -> Card:
    reference = (1.0 - change) / 2 if change else 1.0
    return Card(
        task="piaf_fr",
        position=number,
        doc_id=number,
        doc_hash=doc_hash(number),
        cluster=f"Article {number % 7}",
        prompt=f"Texte : {text(number % 7, 60)}\n\nQuestion {number} : quelle est la ville ?",
        gold="Lyon",
        candidate=text(number, 4) if change else "Lyon",
        reference="Lyon",
        difference=change,
        scores={"f1": (reference + change, reference)},
        flags=flags,
    )


def a_judged_card(number: int, outcome: str) -> Card:
    orders = {
        "win": ("A", "B"),
        "loss": ("B", "A"),
        "tie": ("tie", "tie"),
        "flip": ("A", "A"),
        "split": ("tie", "A"),
        "invalid": ("A", "invalid"),
    }
    first, second = orders[outcome]
    words = text(number, 80).split()
    words[10] = "étonnamment"
    return Card(
        task="analysis_fr",
        position=number,
        doc_id=number,
        doc_hash=doc_hash(10_000 + number),
        prompt=f"Résumez en trois points. {text(number, 120)}",
        gold="",
        candidate=" ".join(words),
        reference=text(number, 80),
        difference={"win": 1.0, "loss": -1.0, "invalid": None}.get(outcome, 0.0),
        flags=(outcome,),
        verdicts={"candidate_first": first, "reference_first": second},
        reasons={"candidate_first": "Plus fidèle au texte.", "reference_first": "Réponse plus complète."},
    )


def ordinary() -> tuple[Card, ...]:
    """Sixty pairs of two tasks: 5 lost, 3 gained, and each outcome of the judge four times."""
    gold = [
        a_gold_card(i, change=-1.0, flags=("lost",))
        if i < 5
        else a_gold_card(i, change=1.0, flags=("gained",))
        if i < 8
        else a_gold_card(i)
        for i in range(36)
    ]
    judged = [a_judged_card(i, ("win", "loss", "tie", "flip", "split", "invalid")[i % 6]) for i in range(24)]
    return (*gold, *judged)


def hostile() -> tuple[Card, ...]:
    """Every hostile text in every field of a card."""
    return tuple(
        Card(
            task=f"task{evil[:200]}",
            position=i,
            doc_id=i,
            doc_hash=doc_hash(i),
            cluster=evil[:300],
            strata=(evil[:300],),
            prompt=evil,
            gold=evil,
            candidate=evil,
            reference=HOSTILE[(i + 1) % len(HOSTILE)],
            difference=-0.5,
            scores={evil[:50]: (0.0, 0.5)},
            flags=("lost",),
            verdicts={"candidate_first": "A", "reference_first": "invalid"},
            reasons={"candidate_first": evil, "reference_first": evil},
        )
        for i, evil in enumerate(HOSTILE)
    )
