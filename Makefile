# Needs Python >= 3.11 with venv, and nothing else: every target sets up what it uses.
#
# PYTHON       the interpreter that makes .venv
# TORCH_ARGS   extra arguments for installing torch, for example the option that names PyTorch's own
#              index of CPU builds (README, "The CPU build of torch")

PYTHON ?= python3
TORCH_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
STAMP := $(VENV)/.installed

.PHONY: demo test check lint types wheel parity support test-openvino bench bench-full format clean

## demo: export the example checkpoints, check them against the originals, answer real inputs
demo: $(STAMP)
	$(BIN)/python examples/demo.py

## test: the whole test suite, in two processes
test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

## check: what CI runs
check: lint types wheel test

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

## wheel: build the wheel, install it without torch, run the runtime's tests and the example bundles
wheel: $(STAMP)
	PYTHON="$(BIN)/python" sh .ci/clean_wheel.sh

## parity: the exhaustive comparison with the originals
parity: $(STAMP)
	$(BIN)/python -m pytest tests/parity tests/examples/test_int8_accuracy.py --exhaustive

## support: write the table of supported models from the parity tests that passed
support: $(STAMP)
	$(BIN)/python -m pytest tests/parity --write-support

## test-openvino: the device `openvino`, in an environment of its own
test-openvino: $(STAMP)
	test -d bundles/text || $(BIN)/python examples/demo.py --export-only bundles
	$(PYTHON) -m venv .venv-openvino
	.venv-openvino/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt '.[openvino]' pytest
	.venv-openvino/bin/python -m pytest tests/openvino

## bench: a short form of the benchmarks, a few minutes
bench: $(STAMP)
	$(BIN)/python -m benchmarks

bench-full: $(STAMP)
	$(BIN)/python -m benchmarks --full

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-* build dist bundles bench-out

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip  # older ones know no --group
	$(PIP) $(TORCH_ARGS) torch
	$(PIP) --editable '.[cpu,cli,chat,constrain,media,export]' --group dev
	touch $@
