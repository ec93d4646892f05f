# Each target is one task of a developer; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
STACK ?= local
DATA ?=
# Processes that share the tests; one of them has the local platform.
WORKERS ?= 2
UV_VERSION := 0.13.9
VENV := .venv
PY := $(VENV)/bin/python
SLIPWAY := $(VENV)/bin/slipway
INSTALLED := $(VENV)/.installed

# If the shell disables Python's bytecode cache, every command compiles its imports again, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install tools up down test check lint unit bench golden format

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED) ## Install the locked Python packages into .venv

# The marker is written last, so an interrupted install is repeated.
$(INSTALLED): pyproject.toml uv.lock
	@if ! [ -x $(PY) ]; then python3 -m venv $(VENV) 2>/dev/null || { \
		echo "install: python3-venv is missing, installing it"; \
		rm -rf $(VENV); apt-get update -qq && apt-get install -y -qq python3-venv && python3 -m venv $(VENV); }; fi
	@echo "install: Python packages from uv.lock"
	@$(VENV)/bin/uv --version 2>/dev/null | grep -q "^uv $(UV_VERSION) " || { \
		$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null; \
		$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv sync --frozen --quiet --inexact
	@$(PY) -c "import infra.program, slipway.cli.stack, embedded.plugins.language.program, \
		infra.plugin.__main__"
	@touch $@

tools: install ## Build the tools of the local platform and install the Debian packages that are missing
	@$(SLIPWAY) doctor --fix >/dev/null

up: install ## From a bare machine to a served model (DATA=path.csv for your own data)
	@$(SLIPWAY) quickstart $(STACK) $(if $(DATA),--data "$(DATA)")

down: install ## Delete everything that `make up` created; the tool cache stays
	@$(SLIPWAY) local delete --yes

test: install ## Every test: unit, real servers, the whole platform
	@$(SLIPWAY) doctor --fix --tests >/dev/null
	@$(PY) -m pytest -n $(WORKERS)

check: lint unit ## What a commit needs: lint and unit

lint: install ## ruff, mypy strict and import-linter
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

unit: install ## The unit tests alone
	@$(PY) -m pytest tests/unit -q -n $(WORKERS)

bench: install ## Measure, and rewrite docs/benchmarks.md
	@$(PY) -m bench

golden: install ## Rewrite the golden pipelines, schemas and settings page; review the diff
	@$(PY) -m pipelines.compile
	@$(PY) -m infra.settings.config --write-schema

format: install ## Format and fix what ruff can fix
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .
