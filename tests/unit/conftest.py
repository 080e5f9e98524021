"""What `datasets` prepares from local folders goes into a folder of this process, not into the user's cache."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Read once, when `datasets` is imported: too early for a fixture. Each xdist worker has its own.
_CACHE = tempfile.mkdtemp(prefix="lm-eval-fr-datasets-")
os.environ["HF_DATASETS_CACHE"] = _CACHE
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
