"""What HTTP headers say, read in one place for everyone who calls a server."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the server asks to wait (a number, or an HTTP date against `now` in Unix time), or None.

    RFC 9110, section 10.2.3; `retry-after-ms` is OpenAI's. The names' case does not matter.
    """
    found = {name.lower(): value for name, value in headers.items()}
    with suppress(KeyError, ValueError):
        return max(0.0, float(found["retry-after-ms"]) / 1000)
    value = found.get("retry-after")
    if value is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    return None
