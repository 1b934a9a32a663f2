# Two commands on a machine that has only Python (3.11 or newer) and make:
#
#   make demo    install into .venv, then rank a demonstration and write a report to demo/
#   make test    install, with what the tests need, then run them
#
# and for those who change the code:
#
#   make lint    style, types, and which way imports point
#   make clean   remove what was installed and made here
#
#   PYTHON=python3.12       the interpreter that .venv is made with
#   WORKERS=8               how many processes run tests
#   ARGS="--seed 7"         more arguments for `avreward demo` or pytest
#
# On x86-64 Linux, PyPI's torch brings several GB of CUDA packages. To take the build without them:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
ARGS ?=

RUN := $(VENV)/bin/python -m
# torch by itself and first: a resolver that meets it last may already have settled on another build.
PIP := $(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DELETE_ON_ERROR:
.PHONY: demo test lint clean

demo: $(VENV)/.installed
	$(VENV)/bin/avreward demo $(ARGS)

# One thread a worker: torch's threads of several workers would wait for each other on the same cores.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(RUN) pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(VENV)/.installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: '$(PYTHON)' is not a Python 3.11 or newer; name one, such as: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' can't make virtual environments; on Debian or Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps are newer than what they were made from, so nothing is installed twice.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV); the first time takes a few minutes"
	$(PIP) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
