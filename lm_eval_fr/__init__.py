"""Did a change of serving cost quality on French work? Paired lm-evaluation-harness runs, a blind judge, a verdict.

Importing this package imports none of torch, transformers, datasets or lm_eval: they are loaded where they are used.
"""

__version__ = "0.1.0"
