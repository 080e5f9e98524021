"""The messages of one call, and the parser of the reply.

    system   what judging is, the rubric, the reply's form           the same for a whole run
    user     the task as the arms were given it, source text too     the same in both orders: the cache pays for it once
             answer A, then answer B, each after its fence           all that differs

Nothing here knows an arm, a model or a file. A text cannot break out of its place: every line of it starts with
"> ", and our own lines never do.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from lm_eval_fr.judge.asking.judge_instructions import WORDS, Words, instructions
from lm_eval_fr.judge.asking.protocol import VERDICTS, Fences, Message, Order, Profile, Read, Rubric
from lm_eval_fr.judge.asking.sanitize import neutralise, quote, unquote

_FAULTS = {"type": "array", "items": {"type": "string"}}
VERDICT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "faults_a": _FAULTS,
        "faults_b": _FAULTS,
        "reason": {"type": "string"},
        "verdict": {"type": "string", "enum": list(VERDICTS)},
    },
    "required": ["faults_a", "faults_b", "reason", "verdict"],
    "additionalProperties": False,
}
RULE = "====="
_THOUGHT = re.compile(r"\A<think>.*?</think>", re.DOTALL)
KEYED_CHARS = 2000  # of the task: enough to tell articles apart
CACHE_KEYS = 16  # in total: the instructions are cached once per key, and a provider limits the rate per key
CHARS_PER_TOKEN = 3.0  # French text, on the safe side: published tokenizers give 3.3 to 4.5
CACHED_BYTES = (
    4300  # of instructions and schema: at 4.06 bytes a token (o200k on ours), the 1,024 that are cached at all
)
RESERVED_TOKENS = 500  # a chat template's own tokens, and the reply where the profile sets no limit
LEAST_SHOWN = 2000  # characters of both answers together that are always shown, however long the task


def render(
    rubric: Rubric,
    task_system: str | None,
    task_text: str,
    candidate_answer: str,
    reference_answer: str,
    order: Order,
    fences: Fences,
    *,
    examples: bool = False,
    breakpoint: bool = False,
    context: int | None = None,
    reply_tokens: int = 0,
) -> list[Message]:
    """One system and one user message. Exchanging both the answers and the order changes nothing.

    `context` in tokens: longer answers are cut to one length, and the cut is shown.

    With `breakpoint` the user message is two text parts, and a cache breakpoint ends the shared one.
    """
    words = WORDS[rubric.language]
    system = instructions(rubric, examples=examples)
    shared = _shared(task_system, task_text, words, fences)
    answers = [candidate_answer, reference_answer]
    if order == "reference_first":
        answers.reverse()
    shown = [neutralise(answer, fences) for answer in answers]
    keep = None
    if context is not None:
        room = CHARS_PER_TOKEN * (context - reply_tokens - RESERVED_TOKENS) - len(system) - len(shared)
        keep = _common_length([len(text) for text in shown], max(LEAST_SHOWN, int(room)))
    blocks = [
        _block(f"{words.answer} {label}", code, text, words, keep)
        for label, code, text in zip("AB", fences[1:], shown, strict=True)
    ]
    rest = "\n".join([*blocks, f"{RULE} {words.end} {fences.second} {RULE}", words.close])
    parts: Any = shared + rest
    if breakpoint:
        first = {"type": "text", "text": shared, "prompt_cache_breakpoint": {"mode": "explicit"}}
        parts = [first, {"type": "text", "text": rest}]
    return [{"role": "system", "content": system}, {"role": "user", "content": parts}]


def renderer(profile: Profile, rubric: Rubric) -> partial[list[Message]]:
    """`render` by this rubric, with what the profile says of the model's context and of its cache."""
    return partial(
        render,
        rubric,
        examples=examples_pay(profile, rubric),
        breakpoint=profile.cache_breakpoint,
        context=profile.context,
        reply_tokens=profile.max_output_tokens or 0,
    )


def examples_pay(profile: Profile, rubric: Rubric) -> bool:
    """Whether the examples make the instructions long enough to be cached apart from any text.

    They then cost a quarter of the price with every new text, where without them they would cost the whole.
    """
    prices = profile.prices
    if prices.input is None or prices.cached is None or prices.cached >= prices.input or profile.cache_breakpoint:
        return False
    schema = len(json.dumps(response_format(profile), ensure_ascii=False))
    short, long = (
        len(instructions(rubric, examples=examples).encode("utf-8", "replace")) + schema for examples in (False, True)
    )
    return short < CACHED_BYTES <= long


def response_format(profile: Profile) -> dict[str, Any] | None:
    """The request's `response_format`, or None where the server is asked for none."""
    if profile.response_format == "json_schema":
        schema = {"name": "verdict", "schema": VERDICT_SCHEMA, "strict": True}
        return {"type": "json_schema", "json_schema": schema}
    return {"type": "json_object"} if profile.response_format == "json_object" else None


def request_body(profile: Profile, messages: list[Message]) -> dict[str, Any]:
    """What is sent to /v1/chat/completions, live or as a line of a batch."""
    body: dict[str, Any] = {"model": profile.model, "messages": messages, **profile.parameters}
    if (wanted := response_format(profile)) is not None:
        body["response_format"] = wanted
    return body


def shared_part(messages: list[Message]) -> str:
    """What both orders of a pair share byte for byte: the system message and the task."""
    content = messages[1]["content"]
    if isinstance(content, list):
        return f"{messages[0]['content']}\n{content[0]['text']}"
    end = min(
        at for words in WORDS.values() if (at := f"\n{content}".find(f"\n{RULE} {words.begin} {words.answer} A ")) >= 0
    )
    return f"{messages[0]['content']}\n{content[:end]}"


def cache_key(messages: list[Message]) -> str:
    """A cache key, equal for questions with a common prefix: a pair, its controls, the documents of an article."""
    beginning = shared_part(messages)[: len(messages[0]["content"]) + KEYED_CHARS]
    number = int.from_bytes(hashlib.sha256(beginning.encode()).digest()[:8], "big") % CACHE_KEYS
    return f"lm-eval-fr-{hashlib.sha256(messages[0]['content'].encode()).hexdigest()[:24]}-{number}"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a prompt shows, read back from it: texts as the judge sees them, without the "> "."""

    task: str
    first: str
    second: str
    cut: bool


def read_back(messages: list[Message]) -> Shown:
    """The texts of a rendered prompt, found by its fences alone. ValueError if they are not well formed."""
    content = messages[1]["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    words = next(w for w in WORDS.values() if text.startswith(f"{RULE} {w.begin} "))
    blocks: dict[str, list[str]] = {}
    block: list[str] | None = None
    last, cut, ended = "", False, False
    fence_line = re.compile(rf"{RULE} (?:{words.begin} (.+)|{words.end}) ([0-9a-f]+) {RULE}")
    for line in text.split("\n"):
        match = fence_line.fullmatch(line)
        if match is not None:
            name, code = match.groups()
            if ended or name in blocks or (name is None and code != last):
                raise ValueError(f"fence out of place: {line}")
            block, last, ended = None, code, name is None
            if name is not None:
                block = blocks[name] = []
        elif line.startswith(">"):
            if block is None:
                raise ValueError("a quoted line outside every fence")
            block.append(line)
        else:
            cut = cut or (block is not None and line not in ("", words.empty))
    labels = [words.task, f"{words.answer} A", f"{words.answer} B"]
    if not ended or [name for name in blocks if name != words.system] != labels:
        raise ValueError(f"fences found: {', '.join(blocks)}")
    task, first, second = (unquote(blocks[name]) for name in labels)
    return Shown(task, first, second, cut)


def parse_reply(text: str) -> Read:
    """A reply's verdict, only where the reply states it: a JSON object, bare or in one code fence.

    Prose is not searched: a judge that talks about A has not chosen A. Reasoning before
    the object is skipped.
    """
    bare = _THOUGHT.sub("", text.strip().lstrip("\ufeff")).strip()
    fenced = re.fullmatch(r"```[a-zA-Z]*[ \t]*\n(.*)\n[ \t]*```", bare, re.DOTALL)
    if not bare:
        return Read(None, problem="empty reply")
    try:
        # strict=False: without an enforced schema a judge may put a raw line break into its reason.
        value = json.loads(fenced.group(1) if fenced else bare, strict=False, object_pairs_hook=_once)
    except _TwiceError as error:
        return Read(None, problem=f"`{error}` is given twice")
    except (ValueError, RecursionError):
        return Read(None, problem="not a JSON object")
    if not isinstance(value, dict):
        return Read(None, problem="not a JSON object")
    reason = _reason(value)
    if "verdict" not in value:
        return Read(None, reason, "no verdict in the object")
    for verdict in VERDICTS:
        if value["verdict"] == verdict:
            return Read(verdict, reason)
    return Read(None, reason, f"verdict outside A, B, tie: {json.dumps(value['verdict'], ensure_ascii=False)[:40]}")


def _reason(value: dict[str, Any]) -> str:
    """The deciding difference, then the faults found, for people to read beside a verdict."""
    reason = value.get("reason")
    parts = [reason] if isinstance(reason, str) and reason else []
    for label, faults in (("A", value.get("faults_a")), ("B", value.get("faults_b"))):
        found = [fault for fault in faults if isinstance(fault, str)] if isinstance(faults, list) else []
        if found:
            parts.append(f"{label}: {'; '.join(found)}")
    return " | ".join(parts)


class _TwiceError(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _shared(task_system: str | None, task_text: str, words: Words, fences: Fences) -> str:
    blocks = [(words.system, task_system)] if task_system else []
    blocks.append((words.task, task_text))
    return "".join(
        _block(name, fences.task, neutralise(text, fences, imitations=False), words, None) + "\n"
        for name, text in blocks
    )


def _block(name: str, code: str, text: str, words: Words, keep: int | None) -> str:
    lines = [f"{RULE} {words.begin} {name} {code} {RULE}"]
    hidden = 0 if keep is None else max(0, len(text) - keep)
    lines.append(quote(text[: len(text) - hidden]) if text.strip() else words.empty)
    if hidden:
        lines.append(words.cut.format(hidden))
    return "\n".join(lines)


def _common_length(lengths: list[int], room: int) -> int | None:
    """The longest common length to which all must be cut so that together they fit; None if they fit."""
    if sum(lengths) <= room:
        return None
    return max(room - min(lengths), room // 2)
