"""AIME with repeats: lm-eval's questions, prompt and scorer, but every sample of a question is scored.

lm-eval's own `aime24` and `aime25` score the first sample only, whatever `repeats` says: 30 questions are then 30 coin
tosses. The mean over 16 samples is what publications call pass@1 (avg@16).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lm_eval_fr.tasklib.documents import Settings, as_dataset, read_records, require_unique

if TYPE_CHECKING:
    import datasets

    from lm_eval_fr.tasklib.records import Record

LONGEST_ANSWER = 100  # letters: longer is a response in which no answer was found


def load(**given: Any) -> dict[str, datasets.Dataset]:
    hub = given.get("dataset") or {}
    split = str(hub.get("split", "test"))
    task = "aime24_repeats" if split == "train" else "aime25_repeats"
    settings = Settings.read(task, given)
    records = read_records(settings)
    documents = [read_document(record) for record in records]
    require_unique(records, [document["id"] for document in documents])
    return {split: as_dataset(settings, documents)}


def read_document(record: Record) -> dict[str, str]:
    """The two data sets name their columns differently: ID, Problem, Answer against id, problem, answer."""
    fields = {name.lower(): name for name in record.values}
    answer = record.get(fields.get("answer", "answer"))
    if answer is None or not str(answer).strip():
        raise record.error("no answer", "each row has a problem and an answer")
    return {
        "id": record.identifier(fields.get("id", "id")),
        "problem": record.text(fields.get("problem", "problem")),
        "answer": str(answer).strip(),
    }


def process_results(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
    """exact_match: the share of right samples. majority: whether the commonest answer is right. any_right: pass@k."""
    samples = results[0] if len(results) == 1 and not isinstance(results[0], (str, type(None))) else results
    answers = [extract(sample or "") for sample in samples]
    right = [is_right(answer, doc["answer"]) for answer in answers]
    votes = Counter(key for key in map(vote, answers) if key)
    commonest = votes.most_common(1)[0][0] if votes else ""
    return {
        "exact_match": sum(right) / len(right) if right else 0.0,
        "majority": float(is_right(commonest, doc["answer"])),
        "any_right": float(any(right)),
    }


def extract(response: str) -> str:
    """The answer of one sample, as lm-eval's `aime` finds it: the last box, else what stands between dollar signs."""
    from lm_eval.tasks.aime.utils import last_boxed_only_string, remove_boxed

    answer = response
    dollars = [place for place, letter in enumerate(response) if letter == "$"]
    if len(dollars) > 1:
        answer = response[dollars[0] + 1 : dollars[-1]]
    boxed = last_boxed_only_string(response)
    if boxed is not None:
        with suppress(AssertionError, IndexError):
            answer = remove_boxed(boxed)
    return answer


def vote(answer: str) -> str:
    """What counts as the same answer; a sample that ended without one casts no vote."""
    from lm_eval.tasks.aime.utils import strip_string

    try:
        key = str(strip_string(answer)).strip()
    except (AssertionError, IndexError, ValueError):
        key = answer.strip()
    return key if len(key) <= LONGEST_ANSWER else ""


def is_right(answer: str, gold: str) -> bool:
    from lm_eval.tasks.aime.utils import is_equiv

    return bool(answer) and bool(is_equiv(answer, gold))
