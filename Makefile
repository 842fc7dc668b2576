# Everything runs in .venv, which is made on first use. PYTHON picks the interpreter; TORCH is what pip is given for
# torch, e.g. TORCH='torch --index-url https://download.pytorch.org/whl/cpu'.
PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p; done))
TORCH ?= torch
PYTEST_FLAGS ?= -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test checks lint typecheck floors pytest bench docs clean

help: ## show the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## make .venv and install the package and its tools

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 is needed: install it, or give make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(TORCH)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	@touch $(READY)

demo: $(READY) ## the whole job on the bundled world: train, evaluate, score, report (three to seven minutes)
	$(BIN)/dina-lrm demo --out demo

test: checks pytest ## everything that must hold

checks: $(READY) ## everything but the tests, side by side
	@$(MAKE) --no-print-directory --jobs 4 typecheck docs floors lint

lint: $(READY) ## ruff: names, types present, docstrings, format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(READY) ## mypy over src and examples
	$(BIN)/mypy

floors: $(READY) ## import-linter: imports only go down
	$(BIN)/lint-imports

pytest: $(READY) ## the tests alone
	$(BIN)/pytest $(PYTEST_FLAGS)

bench: $(READY) ## speed and memory, each against a plain baseline
	$(BIN)/python -m benchmarks

docs: $(READY) ## build the documentation into site/, warnings are errors
	$(BIN)/zensical build --clean --strict

clean: ## remove what was built; .venv goes too
	rm -rf .venv build dist site .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
