# The two commands: `make demo` shows it working, `make test` proves it. Both set up `.venv` when it is missing.

PYTHON ?= python3
VENV   := .venv
JOBS   ?= 2
BIN    := $(VENV)/bin
# Plain `torch` on Linux brings gigabytes of CUDA libraries; the CPU build comes first, so that it stays.
# With a GPU: TORCH="torch" make setup
TORCH  ?= torch==2.13.0

.DEFAULT_GOAL := help
.PHONY: help setup demo test explore lint types check bench base docs pictures torture soak fuzz model interop latency bench-learners bench-large bench-speed bench-learning plots lock audit clean vscode test-editors

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.done ## Create .venv and install everything

$(VENV)/.done: pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

demo: setup ## Save a document in a real server and watch it being learned
	@$(BIN)/python examples/demo.py

pictures: setup ## Take the pictures of the documentation anew
	@mkdir -p docs/images
	$(BIN)/python examples/demo.py --picture docs/images/demo.svg
	$(BIN)/python scripts/pictures.py
	editors/vscode/scripts/pictures.sh

test: setup ## Run all tests, two files at a time (JOBS=0: one after the other)
	$(BIN)/python -m pytest tests/fuzz
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --ignore tests/fuzz

explore: setup ## Run the tests that generate their examples, with new ones (a minute)
	HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --ignore tests/fuzz \
	  $$(grep -rl "from hypothesis import" tests --include "test_*.py")

lint: setup ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## Check types, strictly
	$(BIN)/mypy

check: lint types test ## Everything that must be green

bench: setup ## Measure; the figures belong into docs/performance.md
	$(BIN)/python -m benchmarks.run

base: setup ## Train the built-in base model anew (about half an hour)
	$(BIN)/python scripts/train_builtin_base.py

docs: setup ## Write the generated pages anew
	$(BIN)/python scripts/generate_docs.py

torture: setup ## Kill servers a thousand times and look whether anything was lost (ten minutes)
	nice $(BIN)/python -m tests.torture --kills 1000

model: setup ## Every order of saves, cancels, failures and locks, to depth 6 (half an hour)
	DLM_MODEL_DEPTH=$${DLM_MODEL_DEPTH:-6} $(BIN)/python -m pytest -q -s -n 3 tests/runs/test_model.py

soak: setup ## Save hundreds of times; threads, descriptors, tokens and memory must stay flat
	$(BIN)/python -m tests.soak.soak

bench-learners: setup ## Measure the two kinds of learner against each other
	$(BIN)/python -m benchmarks.learners

bench-large: setup ## Measure keystrokes and requests in documents of 1 MB and 5,000 sections
	$(BIN)/python -m benchmarks.large

SPEED ?=

bench-speed: setup ## Measure saves, steps and answers against their targets (20 minutes; SPEED="overhead start" some, SPEED=--quick fast)
	$(BIN)/python -m benchmarks.speed $(SPEED)

LEARNING ?= --sizes 10 50 --seeds 1 2 3 --saves 50

bench-learning: setup ## Measure what is known after each save, by method of learning (hours; LEARNING="--sizes 10 --saves 8 --seeds 1" is short)
	$(BIN)/python -m benchmarks.learning $(LEARNING) --out benchmarks/learning/results.jsonl

plots: setup ## Draw what bench-learning measured
	-@$(BIN)/python -m pip install --quiet --editable ".[plots]"
	$(BIN)/python -m benchmarks.learning.plots

SECONDS ?= 450

fuzz: setup ## Fuzz each reader of foreign bytes for SECONDS (450: an hour in all)
	-@$(BIN)/python -m pip install --quiet --editable ".[fuzz]"
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

interop: setup ## Run the tests against the original `dlm` tool, in an environment of its own (about 4 minutes)
	@python=$$($(BIN)/python tests/interop/environment.py) && \
	  DLM_INTEROP_PYTHON="$$python" $(BIN)/python -m pytest --timeout 300 tests/interop

latency: setup ## Measure what an editor feels against the goals; fails when one is missed (about 12 minutes)
	$(BIN)/python -m benchmarks.latency

vscode: setup ## Build the extension for VS Code, with the server's wheel in it
	editors/setup.sh extension
	rm -f editors/vscode/bundled/*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir editors/vscode/bundled .
	cd editors/vscode && npm run --silent package

test-editors: setup ## Run the tests in real editors; a part that cannot be had is skipped, and says so
	editors/test.sh

lock: setup ## Renew requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --editable ".[audit]"
	$(BIN)/python scripts/lock.py

audit: setup ## Ask whether what is pinned has known weaknesses
	@$(BIN)/python -m pip install --quiet --editable ".[audit]"
	$(BIN)/python scripts/audit.py

clean: ## Remove what `make` made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
