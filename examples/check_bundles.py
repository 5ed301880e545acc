"""Ask the example bundles everything that `inputs` knows the answer to.

Needs the runtime alone: `python check_bundles.py BUNDLES INPUTS`.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from check_pictures import check_pictures

import onnxtasks

OPTIONS: dict[str, dict[str, Any]] = {
    "entities": {"aggregation": "first"},
    "translator": {"source": "en", "target": "fr"},
    "whisper": {"language": "en"},
}
"""Bundle -> the options it is asked with."""

VARIANTS: dict[str, tuple[str, ...]] = {"whisper": ("cpu-fp32",)}
"""Bundle -> its variants, where they are not cpu-fp32 and cpu-int8."""


FOUND = re.compile(r"(\w+) found the (\w+) ")
"""What every story comes to."""


def answer_of(result: Any) -> Any:
    """A text that was heard or found, the best label, or entities as [text, label]."""
    if isinstance(result, onnxtasks.Transcript):
        return result.text.strip().lower()
    if all(isinstance(found, onnxtasks.Entity) for found in result):
        return [[entity.text, entity.label] for entity in result]
    best: onnxtasks.Label | onnxtasks.Answer = result[0]
    return best.text if isinstance(best, onnxtasks.Answer) else best.label


def hero_and_thing(texts: Sequence[onnxtasks.Generation]) -> list[str]:
    """Who finds what in a story that comes to an end; else nothing."""
    found = FOUND.search(texts[0].text)
    ended = texts[0].finish_reason == "stop"
    return list(found.groups()) if found and ended else []


def translation(texts: Sequence[onnxtasks.Generation]) -> str:
    """The best translation."""
    return texts[0].text


READS: dict[str, Callable[[Any], Any]] = {"translator": translation, "writer": hero_and_thing}
"""Bundle -> what of its answer is compared; of all others it is `answer_of`."""


def read_lines(path: Path) -> list[Any]:
    """The inputs of a file: its lines, or in .jsonl the pair that each line holds."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [tuple(json.loads(line)) for line in lines] if path.suffix == ".jsonl" else lines


def right_answers(bundle: Path, variant: str, expected: dict[str, Any], inputs: Path) -> int:
    """How many inputs a variant answers as expected.

    Args:
        bundle: The bundle's folder.
        variant: Such as "cpu-int8".
        expected: File -> answer, or file of lines -> the answer to each line.
        inputs: The folder of the files.
    """
    items: list[Any] = []
    wanted: list[Any] = []
    for file, answer in expected.items():
        if isinstance(answer, list):
            items += read_lines(inputs / file)
            wanted += answer
        else:
            items.append(inputs / file)
            wanted.append(answer)
    with onnxtasks.load(bundle, variant=variant) as task:
        options = OPTIONS.get(bundle.name, {})
        read = READS.get(bundle.name, answer_of)
        found = [read(result) for result in task.map(items, **options)]
    return sum(got == want for got, want in zip(found, wanted, strict=True))


def check(bundles: Path, inputs: Path) -> bool:
    """Print a line for each bundle and variant; True where cpu-fp32 is right.

    Texts, digits and recordings everywhere; of scenes and rooms, as much as `PICTURES` asks.
    """
    whole = True
    for name, expected in json.loads((inputs / "expected.json").read_text()).items():
        count = sum(len(a) if isinstance(a, list) else 1 for a in expected.values())
        for variant in VARIANTS.get(name, ("cpu-fp32", "cpu-int8")):
            right = right_answers(bundles / name, variant, expected, inputs)
            print(f"{name:10} {variant:8} {right} of {count} sample inputs right")
            whole &= right == count or variant != "cpu-fp32"
    return check_pictures(bundles, inputs) and whole


if __name__ == "__main__":
    sys.exit(not check(Path(sys.argv[1]), Path(sys.argv[2])))
