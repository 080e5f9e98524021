"""One arm in a process of its own, which ends with the study that it belongs to.

An engine's memory is freed, and a crash does not take the study down. The arm leads a session of its own:
whatever ends the study (a signal, a kill, a closed terminal) ends the arm and every process that it has started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

RESUME = "LM_EVAL_FR_RESUME"
"""In an arm of a study: the command that resumes the study. The study prints the last words."""
LABEL = "LM_EVAL_FR_LABEL"
"""In an arm of a study: the study's name for it."""
PARENT = "LM_EVAL_FR_PARENT"
"""In an arm of a study: the study's process."""
GRACE = 10.0  # seconds to shut down: an arm closes its cache, an engine its processes
LOOK_EVERY = 0.5
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Child:
    """command: resumes the study. label: its name for the arm.

    quiet: show the arm's output only if it fails. full: show lm-eval's tables on stderr.
    """

    command: str
    label: str
    quiet: bool
    full: bool

    def run(self, flags: Sequence[str], folder: Path) -> int:
        """Runs `lm-eval-fr run FLAGS` in `folder`; its exit code, or minus the signal that ended it."""
        if not self.quiet:
            return self._wait(flags, folder, None)
        with tempfile.TemporaryFile() as kept:
            code = self._wait(flags, folder, kept)
            if code:
                kept.seek(0)
                sys.stderr.write(kept.read().decode("utf-8", "replace"))
            return code

    def _wait(self, flags: Sequence[str], folder: Path, kept: IO[bytes] | None) -> int:
        line = [sys.executable, "-m", "lm_eval_fr", "run", *flags]
        environment = {**os.environ, RESUME: self.command, LABEL: self.label, PARENT: str(os.getpid())}
        # lm-eval prints its tables on stdout, which belongs to the report.
        tables = kept or (_stderr() if self.full else subprocess.DEVNULL)
        process = subprocess.Popen(
            line, cwd=folder, stdout=tables, stderr=kept, env=environment, start_new_session=True
        )
        try:
            return process.wait()
        finally:
            _end(process)


def _stderr() -> int:
    with suppress(OSError, ValueError, AttributeError):  # a notebook's stream has no file number
        return sys.stderr.fileno()
    return 2


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the arm if it is running, and its leftover processes; a second interrupt kills them at once."""
    try:
        limit, there = time.monotonic() + GRACE, _signal_all(process, signal.SIGTERM)
        while there and time.monotonic() < limit and (process.poll() is None or _signal_all(process, 0)):
            time.sleep(0.05)
    finally:
        _signal_all(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()


def _signal_all(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether a process was there to receive it."""
    if not hasattr(os, "killpg"):
        if (alive := process.poll() is None) and number:
            process.terminate()
        return alive
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def live_no_longer_than_the_study() -> None:
    """Called in the arm's process: ends it when the study's process has gone. Does nothing outside a study."""
    parent = os.environ.pop(PARENT, "")  # an engine's processes are not children of the study
    if not parent.isdecimal():
        return
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    threading.Thread(target=_watch, args=(int(parent),), name="study", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(128 + signal.SIGTERM)
