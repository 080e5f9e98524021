"""Whether the hub can be reached at all: `datasets` takes half a minute and six tries to find out."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit

HUB = "https://huggingface.co"
PATIENCE = 4.0  # seconds for a connection


def hub_address() -> str:
    return os.environ.get("HF_ENDPOINT") or HUB


@cache
def reachable(address: str) -> bool:
    """Whether a connection to the server, or to the proxy in front of it, can be made."""
    parts = urlsplit(address)
    if not urllib.request.proxy_bypass(parts.netloc):
        proxy = urllib.request.getproxies().get(parts.scheme)
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else parts
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "", port), PATIENCE):
            return True
    except (OSError, ValueError):
        return False


@contextmanager
def cache_only() -> Iterator[None]:
    """`datasets` uses what is on this machine, or fails at once."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
