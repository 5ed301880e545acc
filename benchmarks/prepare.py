"""Make what a case needs: checkpoint, bundle, input, feeds. A process of its own.

    python -m benchmarks.prepare CASE --cache DIR

What is there already is kept while it is newer than what it was made from.
"""

import argparse
import json
import shutil
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import CASES, ROOT, Case, Files, files, first_line, text_set

HERE = Path(__file__).parent
COUNTED = (8, 16, 32)  # lengths at which operations are counted, in tokens


def is_current(target: Path, sources: Iterable[Path]) -> bool:
    """Whether a file exists and is at least as new as each of its sources."""
    if not target.is_file():
        return False
    made = target.stat().st_mtime
    return all(source.stat().st_mtime <= made for source in sources)


def prepare(case: Case, cache: Path) -> None:
    """Bring a case's files up to date."""
    where = files(case, cache)
    weights = where.checkpoint / "model.safetensors"
    shipped = case.checkpoint.startswith("examples/"), case.item.startswith("examples/")
    if not shipped[0] and not is_current(weights, [HERE / "checkpoints.py", HERE / "inputs.py"]):
        from benchmarks.checkpoints import build

        shutil.rmtree(where.checkpoint, ignore_errors=True)
        build(case.checkpoint, where.checkpoint)
    if not shipped[1] and not is_current(where.item, [HERE / "inputs.py"]):
        from benchmarks.inputs import MAKERS

        where.item.parent.mkdir(parents=True, exist_ok=True)
        MAKERS[case.item](where.item)
    manifest = where.bundle / "manifest.json"
    # A changed exporter makes other graphs, so its modules are sources too.
    exporter = (ROOT / "export" / "onnxtasks_export").rglob("*.py")
    if not is_current(manifest, [weights, *exporter]):
        from onnxtasks_export import export_bundle

        export_bundle(where.checkpoint, where.bundle, overwrite=where.bundle.exists())
    if not is_current(where.about, [manifest, where.item, HERE / "prepare.py"]):
        where.about.parent.mkdir(parents=True, exist_ok=True)
        about = _about_set(case, where) if case.is_set else _about_item(case, where)
        where.about.write_text(json.dumps(about), encoding="utf-8")


def _about_item(case: Case, where: Files) -> dict[str, Any]:
    """Write the feeds; say their shapes, and the operations of one forward pass."""
    feeds = _feeds(case, where)
    np.savez(where.feeds, **feeds)  # type: ignore[arg-type]  # its stub takes them for options
    shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in feeds.items())
    return {"feeds": shapes, "flops": _flops(case, where, [feeds])}


def _about_set(case: Case, where: Files) -> dict[str, Any]:
    """Say how long each text is, and the operations of a forward pass over it alone."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(where.bundle / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokens = [len(tokenizer.encode(text).ids) for text in text_set(where.item, 1.0)]
    ids = [{"input_ids": np.zeros((1, length), np.int64)} for length in COUNTED]
    counts = _flops(case, where, ids)
    return {"tokens": tokens, "flops": [through(COUNTED, counts, length) for length in tokens]}


def through(lengths: Sequence[int], counts: Sequence[int], length: int) -> int:
    """Operations at a length, from those at three others.

    Attention's grow with the square of the length, all others with the length or not at all: three
    points tell the whole (Lagrange's formula).
    """
    total = Fraction(0)
    for at, count in zip(lengths, counts, strict=True):
        others = [other for other in lengths if other != at]
        weight = prod(Fraction(length - other, at - other) for other in others)
        total += count * weight
    return int(total)


def _feeds(case: Case, where: Files) -> dict[str, np.ndarray[Any, Any]]:
    import onnxtasks

    with onnxtasks.load(where.bundle) as loaded:
        task: Any = loaded
        if isinstance(task, onnxtasks.TextClassifier):
            return dict(task.text.feeds(task.preprocess([first_line(where.item)])))
        if hasattr(task, "read"):  # every task that sees
            read = [task.read(str(where.item)) for _ in range(case.batch)]
            # Some keep the picture's own size beside its pixels.
            return dict(task.preprocess([one[0] if type(one) is tuple else one for one in read]))
        if isinstance(task, onnxtasks.SpeechRecognizer):
            return dict(task.feeds(task.preprocess([str(where.item)])))
    raise TypeError(f"no feeds for a {type(task).__name__}; add its preprocessing here")


def _flops(
    case: Case, where: Files, inputs: Sequence[dict[str, np.ndarray[Any, Any]]]
) -> list[int]:
    """Floating-point operations of a forward pass on each: matrix products and convolutions."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.engines.torch_model import model_class

    # Eager attention is plain matrix products, which the counter sees.
    auto_class = model_class(case, where.checkpoint)
    model = auto_class.from_pretrained(where.checkpoint, attn_implementation="eager").eval()
    counted = []
    for feeds in inputs:
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():  # in inference mode it fails on weight-normed convolutions
            model(**{name: torch.from_numpy(value) for name, value in feeds.items()})
        counted.append(int(counter.get_total_flops()))
    return counted


def main() -> None:
    """Prepare one case."""
    parser = argparse.ArgumentParser(description="Make what a case needs.")
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    prepare(CASES[options.case], options.cache)


if __name__ == "__main__":
    main()
