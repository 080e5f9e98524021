# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Compiled modules are kept, whatever the environment says: tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE
# One worker takes a whole file, so that what a module sets up is set up once; long files first, as they are collected.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test lint e2e study format golden coverage clean

demo: $(VENV)/.base
	@echo "running the demo: two built-in arms on built-in French texts, no GPU, no key (about 20 s)"
	@$(BIN)/lm-eval-fr demo --out demo-out

test: $(VENV)/.test
	$(PYTEST)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

e2e: $(VENV)/.test
	$(BIN)/python -m pytest -m engines tests -n 0 -s --timeout 1500

# docs/study.md: two small real models with known damage, about three hours on two cores; rerun it to resume. Never in CI.
STUDY_FLAGS ?=
study: $(VENV)/.study
	$(BIN)/python tests/e2e/environments.py nvfp4 vllm
	$(BIN)/python -m scripts.ladder plans/ladder.yaml --out study-out $(STUDY_FLAGS)
	$(BIN)/python -m scripts.ladder plans/ladder-smollm2.yaml --out study-out/smollm2 $(STUDY_FLAGS)

format: $(VENV)/.test
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# Rewrites tests/golden/ from what the code prints now; read the diff before committing it.
golden: $(VENV)/.test
	LM_EVAL_FR_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -n 0 tests/golden

# What no test reaches; not part of CI.
coverage: $(VENV)/.test
	$(BIN)/python -m pip install --quiet 'pytest-cov>=7' 'coverage>=7.10'
	$(PYTEST) --cov --cov-report term-missing

clean:
	rm -rf $(VENV) demo-out build dist

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lm-eval-fr needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(BIN)/python
	@echo "installing lm-eval-fr and lm-evaluation-harness into $(VENV) (one to three minutes, about 1 GB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.study: pyproject.toml | $(BIN)/python
	@echo "installing lm-eval-fr with llama.cpp's wheel into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[study]'
	@touch $@ $(VENV)/.base

$(VENV)/.test: pyproject.toml | $(BIN)/python
	@echo "installing lm-eval-fr with its test tools into $(VENV) (two to four minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.base
