# Two commands on a machine that has only Python (3.11 or newer) and make:
#
#   make demo          install into .venv, then rank a demonstration and write a report to demo/
#   make test          install, with what the tests need, then run all tests but the slow ones
#
# and for those who change the code:
#
#   make check         the fast tests: the algebra, the statistics, the package itself
#   make test-all      every test, the slow ones too
#   make test-oldest   the core's tests with the oldest versions that pyproject.toml allows
#   make lint          style, types, which way imports point, and words
#   make format        put code and imports into shape
#   make docs          build the site into site/; a warning is an error
#   make cov           run the tests and print which lines and branches none of them reaches
#   make audit         look for known vulnerabilities in the versions of constraints.txt; needs a network
#   make lock          write hashes.txt, the hashes of these versions
#   make mutants       break single lines and print which breaks no test notices
#   make soak          attack for an hour: damaged files, kills, flipped bits, votes (SOAK=short: ten minutes)
#   make clean         remove what was installed and made here
#
#   PYTHON=python3.12       the interpreter that .venv is made with
#   WORKERS=8               how many processes run tests
#   ARGS="--seed 7"         more arguments for `avreward demo`, pytest or the mutants
#
# On x86-64 Linux, PyPI's torch brings several GB of CUDA packages. To take the build without them:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
ARGS ?=

RUN := $(VENV)/bin/python -m
# One thread a worker: torch's threads of several workers would wait for each other on the same cores.
PARALLEL := -n $(WORKERS) --dist worksteal
PYTEST := OMP_NUM_THREADS=1 $(RUN) pytest $(PARALLEL)
# torch by itself and first: a resolver that meets it last may already have settled on another build.
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint
PIP := $(VENV)/bin/python $(INSTALL) constraints.txt

FAST := tests/rewards tests/preferences tests/evaluation tests/test_errors.py tests/test_extras.py tests/test_package.py \
  tests/packaging
# Tests that need no extra; those of a rater with weights skip themselves.
CORE := tests/audit tests/cli tests/datasets tests/evaluation tests/generators tests/media tests/preferences tests/raters/signals \
  tests/report tests/rewards tests/scoring tests/selection tests/studies tests/training tests/test_clip.py tests/test_demo.py \
  tests/test_errors.py tests/test_package.py
OLDEST := $(VENV)-oldest

.DELETE_ON_ERROR:
.PHONY: demo test check test-all test-oldest lint format docs cov audit lock mutants soak clean

demo: $(VENV)/.installed
	$(VENV)/bin/avreward demo $(ARGS)

test: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow" $(ARGS)

check: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow" $(FAST) $(ARGS)

test-all: $(VENV)/.installed-dev
	$(PYTEST) $(ARGS)

test-oldest: $(OLDEST)/.installed
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest $(PARALLEL) -m "not slow" $(CORE) $(ARGS)

lint: $(VENV)/.installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python scripts/check_words.py

format: $(VENV)/.installed-dev
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict --quiet

soak: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python tests/attacks/soak.py --scale $(if $(filter short,$(SOAK)),0.15,1) $(ARGS)

cov: $(VENV)/.installed-dev
	$(PYTEST) --cov --cov-report term:skip-covered $(ARGS)

audit: $(VENV)/bin/python
	$(VENV)/bin/python scripts/audit.py

# Every file of a version on PyPI, for all systems. Python 3.11.9, since some tools need more than 3.11.0.
lock: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	{ head -n 3 hashes.txt; $(VENV)/bin/python -m uv pip compile constraints.txt --no-deps --generate-hashes --python-version 3.11.9 \
	  --no-header --no-annotate --quiet; } > hashes.new
	mv hashes.new hashes.txt

mutants: $(VENV)/.installed-dev
	$(VENV)/bin/python benchmarks/mutants.py $(ARGS)

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

$(OLDEST)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(OLDEST)
	$(PYTHON) tests/packaging/oldest.py > $(OLDEST)/oldest.txt
	$(OLDEST)/bin/python $(INSTALL) constraints.txt torch
	$(OLDEST)/bin/python $(INSTALL) constraints.txt hypothesis kaldi-native-fbank pytest pytest-timeout pytest-xdist
	$(OLDEST)/bin/python $(INSTALL) $(OLDEST)/oldest.txt --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(OLDEST) .venv-audit demo build dist site htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
