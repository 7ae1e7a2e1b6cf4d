# `make demo` and `make test` need Python 3.11 or newer, pip and make; everything else they install
# into .venv, in the versions of constraints.txt.

PYTHON ?= python3
DATA ?= simulated

VENV := .venv
BIN := $(VENV)/bin
NEWEST := .venv-newest
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

# OpenMP's threads spin while they wait, which makes small networks many times slower wherever
# something else needs the cores.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help demo test test-newest slow lint types docs clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/runtime.stamp ## Fit a map on DATA and write figures and scores to demo/
	$(BIN)/rayot demo --data $(DATA) --out demo

test: lint types ## Check style, types and floors, and run the tests in two processes
	$(BIN)/python -m pytest --numprocesses 2

test-newest: ## Run the tests with PYTHON and the newest of everything, and write down the versions
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { \
	    echo 'The newest dependencies need Python 3.12: make test-newest PYTHON=python3.13' >&2; \
	    exit 1; }
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager \
	    --editable . --group test
	$(NEWEST)/bin/python -m pytest --numprocesses 2
	{ echo "# Versions that passed the tests last, on $$($(NEWEST)/bin/python -V); make test-newest"; \
	    $(NEWEST)/bin/python -m pip freeze --exclude-editable; } > constraints-newest.txt

slow: $(VENV)/check.stamp ## Run the tests that take long, in two processes
	$(BIN)/python -m pytest -m slow --numprocesses 2 --dist worksteal

lint: $(VENV)/check.stamp ## Check style and that rooms import only from below
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(VENV)/check.stamp ## Check types
	$(BIN)/mypy

docs: $(VENV)/docs.stamp ## Build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean: ## Remove everything that make wrote
	rm -rf $(VENV) $(NEWEST) demo dist docs/_build docs/generated docs/jupyter_execute docs/tutorials
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# Stamps: installed once, and again when the dependencies change.

$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'rayot needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...' >&2; \
	    exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/runtime.stamp: pyproject.toml constraints.txt | $(VENV)/venv.stamp
	$(INSTALL) --editable .
	@touch $@

$(VENV)/check.stamp: $(VENV)/runtime.stamp
	$(INSTALL) --group check
	@touch $@

$(VENV)/docs.stamp: $(VENV)/runtime.stamp
	$(INSTALL) --editable '.[doc]'
	@touch $@
