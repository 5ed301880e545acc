#!/bin/sh
# The built wheel in an environment without torch, transformers, onnx or optimum: what it adds to a
# disk, the example bundles answering, and the runtime's own tests. Run by `make wheel`.
set -eu
: "${PYTHON:?the interpreter that has the export extra}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip="--quiet --disable-pip-version-check --constraint constraints.txt"

# Bundles are made with the full environment ...
"$PYTHON" examples/demo.py --export-only "$work/bundles"
"$PYTHON" -m pip wheel $pip --no-deps --wheel-dir "$work/dist" .

# ... and answered by the wheel alone.
"$PYTHON" -m venv "$work/clean"
clean="$work/clean/bin/python"
wheel=$(ls "$work"/dist/onnxtasks-*.whl)
before=$(du -sb "$work/clean" | cut -f1)
# What the packages hold; the bytecode that pip would compile besides is a cache.
"$clean" -m pip install $pip --no-compile "$wheel[cpu]"
added=$((($(du -sb "$work/clean" | cut -f1) - before) / 1000000))
echo "the base install with the cpu extra adds $added MB"
test "$added" -le 200

mkdir "$work/tests"
cp -r tests/runtime "$work/tests/"
cp -r examples/inputs examples/check_bundles.py examples/check_pictures.py "$work/"
cd "$work"
"$clean" check_bundles.py bundles inputs
cd "$OLDPWD"
"$clean" -m pip install $pip "$wheel[cpu,cli,chat,constrain,media]" pytest hypothesis
cd "$work"
for name in torch transformers onnx optimum; do
    if "$clean" -c "import $name" 2>/dev/null; then echo "$name is installed"; exit 1; fi
done
"$clean" -m pytest -q --import-mode=importlib -W error -p no:cacheprovider tests
