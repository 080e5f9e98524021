"""A run on disk, as lm-eval wrote it, into typed objects.

find_run         which files of a folder are the run: the newest of each task, or its shards
results          results_<ISO>.json
read_task        one task: its samples files, metrics, filters, shards
samples          samples_<task>_<ISO>.jsonl, one whole sample at a time
reply_records    responses_<task>_<ISO>.jsonl: how each reply ended and what it used
columns          the same file as arrays, by the million; parallel shares large ones between two processes
aggregates       a document's score, held against the aggregate that lm-eval printed
logged_prompts   one prompt in the three forms in which lm-eval logs it
"""

from lm_eval_fr.logs.find_run import Run, find_run
from lm_eval_fr.logs.samples import Sample, read_samples, task_as_asked
from lm_eval_fr.logs.task_log import TaskLog

__all__ = ["Run", "Sample", "TaskLog", "find_run", "read_samples", "task_as_asked"]
