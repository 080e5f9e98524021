"""A run on disk, as lm-eval wrote it, into typed objects.

find      which files of a folder are the run: the newest of each task, or its shards
results   results_<ISO>.json
samples   samples_<task>_<ISO>.jsonl, one whole sample at a time
columns   the same file as arrays of scores, by the million; parallel shares large ones between two processes
prompts   one prompt in the three forms in which lm-eval logs it
"""

from lm_eval_fr.logs.find_run import Run, find_run
from lm_eval_fr.logs.samples import Sample, SampleFile, TaskLog, read_responses, read_samples, task_as_asked

__all__ = ["Run", "Sample", "SampleFile", "TaskLog", "find_run", "read_responses", "read_samples", "task_as_asked"]
