"""Reads a run on disk, as lm-eval wrote it, into typed objects."""

from lm_eval_fr.logs.find_run import Run, find_run
from lm_eval_fr.logs.samples import Sample, read_samples, task_as_asked
from lm_eval_fr.logs.task_log import TaskLog

__all__ = ["Run", "Sample", "TaskLog", "find_run", "read_samples", "task_as_asked"]
