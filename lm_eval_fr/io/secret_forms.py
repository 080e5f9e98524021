"""How a secret may be written: as it is, encoded as a whole, or with any of its characters escaped."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

MASK = "[redacted]"
MOST_ESCAPED = 12  # bytes of a character that is escaped
_MARKS = (*(mark + digit for mark in (b"\\u00", b"\\x", b"%") for digit in (b"2", b"3", b"4", b"5", b"6", b"7")), b"&#")
_MARKED = frozenset("\"'/\\")  # characters escaped with a single backslash


def forms_of(secret: str) -> Iterator[str]:
    """Every way in which programs encode it as a whole: in JSON, in an address, in hexadecimal, and in base64,
    where the text before it (`Bearer`, a user's name) shifts its letters."""
    yield from (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield from (quoted := quote(secret, safe=""), re.sub("%..", lambda found: found[0].lower(), quoted))
    data = secret.encode("utf-8", "surrogatepass")
    yield from (data.hex(), data.hex().upper())
    for shift in range(3):
        # Letters that share bits with the neighbouring text are left out.
        left, right = (0, 2, 3)[shift], (0, 3, 2)[(shift + len(data)) % 3]
        for coded in (base64.b64encode(bytes(shift) + data), base64.urlsafe_b64encode(bytes(shift) + data)):
            yield coded.decode()[left : -right or None]


class Secrets:
    """The secrets that a reply may echo, in forms that can be found in its bytes, whose escapes a reader would undo."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = tuple(dict.fromkeys(secrets))
        self._forms = sorted({form.encode() for secret in known for form in forms_of(secret)}, key=len, reverse=True)
        self._whole = re.compile(b"|".join(map(re.escape, self._forms)))
        self._escaped = [re.compile("".join(map(_escapes, secret)).encode()) for secret in known]
        self._always = any(_MARKED & set(secret) for secret in known)
        self.longest = max(map(len, self._forms), default=0) * MOST_ESCAPED

    def mask(self, data: bytes) -> bytes:
        if any(form in data for form in self._forms):
            data = self._whole.sub(MASK.encode(), data)
        if self._always or any(mark in data for mark in _MARKS):  # a check that is much faster than the patterns
            for pattern in self._escaped:
                data = pattern.sub(MASK.encode(), data)
        return data


class MaskedBody:
    """A body that arrives in parts, without `secrets`."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._held = b""

    def next(self, part: bytes) -> bytes:
        """What can be passed on: not the last bytes, which might be the beginning of a secret."""
        data = self._secrets.mask(self._held + part)
        ready = max(0, len(data) - self._secrets.longest + 1)
        self._held = data[ready:]
        return data[:ready]

    def rest(self) -> bytes:
        return self._held


def _escapes(character: str) -> str:
    """A pattern of the character as it is or escaped, in the way of JSON (of JSON in JSON, too), of Python, of
    addresses or of HTML."""
    code = ord(character)
    itself = re.escape(character)
    if code > 0x7F:
        return itself
    if character in _MARKED:
        itself = rf"\\{{0,4}}{itself}"
    digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{code:02x}")
    return rf"(?:{itself}|\\\\{{0,3}}(?:u00|x){digits}|%(?:25)?{digits}|&#(?:0{{0,4}}{code}|[xX]0{{0,4}}{digits});)"
