"""Make what cases of a model need: checkpoint, bundle, other engines' files, references.

    python -m benchmarks.generation.prepare MODEL --cache DIR --cases CASE ...

A process of its own, whose memory is free again afterwards. What is there already is kept while it
is newer than what it was made from.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.cases import ROOT
from benchmarks.generation.cases import CASES, Files, files, inputs
from benchmarks.generation.models import MODELS
from benchmarks.prepare import is_current

HERE = Path(__file__).parent
VARIANTS = ("cpu-fp32", "cpu-int8", "cpu-w8", "cpu-w4")
WHATEVER = 1.0
"""How far variants may be from the original: random weights say nothing about accuracy."""


def prepare(name: str, cases: Sequence[str], cache: Path) -> None:
    """Bring a model's files up to date."""
    where = files(name, cache)
    weights = where.checkpoint / "model.safetensors"
    if not is_current(weights, [HERE / "checkpoints.py", HERE / "models.py"]):
        from benchmarks.generation.checkpoints import build

        shutil.rmtree(where.checkpoint, ignore_errors=True)
        build(name, where.checkpoint)
    # A changed exporter makes other graphs, so its modules are sources too.
    exporter = (ROOT / "export" / "onnxtasks_export").rglob("*.py")
    if not is_current(where.bundle / "manifest.json", [weights, *exporter]):
        from onnxtasks_export import export_bundle

        export_bundle(
            where.checkpoint,
            where.bundle,
            task=MODELS[name].task,
            variants=VARIANTS,
            max_divergence=WHATEVER,
            overwrite=where.bundle.exists(),
        )
    _convert(name, where, weights)
    references(name, cases, cache)


def _convert(name: str, where: Files, weights: Path) -> None:
    """Other engines' forms of the checkpoint, of those that are installed."""
    if find_spec("ctranslate2") is not None:
        for precision, kept in (("fp32", None), ("int8", "int8")):
            folder = where.peers / f"ctranslate2-{precision}"
            if not is_current(folder / "model.bin", [weights]):
                from ctranslate2.converters import TransformersConverter

                TransformersConverter(str(where.checkpoint)).convert(
                    str(folder), quantization=kept, force=True
                )
    if MODELS[name].family == "llama" and find_spec("onnxruntime_genai") is not None:
        for precision in ("fp32", "int4"):
            folder = where.peers / f"genai-{precision}"
            if not is_current(folder / "model.onnx", [weights]):
                shutil.rmtree(folder, ignore_errors=True)
                subprocess.run(
                    [
                        *(sys.executable, "-m", "onnxruntime_genai.models.builder"),
                        *("-i", str(where.checkpoint), "-o", str(folder)),
                        *("-p", precision, "-e", "cpu", "-c", str(where.peers / "genai-cache")),
                        # what its documentation advises for int4 on processors
                        *("--extra_options", "int4_accuracy_level=4"),
                    ],
                    check=True,
                )


def references(name: str, cases: Sequence[str], cache: Path) -> None:
    """Write what transformers writes in the first call of each case."""
    weights = files(name, cache).checkpoint / "model.safetensors"
    wanted = [
        case
        for case in cases
        if not is_current(files(case, cache).reference, [weights, HERE / "cases.py"])
    ]
    if not wanted:
        return
    import torch

    from benchmarks.generation.engines import original

    model = original.load(MODELS[name], weights.parent)
    for key in wanted:
        case = CASES[key]
        ids = torch.tensor(inputs(case, 0))
        found = original.write(model, ids, case.new, case, MODELS[name].writes_on)
        path = files(key, cache).reference
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found), encoding="utf-8")


def main() -> None:
    """Prepare one model."""
    parser = argparse.ArgumentParser(description="Make what the cases of a model need.")
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=[])
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    prepare(options.model, options.cases, options.cache)


if __name__ == "__main__":
    main()
