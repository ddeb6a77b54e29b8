# `make` lists the verbs. Each makes what it needs: the first one on a fresh machine sets up .venv.
PYTHON ?= python3
BIN := .venv/bin
EXIT ?=
# So many processes share the tests, each with one thread; the tests of a file stay together.
TESTERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadgroup --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup clients demo test unit e2e pythons bench docs lint types imports format clean

help: ## list the verbs
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-9s %s\n", $$1, $$2 }'

MINOR := -c 'import sys; print("%d.%d" % sys.version_info[:2])'

setup: .venv/ready ## make .venv and install what is missing
	@test "$(origin PYTHON)" != "command line" || test "$$($(PYTHON) $(MINOR))" = "$$($(BIN)/python $(MINOR))" || { echo ".venv has Python $$($(BIN)/python $(MINOR)), and $(PYTHON) is $$($(PYTHON) $(MINOR)): make clean, then make PYTHON=$(PYTHON) $(MAKECMDGOALS)"; exit 1; }

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tidegate needs Python 3.11 or newer, and $(PYTHON) is none: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 14))' || echo "Tidegate is tested on Python 3.11, 3.12 and 3.13, and $(PYTHON) is newer. If it fails: make clean, then make PYTHON=python3.13 $(MAKECMDGOALS)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv: a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt 2> .venv/install.log || { cat .venv/install.log; exit 1; }
	@touch $@

clients: .venv-clients/ready ## make .venv-clients: public clients that the tests ask a gateway with, and whose pins clash with ours

.venv-clients/ready: tests/e2e/foreign-clients.txt
	@test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/python -m pip install --quiet --requirement $< 2> .venv-clients/install.log || { cat .venv-clients/install.log; exit 1; }
	@touch $@

demo: setup ## train, serve, and watch digits, letters and a new scanner (EXIT=1 ends after the last act)
	@$(BIN)/python -m examples.digits.demo $(if $(EXIT),--exit)

test: setup clients ## run every test; says what it skipped and why
	@$(PYTEST)

unit: setup ## run the tests that need no processes, server or browser
	@$(PYTEST) -m 'not e2e'

e2e: setup clients ## run the tests that drive real processes, PostgreSQL and Chromium
	@$(PYTEST) -m e2e

pythons: setup ## test on the other Pythons that are here, and what crosses from one to another; says what it skipped and why
	@OMP_NUM_THREADS=1 TESTERS=$(TESTERS) $(BIN)/python -m tests.compatibility.python_versions --set-up --test

bench: setup ## measure detection against peers (an hour or two; needs Debian's dataset-fashion-mnist)
	@$(BIN)/python -m pip install --quiet --editable '.[dev,bench]' --constraint constraints.txt
	@$(BIN)/python -W ignore -m bench.detection

docs: setup ## build the documentation into site/, strictly, and see that it fetches nothing from elsewhere
	@$(BIN)/python -m pip install --quiet --editable '.[dev,docs]' --constraint constraints.txt
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@$(BIN)/python -m docs.generator.remote site

lint: setup ## ruff: rules and format; hadolint: the Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@test ! -x $(BIN)/hadolint || $(BIN)/hadolint Dockerfile

types: setup ## mypy
	@$(BIN)/mypy

imports: setup ## the floors of the house
	@$(BIN)/lint-imports

format: setup ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## remove what was built or trained
	rm -rf .venv .venv-clients .venv-3.* build dist site examples/*/work .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
