"""Which tokens are the answer, where a server returns the tokens of prompt and answer as one row."""

from __future__ import annotations

from collections.abc import Sequence

SLACK = 8  # letters that a token may be away from where the last one left off
LEFT_OVER = 0.1  # share of the answer that may stay without tokens: letters of several tokens, trimmed white space


def answer_start(tokens: Sequence[str], answer: str) -> int | None:
    """The index of the first token of `answer`, which the tokens end with; None where they do not.

    Read from the end, because what stands before the answer may hold marks of a chat template. A token that holds the
    prompt's end and the answer's beginning belongs to the answer. Tokens that are part of a letter, or that the server
    shows without their space, are skipped: the next one that fits sets the place again.
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
