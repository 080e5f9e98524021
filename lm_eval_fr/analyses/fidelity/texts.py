"""Which text both arms read, and which part of it is compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import parse_json, read_text
from lm_eval_fr.logs import Run, find_run, read_samples
from lm_eval_fr.logs.logged_prompts import Turn, read_prompt
from lm_eval_fr.logs.samples import Sample

SLACK = 8  # letters that a token may be away from where the last one ended
LEFT_OVER = 0.1  # share of the answer that may have no tokens: letters made of several tokens, trimmed white space
SHAPE = 'each line an object: {"text": ...}, optionally with "prompt", "id", "cluster"'


@dataclass(frozen=True, slots=True)
class Passage:
    """One text. The tokens of `scored` are compared; `prompt`, or the chat's `turns`, come before it.

    special: whether the server adds its own tokens (a beginning of text); a rendered chat template has them already.
    cluster: passages of one article share it.
    """

    id: str
    scored: str
    cluster: str
    prompt: str = ""
    turns: tuple[Turn, ...] = ()
    special: bool = True


@dataclass(frozen=True, slots=True)
class Texts:
    """passages in order; `empty` of the source's texts had nothing to compare. answers: they are a run's own."""

    passages: tuple[Passage, ...]
    empty: int
    source: str
    answers: bool = False


def read_texts(path: Path, *, limit: int | None = None, tasks: Sequence[str] = ()) -> Texts:
    """A run's own answers (a folder), a JSONL file, or plain text whose paragraphs are the documents.

    tasks: only these tasks of a run. Raises InputError when nothing can be read.
    """
    if path.is_dir():
        run = find_run(path, tasks=tasks or None)
        found, source = _of_run(run), f"the answers of {run.model}"
    else:
        found, source = _of_file(path), path.name
    passages: list[Passage] = []
    empty = 0
    for passage in found:
        if not passage.scored.strip():
            empty += 1
            continue
        passages.append(passage)
        if len(passages) == limit:
            break
    if not passages:
        raise InputError("no text to compare", where=path, remedy=f"give a run's folder, or a file: {SHAPE}")
    return Texts(tuple(passages), empty, source, path.is_dir())


def _of_run(run: Run) -> Iterator[Passage]:
    for log in run.tasks.values():
        for sample in read_samples(log):
            yield _of_sample(sample, log.cluster_field)


def _of_sample(sample: Sample, cluster_field: str | None) -> Passage:
    name = f"{sample.task}#{sample.doc_id}"
    cluster = sample.doc.get(cluster_field) if cluster_field else None
    answer = sample.responses[0] if sample.responses else ""
    prompt = read_prompt(sample.prompt, sample.rendering)
    place = name if cluster is None else f"{sample.task}: {cluster}"
    if prompt.form != "chat":
        return Passage(name, answer, place, prompt=prompt.text, special=prompt.form == "raw")
    if prompt.turns is None:
        raise InputError("the prompt is neither a chat nor a text", where=sample.path, line=sample.line)
    return Passage(name, answer, place, turns=prompt.turns)


def _of_file(path: Path) -> Iterator[Passage]:
    content = read_text(path, remedy="give UTF-8 text, JSONL or a run")
    if not content.lstrip().startswith("{"):
        for number, paragraph in enumerate(filter(str.strip, content.split("\n\n")), 1):
            yield Passage(str(number), paragraph.strip(), str(number))
        return
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            yield _of_line(line, path, number)


def _of_line(line: str, path: Path, number: int) -> Passage:
    row = parse_json(line, where=path, line=number, remedy=SHAPE)
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not isinstance(row.get("prompt", ""), str):
        raise InputError("no `text`", where=path, line=number, remedy=SHAPE)
    name = str(row.get("id", number))
    cluster = next((str(row[field]) for field in ("cluster", "title") if row.get(field) is not None), name)
    return Passage(name, row["text"], cluster, prompt=row.get("prompt", ""))


def answer_start(tokens: Sequence[str], answer: str) -> int | None:
    """The index of the first token of `answer`, if the tokens end with it; else None.

    Read from the end, because the text before the answer may contain tokens of a chat template. A token with the
    prompt's end and the answer's beginning belongs to the answer. Tokens that are part of a letter, or that the server
    shows without their space, are skipped: the next one that fits restores the position.
    """
    place, loose, start = len(answer.rstrip()), SLACK, len(tokens)
    needed = len(answer) - len(answer.lstrip())
    for index in range(len(tokens) - 1, -1, -1):
        if place <= needed:
            break
        core = tokens[index].strip()
        if not core:
            continue
        found = answer.rfind(core, max(0, place - len(core) - loose), place)
        if found >= 0:
            place, loose, start = found, SLACK, index
        elif core.endswith(answer[needed:place].strip()):
            return index
        else:
            loose += len(core) + 4
    return start if place - needed <= LEFT_OVER * len(answer) else None
