"""The cpu-int8 of a family with a recipe: calibrate, find what is sensitive, write."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from onnxtasks.bundle import Bundle
from onnxtasks.devices import available_threads, resolve
from onnxtasks.errors import ExportError, ParityError
from onnxtasks.session import OrtSession, Session
from onnxtasks.tasks import bundle_class
from onnxtasks_export.calibration import Ranges, Watched, spread_out
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.quiet import quiet
from onnxtasks_export.sensitivity import find_kept
from onnxtasks_export.static_int8 import (
    Part,
    Recipe,
    check_integer,
    find_parts,
    prepare,
    to_static_int8,
    watched_tensors,
)
from onnxtasks_export.verify import Expected

CALIBRATED = 64
"""Most inputs whose ranges are noted."""
SEARCHED = 10
"""Most inputs on which a search measures a choice."""
GOAL = 0.5
"""Share of the allowed divergence that a search aims at; other inputs than its own come later."""
EXACT, ROLE = "cpu-fp32", "model"


@dataclass(frozen=True)
class Calibrated:
    """How a graph was quantised."""

    inputs: int
    """On which the ranges were found."""
    kept: tuple[str, ...]
    """What a search left in fp32, by the checkpoint's names."""


def to_calibrated_int8(
    folder: Path,
    target: Path,
    recipe: Recipe,
    comparison: Comparison,
    expected: Expected,
    limit: float,
) -> Calibrated:
    """Write the int8 form of a bundle's only graph, with as much in 8 bits as the limit allows.

    Args:
        folder: The bundle, so far with its fp32 graph alone.
        target: The ONNX file to write.
        recipe: What is tried.
        comparison: Asks a task, and says how far an answer moved.
        expected: The inputs, and the original's answers; ranges and search use both.
        limit: Largest share of probability that may move in one answer.

    Raises:
        ParityError: No part can be quantised within the limit.
        ExportError: The recipe finds nothing to quantise.
    """
    bundle = Bundle.open(folder)
    source = bundle.graph(EXACT, ROLE)
    with tempfile.TemporaryDirectory(dir=target.parent) as made:
        prepared, tried = Path(made) / "prepared.onnx", Path(made) / "tried.onnx"
        prepare(source, prepared)
        parts = find_parts(prepared, recipe)
        if not parts:
            operators = ", ".join(recipe.fixed)
            raise ExportError(f"nothing to quantise: the graph has no {operators} over weights")
        places = spread_out(expected.items, CALIBRATED)
        tensors = watched_tensors(prepared, parts)
        ranges = _calibrate(
            bundle, prepared, tensors, comparison, [expected.items[p] for p in places]
        )
        asked = [
            (expected.items[p], expected.answers[p]) for p in spread_out(expected.items, SEARCHED)
        ]

        def measure(kept: frozenset[int]) -> float:
            to_static_int8(prepared, tried, _without(parts, kept), ranges)
            device = resolve("cpu", ("CPUExecutionProvider",))
            with closing(OrtSession(tried, device, available_threads())) as session:
                return _moved(bundle, session, comparison, asked)

        found = find_kept(len(parts), measure, limit=limit * GOAL)
        if len(found.places) == len(parts):
            raise ParityError(
                f"cpu-int8: no part of the graph stays within half of the limit {limit:g} in 8 "
                "bits. Raise max_divergence, or leave the variant out"
            )
        to_static_int8(prepared, target, _without(parts, found.places), ranges)
    check_integer(target)
    kept = [parts[place].label for place in sorted(found.places)]
    return Calibrated(len(places), tuple(dict.fromkeys(kept)))


def _without(parts: Sequence[Part], kept: frozenset[int]) -> list[Part]:
    return [part for place, part in enumerate(parts) if place not in kept]


def _calibrate(
    bundle: Bundle,
    prepared: Path,
    tensors: set[str],
    comparison: Comparison,
    items: Sequence[object],
) -> Ranges:
    """Ask the task everything, one input at a time; it preprocesses as it will for users."""
    with quiet(), closing(Watched(prepared, tensors)) as watched:
        task = bundle_class(bundle).from_bundle(bundle, {ROLE: watched})
        for item in items:
            comparison.bundle(task, [item])
        return watched.ranges


def _moved(
    bundle: Bundle,
    session: Session,
    comparison: Comparison,
    asked: Sequence[tuple[object, Answer]],
) -> float:
    """The largest distance of an answer from the original's."""
    task = bundle_class(bundle).from_bundle(bundle, {ROLE: session})
    with quiet():
        return max(
            comparison.moved(answer, comparison.bundle(task, [item])[0]) for item, answer in asked
        )
