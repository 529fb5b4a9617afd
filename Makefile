# A verb for each daily act. `make serve` needs no torch; `make test` and `make train` set up the rest.
PYTHON ?= python3
BIN := .venv/bin
# The service's tests once more without the fast lane, but for those that no prediction reaches, or that try both ways.
BOTH_WAYS := contract docs files gate generated_client gpu keys lane limits loading page polling
WITHOUT_FAST_LANE := tests/service $(patsubst %,--ignore=tests/service/test_%.py,$(BOTH_WAYS))
# Two at a time for each core: services that start and stop wait half of the time. In the order of the folders: those of
# a few long tests, which the usual order leaves for the end, come first.
PYTEST = $(BIN)/python -m pytest --numprocesses $$((2 * $$(nproc))) --dist loadfile --no-loadscope-reorder
RECIPE ?= breast-cancer
# The newest releases that pyproject.toml allows, with the hashes of all their files: x86_64 and aarch64 share a file.
LOCK = $(BIN)/uv pip compile --quiet --no-config --upgrade --generate-hashes --only-binary :all: --python-version 3.11 \
	--python-platform x86_64-manylinux_2_36 --custom-compile-command 'make lock'
AUDIT = $(BIN)/pip-audit --strict --disable-pip --vulnerability-service osv --requirement

# One install beside the other, and the fetches beside the linters; a recipe's own lines stay in order.
MAKEFLAGS += --jobs=3
# What is never imported need not be compiled, which took longer than the rest of an install. What is imported is compiled
# once and kept, whatever the environment says: the tests start hundreds of processes, each a second slower without.
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL := pip install --quiet --disable-pip-version-check --no-compile

.PHONY: help setup develop serve check train train-all test docker-test ray-test lock audit bench bench-quick chaos lint format clean

help:
	@echo "make serve                serve models/ on 127.0.0.1:8000"
	@echo "make train RECIPE=name    train, evaluate, export, verify and publish one recipe"
	@echo "make train-all            the same for every recipe, and the table of models in the README, within an hour"
	@echo "make test                 lint, types and every test but the next two"
	@echo "make docker-test          the image, and compose with Prometheus and with nginx, on a Docker engine"
	@echo "make bench                speed beside peers and limits, in about an hour"
	@echo "make bench-quick          the same beside bare uvicorn and one peer, in two minutes"
	@echo "make chaos                what is promised when things go wrong, measured, in 13 minutes"
	@echo "make ray-test             Ray Serve and Ray Data on a cluster of three nodes in this machine"
	@echo "make lock                 pin all that the image installs, down to the hash"
	@echo "make audit                known vulnerabilities of what is pinned, asked of osv.dev"
	@echo "make check                open every model and say how it would be served"
	@echo "make lint | make format   ruff and mypy"

setup: .venv/.serving
develop: .venv/.developing .venv-kserve/.installed .cache/programs/.installed .cache/real-models/.fetched .cache/helm/.fetched

.venv/.serving: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/$(PIP_INSTALL) --editable '.[cpu]'
	touch $@

.venv/.developing: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/$(PIP_INSTALL) --editable '.[cpu,grpc,remote,score,train,test]'
	touch .venv/.serving $@

# Programs that are no Python packages, for the tests and for what they train on.
.cache/programs/.installed: tests/install training/datasets/install
	tests/install
	training/datasets/install
	mkdir -p $(@D) && touch $@

# The KServe SDK, whose pins contradict ours, for the tests that call the service with it.
.venv-kserve/.installed: tests/clients/kserve-requirements.txt
	$(PYTHON) -m venv .venv-kserve
	.venv-kserve/bin/$(PIP_INSTALL) --no-deps --requirement $<
	touch $@

# Models that others made, for the tests that serve them.
.cache/real-models/.fetched: tests/real_models.py .venv/.developing
	$(BIN)/python -m tests.real_models
	touch $@

# Renders the chart in the tests: 37 MB, fetched once.
.cache/helm/.fetched: tests/helm.py .venv/.developing
	$(BIN)/python -m tests.helm
	mkdir -p $(@D) && touch $@

serve: setup
	$(BIN)/python -m app serve --models models

check: setup
	$(BIN)/python -m app check models

train: develop
	$(BIN)/python -m training fit $(RECIPE)

train-all: develop
	$(BIN)/python -m training fit --all
	$(BIN)/python -m training published --write README.md

test: develop lint
	$(PYTEST)
	HEADRACE_FAST_LANE=false $(PYTEST) $(WITHOUT_FAST_LANE)

docker-test: develop
	$(BIN)/python -m pytest -s tests/docker

# Ray's own pins are kept out of the rest.
.venv-ray/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/$(PIP_INSTALL) --editable '.[cpu,score,ray]' pytest==9.2.0 httpx==0.28.1 onnx==1.23.2
	touch $@

ray-test: .venv-ray/.installed
	.venv-ray/bin/python -m pytest -s -W default tests/ray # the warnings are Ray's

lock: develop
	$(LOCK) pyproject.toml --extra cpu --output-file deploy/requirements-cpu.txt
	$(LOCK) pyproject.toml --extra gpu --output-file deploy/requirements-gpu.txt
	$(LOCK) --group build --output-file deploy/requirements-build.txt

audit: develop
	$(AUDIT) deploy/requirements-cpu.txt
	$(AUDIT) deploy/requirements-gpu.txt
	$(AUDIT) deploy/requirements-build.txt

bench: develop
	benchmarks/install
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.arrivals
	-$(BIN)/python -m benchmarks.startup
	-$(BIN)/python -m benchmarks.instructions

bench-quick: develop
	benchmarks/install
	$(BIN)/python -m benchmarks.load --quick

chaos: develop
	$(BIN)/python -m benchmarks.chaos

lint: .venv/.developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --num-workers 2

format: develop
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv .venv-kserve .venv-ray .cache .mypy_cache .ruff_cache .pytest_cache *.egg-info runs
