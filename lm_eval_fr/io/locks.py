"""One process at a time: a lock beside a file or folder, which the system releases however its owner ends."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lm_eval_fr.errors import LmEvalFrError, UsageError


class Lock:
    """Holds `path` (a file, or a folder's file such as OUT/study) until `release` or the end of the process.

    Raises `kind` (UsageError) if another process, or another Lock of this one, holds it.
    """

    def __init__(
        self,
        path: Path,
        *,
        kind: type[LmEvalFrError] = UsageError,
        remedy: str = "wait until it ends, or give another --out",
    ) -> None:
        self._owner = path.with_name(f".{path.name}.owner")
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), thread_local=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise kind(f"in use by {self._holder()}", where=path, remedy=remedy) from None
        except (OSError, NotImplementedError) as error:
            said = getattr(error, "strerror", None) or str(error)
            what = f"{path.parent} is not a folder" if isinstance(error, FileExistsError) else said
            raise kind(f"cannot be locked: {what}", where=path, remedy="give an --out that can be written") from None
        with suppress(OSError):
            self._owner.write_text(str(os.getpid()), encoding="ascii")

    def release(self) -> None:
        if self._lock.is_locked:
            with suppress(OSError):
                self._owner.unlink()
            self._lock.release()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _holder(self) -> str:
        try:
            return f"process {int(self._owner.read_bytes()[:20])}"
        except (OSError, ValueError):
            return "another process"
