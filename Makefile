# A verb for each daily act. `make serve` needs no torch; `make test` and `make train` set up the rest.
PYTHON ?= python3
BIN := .venv/bin
RECIPE ?= breast-cancer

.PHONY: help setup develop serve check train test bench lint format clean

help:
	@echo "make serve                serve models/ on 127.0.0.1:8000"
	@echo "make train RECIPE=name    train, evaluate, export, verify and publish one recipe"
	@echo "make test                 lint, types and every test"
	@echo "make bench                speed beside its limits, every answer checked"
	@echo "make check                open every model and say how it would be served"
	@echo "make lint | make format   ruff and mypy"

setup: .venv/.serving
develop: .venv/.developing

.venv/.serving: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[cpu]'
	touch $@

.venv/.developing: pyproject.toml .venv/.serving
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[cpu,train,test]'
	touch $@

serve: setup
	$(BIN)/python -m app serve --models models

check: setup
	$(BIN)/python -m app check models

train: develop
	$(BIN)/python -m training fit $(RECIPE)

test: lint
	$(BIN)/python -m pytest

bench: develop
	$(BIN)/python -m benchmarks.callers

lint: develop
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: develop
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info runs
