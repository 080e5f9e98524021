"""Files written whole or not at all: to a temporary name first, then moved into place."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lm_eval_fr.errors import UsageError


def matching(path: Path) -> list[Path]:
    """What `path` names: itself if it exists, otherwise what it matches as a pattern."""
    if path.exists():
        return [path]
    if not any(sign in str(path) for sign in "*?["):
        return []
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def write_atomic(path: Path, content: str | bytes, *, durable: bool = False, remedy: str = "") -> None:
    """Replaces `path` by `content` (text as UTF-8). Raises UsageError where it cannot be written."""
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    with atomic_file(path, durable=durable, remedy=remedy) as out:
        out.write(data)


@contextmanager
def atomic_file(path: Path, *, durable: bool = False, remedy: str = "") -> Iterator[BinaryIO]:
    """A file to write to, which appears at `path` only if the block succeeds.

    durable: its name is on disk too when the block ends. A pipe or a device is written to directly. Raises UsageError
    if it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as stream:
                yield stream
            return
        target = path.resolve()  # a link stays a link
        draft = target.with_name(f".{target.name[:100]}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            with draft.open("xb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            if target.exists():
                draft.chmod(target.stat().st_mode & 0o7777)
            draft.replace(target)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        if durable:
            sync_folder(target.parent)
    except OSError as error:
        advice = "free some space on that disk" if error.errno == errno.ENOSPC else remedy or "give another path"
        raise UsageError(f"cannot be written: {error.strerror or error}", where=path, remedy=advice) from error


def sync_folder(folder: Path) -> None:
    """Syncs the names in `folder` to disk, on systems that can."""
    with suppress(OSError):  # Windows opens no folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
