# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint e2e format golden clean

demo: $(VENV)/.base
	$(BIN)/lm-eval-fr demo --out demo-out

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

e2e: $(VENV)/.test
	$(BIN)/python -m pytest -m engines tests -n 0 -s --timeout 1500

format: $(VENV)/.test
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# Rewrites tests/golden/ from what the code prints now; read the diff before committing it.
golden: $(VENV)/.test
	LM_EVAL_FR_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -n 0 tests/golden

clean:
	rm -rf $(VENV) demo-out build dist

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lm-eval-fr needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.base
