SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Tests that run commands and servers wait for half of their time: one more than there are cores, at most 8.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 8 ? n + 1 : 8)))
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help demo quick test test-slow bench-gpu lint clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/.ready: pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	# Exact versions with hashes. What the lock does not hold (torch, whose build differs by machine) comes after it.
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

demo: .venv/.ready ## prepare, generate, train, evaluate and report on the embedded default (minutes, no GPU, no key)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo.sh

lint: .venv/.ready ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

quick: .venv/.ready ## lint, types, and the tests of what changed: while you work
	$(BIN)/python scripts/quick.py

test: lint ## lint, types, all quick tests and the examples in docstrings
	# One thread a process: two that spin for each other on two cores are a hundred times slower.
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m "not slow"
	OMP_NUM_THREADS=1 $(BIN)/pytest -q --doctest-modules src/seke --ignore=src/seke/conf --ignore=src/seke/commands

test-slow: .venv/.ready ## what takes minutes: whole recipes and trainings
	# A file's tests go to one process: they share trained models, and a Ray driver joins whatever cluster is there.
	# As above; trainings that ask for two threads have them, and threads that wait do not spin.
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/pytest -q -n 2 --dist loadfile -m slow

bench-gpu: ## what this code does on your GPU, in one table (8 minutes, no download; installs nothing)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/gpu_check.sh

clean: ## remove the environment, caches and every run
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	find outputs -mindepth 1 ! -name .gitkeep -delete
