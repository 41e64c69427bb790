# The two commands of the README, and the parts of `make test` by themselves. Needs Python 3.11+, make and git.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint types unit chaos clean

run: .venv/.ready
	@exec $(BIN)/claude-code-api serve --offline-without-credentials

test: lint types .venv/.ready
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/.ready
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/lint-imports

types: .venv/.ready
	$(BIN)/mypy

unit: .venv/.ready
	$(BIN)/pytest -q tests/unit

# uv is fetched into the project's own environment, so the machine needs no uv of its own.
.venv/.ready: pyproject.toml uv.lock
	@echo "Preparing .venv (the first time fetches the Claude Code CLI and Node, about 160 MB) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.13"
	@UV_PROJECT_ENVIRONMENT=.venv $(BIN)/uv sync --quiet --frozen --inexact --compile-bytecode
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist tests/node/node_modules

# Not part of `make test`: kills children and servers for some minutes while conversations go on.
chaos: .venv/.ready
	$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10)
