SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Exact versions with hashes, for Python 3.11 and later; an older one resolves pyproject.toml's ranges. What the lock does
# not hold (torch, whose build differs by machine) is installed after it, from pyproject.toml.
LOCK := $(shell $(PYTHON) -c 'import sys; print("--require-hashes --no-deps -r requirements.lock" if sys.version_info >= (3, 11) else "")' 2>/dev/null)
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/.ready: pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -z '$(LOCK)' || $(BIN)/python -m pip install --quiet $(LOCK)
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

demo: .venv/.ready ## prepare, generate, train, evaluate and report on the embedded default (minutes, no GPU, no key)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo.sh

lint: .venv/.ready ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## lint, types and all quick tests
	# One thread a process: two that spin for each other on two cores are a hundred times slower.
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal -m "not slow"

test-slow: .venv/.ready ## what takes minutes: whole recipes and trainings
	$(BIN)/pytest -q -m slow

clean: ## remove the environment, caches and every run
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	find outputs -mindepth 1 ! -name .gitkeep -delete
