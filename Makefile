# Every command of the project. Targets that need the environment make it first.
# Works with GNU make 3.81 (macOS) and later; uv is used where it is installed, pip otherwise.

SHELL := /bin/sh
VENV  := .venv
BIN   := $(VENV)/bin
EDITION ?= open_table
STAMP := $(VENV)/.made-from-lock

# The newest Python of those that the lock is tested with, else any that is new enough.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
  "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo "$$p"; exit; }; done; \
  for p in python3 python; do "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; exit; }; done)

# Numerical libraries start one thread for each core in every worker; two workers on two cores need one.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help env book site test test-all lab fmt lint type runs lessons records mutants faults bench course plain pythons ci lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

env: $(STAMP)  ## the environment .venv, from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "precsim needs Python 3.11 or newer on the PATH (or: make PYTHON=/path/to/python3 $(MAKECMDGOALS))"; exit 1; }
	@echo "environment: $$($(PYTHON) --version) in $(VENV), about 1 GB, some minutes the first time"
	@if command -v uv >/dev/null 2>&1; then \
	  { test -x $(BIN)/python || uv venv --quiet --python "$$(command -v $(PYTHON))" $(VENV); } && \
	  VIRTUAL_ENV=$(VENV) uv pip install --quiet --require-hashes -r requirements.lock && \
	  VIRTUAL_ENV=$(VENV) uv pip install --quiet --no-deps --no-build-isolation -e . ; \
	else \
	  { test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "this Python cannot make environments; on Debian and Ubuntu: apt install python3-venv"; exit 1; }; } && \
	  $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@

book: $(STAMP)  ## build and execute the book; PAGE=3-training/populations: that page only; LIVE=1: train all that pages load
	$(BIN)/python book/build.py $(if $(PAGE),--page $(PAGE)) $(if $(filter-out 0,$(LIVE)),--live)

site: book  ## what is published, in dist/site: pages, sitemap, 404; URL=https://example.org/precsim: where it will be
	$(BIN)/python book/publish.py $(or $(URL),$(error make site URL=https://where-it-will-be))

test: $(STAMP)  ## the fast tests
	$(TEST) -n 2 --dist worksteal -m "not slow and not weekly" -p no:benchmark $(ARGS)

test-all: book  ## also slow tests, the examples in docstrings, exercises in nbgrader, every page in a browser
	$(TEST) -n 2 --dist worksteal -m "not weekly" -p no:benchmark --doctest-modules precsim tests $(ARGS)

lab: $(STAMP)  ## JupyterLab with the book and the exercises
	$(BIN)/python -m precsim.course lab

fmt: $(STAMP)  ## format the code
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

lint: $(STAMP)  ## style, docstrings, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(STAMP)  ## types
	$(BIN)/basedpyright

runs: $(STAMP)  ## the sweeps behind precsim/data that are still missing: an hour of a GPU; EDITION=precsim-2027: the second
	$(BIN)/python -m precsim.evidence.experiments.make --edition $(EDITION)

lessons: $(STAMP)  ## train again what the pages load from precsim/data/lessons: some minutes; NAMES=seeds: these only
	$(BIN)/python -m precsim.evidence.experiments.lessons $(NAMES)

records: $(STAMP)  ## what we computed from public tables; TABLES=folder has them
	$(BIN)/python -m precsim.evidence.records $(TABLES)

mutants: $(STAMP)  ## small changes to fits and laws that some test must notice; ARGS=WORD for some of them
	OMP_NUM_THREADS=1 $(BIN)/python tests/support/mutants.py $(ARGS)

faults: $(STAMP)  ## sweeps and stores that are killed, stopped, cut and left without room: ten minutes
	$(TEST) -m faults -p no:benchmark tests/training/test_faults.py $(ARGS)

bench: $(STAMP)  ## speed, as ratios
	$(BIN)/python -m pytest tests/bench $(ARGS)

course: $(STAMP)  ## student notebooks, wheel without answers, answer key; a class to grade: precsim course init FOLDER
	$(BIN)/python -m precsim.course build
	$(BIN)/python -m hatchling build -t wheel -d dist/course

plain: $(STAMP)  ## the wheel without extras, in an empty environment
	$(BIN)/python tests/plain_install.py

# What depends on the Python is tested on each that the README names, from the PATH or from pyenv. Left out there: the
# book and its pages in a browser, which are built once, and slow tests, which ask about numbers, not about the Python.
# Three times everything would be an hour and a half on two cores.
pythons: $(STAMP)  ## the fast tests on the other Pythons of this machine; says which it has not
	@here=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	for version in 3.11 3.12 3.13; do \
	  test "$$version" = "$$here" && continue; \
	  found=; for python in python$$version "$$HOME"/.pyenv/versions/$$version.*/bin/python; do \
	    "$$python" -c '' 2>/dev/null && { found=$$python; break; }; done; \
	  test -n "$$found" || { echo "Python $$version is not on this machine: not tested"; continue; }; \
	  echo "the fast tests on Python $$version ($$found)"; \
	  $(MAKE) --no-print-directory VENV=.venv-$$version PYTHON=$$found env && \
	  OMP_NUM_THREADS=1 .venv-$$version/bin/python -m pytest -n 2 --dist worksteal -q -p no:benchmark \
	    -m "not slow and not weekly and not book and not browser" $(ARGS) || exit 1; \
	done

ci:  ## what .ci/run runs; the book is built on the way (make pythons: by hand)
	$(MAKE) --no-print-directory -j2 lint type plain
	$(MAKE) --no-print-directory test-all

lock: $(STAMP)  ## solve the dependencies again into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --quiet --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header -o requirements.lock

clean:  ## remove what was built (not the environment, never a class)
	@! find dist _build -name gradebook.db -o -name submitted 2>/dev/null | grep . || \
	  { echo "the above belongs to a class: move it out of what is built, then make clean"; exit 1; }
	rm -rf _build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks book/_assets/vendor
