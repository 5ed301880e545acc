"""Ask the example bundles everything that `inputs/expected.json` knows the answer to.

Needs the runtime alone: `python check_bundles.py BUNDLES INPUTS`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import onnxtasks


def answer_of(result: Any) -> str:
    """The text of a transcript, or the best label."""
    if isinstance(result, onnxtasks.Transcript):
        return result.text.lower()
    best: onnxtasks.Label = result[0]
    return best.label


def right_answers(bundle: Path, variant: str, expected: dict[str, Any], inputs: Path) -> int:
    """How many inputs a variant answers as expected.

    Args:
        bundle: The bundle's folder.
        variant: Such as "cpu-int8".
        expected: File -> answer, or file of lines -> the answer to each line.
        inputs: The folder of the files.
    """
    items: list[Any] = []
    wanted: list[str] = []
    for file, answer in expected.items():
        if isinstance(answer, list):
            items += (inputs / file).read_text(encoding="utf-8").splitlines()
            wanted += answer
        else:
            items.append(inputs / file)
            wanted.append(answer)
    with onnxtasks.load(bundle, variant=variant) as task:
        found = [answer_of(result) for result in task.map(items)]
    return sum(got == want for got, want in zip(found, wanted, strict=True))


def check(bundles: Path, inputs: Path) -> bool:
    """Print a line for each bundle and variant; True where cpu-fp32 is right everywhere."""
    whole = True
    for name, expected in json.loads((inputs / "expected.json").read_text()).items():
        count = sum(len(a) if isinstance(a, list) else 1 for a in expected.values())
        for variant in ("cpu-fp32", "cpu-int8"):
            right = right_answers(bundles / name, variant, expected, inputs)
            print(f"{name:8} {variant:8} {right} of {count} sample inputs right")
            whole &= right == count or variant != "cpu-fp32"
    return whole


if __name__ == "__main__":
    sys.exit(not check(Path(sys.argv[1]), Path(sys.argv[2])))
