#!/bin/sh
# The built wheel in an environment without torch, transformers, onnx or optimum: the runtime's own
# tests, and bundles of the three example checkpoints loaded and answering. Run by `make wheel`.
set -eu
: "${PYTHON:?the interpreter that has the export extra}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip="--quiet --disable-pip-version-check --constraint constraints.txt"

# Bundles are made with the full environment ...
"$PYTHON" examples/demo.py --export-only "$work/bundles"

# ... and answered by the wheel alone.
"$PYTHON" -m pip wheel $pip --no-deps --wheel-dir "$work/dist" .
"$PYTHON" -m venv "$work/clean"
"$work/clean/bin/python" -m pip install $pip "$(ls "$work"/dist/*.whl)[cpu,cli]"
"$work/clean/bin/python" .ci/check_size.py 200
"$work/clean/bin/python" -m pip install $pip pytest hypothesis
cp -r tests/runtime "$work/tests"
cp -r examples/inputs "$work/inputs"
cp .ci/check_bundles.py "$work/"
cd "$work"
"$work/clean/bin/python" check_bundles.py bundles inputs
"$work/clean/bin/python" -m pytest -q --import-mode=importlib -W error -p no:cacheprovider tests
