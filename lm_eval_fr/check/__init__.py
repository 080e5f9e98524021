"""The preflight of a study, and the questions that scripts/serve.py asks a server that has just come up."""
