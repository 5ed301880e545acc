"""The same inputs through the original and through the bundle, by the runtime's own tasks."""

import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError, ParityError, TruncationWarning
from onnxtasks.reference import Case
from onnxtasks.session import Outputs, open_sessions
from onnxtasks.tasks import bundle_class
from onnxtasks.tasks.base import Task
from onnxtasks.verification import replay
from onnxtasks_export.capture import module_outputs
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.quiet import quiet

SCORE_TOLERANCE = 1e-4
"""Largest difference of a score at fp32."""
TIE = 1e-5
"""Two candidates of the original closer than this are a tie."""
SPREAD_TOLERANCE = 1e-5
"""Largest difference at fp32 between an answer in a batch and alone."""
DIVERGENCE_LIMIT = 0.1
"""Largest share of probability that may move in one answer of a variant that is not exact."""
SHOWN = 80
"""Letters of a sample in a message."""
BATCH_SIZES = (1, 2, 3, 5)
SEED = 11


@dataclass(frozen=True)
class Expected:
    """The inputs of a comparison and the original's answers, made once for all variants."""

    items: tuple[Any, ...]
    answers: tuple[Answer, ...]
    cases: tuple[Case, ...]
    """What `reference.npz` holds."""


@dataclass(frozen=True)
class Difference:
    """How far a variant is from the original; the meanings are those of `VariantParity`."""

    compared: int
    same: float
    max_difference: float
    divergence: float
    spread: float
    reference_difference: float


def ask_original(
    comparison: Comparison, graphs: Sequence[Graph], samples: Sequence[Any]
) -> Expected:
    """Collect the original's answers, one item at a time.

    Args:
        comparison: How to ask.
        graphs: Those whose golden feeds and outputs `reference.npz` keeps.
        samples: The user's inputs, compared besides the generated ones.

    Raises:
        InputError: A sample that is no input of the task; says which.
    """
    rng = np.random.default_rng(SEED)
    items = (*comparison.samples(rng), *samples)
    known = len(items) - len(samples)
    with quiet():
        answers = (
            *(comparison.original(item) for item in items[:known]),
            *(_ask_about(comparison, item) for item in samples),
        )
    # The captured sizes and one more: enough to re-check a machine, and small.
    made = [(graph, graph.feeds(sizes, rng)) for graph in graphs for sizes in graph.sizes[:2]]
    cases = tuple(Case(feeds, _numbers(module_outputs(graph, feeds))) for graph, feeds in made)
    return Expected(items, answers, cases)


def _ask_about(comparison: Comparison, sample: Any) -> Answer:
    name = repr(str(sample) if isinstance(sample, Path) else sample)[:SHOWN]
    try:
        return comparison.original(sample)
    except InputError as error:
        raise InputError(f"sample {name}: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        # What transformers raises where it is given something else, such as a path for a text.
        raise InputError(f"sample {name}: this task cannot read it ({error})") from error


def _numbers(outputs: Outputs) -> Outputs:
    """Without indices: where two candidates are close, rounding decides which comes first."""
    return {name: array for name, array in outputs.items() if array.dtype == np.float32}


def compare(folder: Path, variant: str, comparison: Comparison, expected: Expected) -> Difference:
    """Ask one variant of a bundle everything that the original was asked, in several batch sizes.

    Raises:
        ParityError: A score is not a number, or there are more or fewer of them.
    """
    bundle = Bundle.open(folder)
    with warnings.catch_warnings(), closing(open_sessions(bundle, variant=variant)) as sessions:
        warnings.simplefilter("ignore", TruncationWarning)
        task = bundle_class(bundle).from_bundle(bundle, sessions.by_role)
        by_batch = [_in_batches(task, comparison, expected.items, size) for size in BATCH_SIZES]
        reference = max(replay(sessions, case) for case in expected.cases)
    alone = by_batch[0]
    pairs = [pair for got in by_batch for pair in zip(expected.answers, got, strict=True)]
    if not all(np.isfinite(got.scores).all() for _, got in pairs):
        raise ParityError(f"{variant}: some scores are not finite numbers")
    return Difference(
        compared=len(pairs),
        same=sum(one.key == other.key or one.margin < TIE for one, other in pairs) / len(pairs),
        max_difference=max(comparison.far(one, other) for one, other in pairs),
        divergence=max(comparison.moved(one, other) for one, other in pairs),
        spread=max(
            comparison.far(a, b) for got in by_batch for a, b in zip(alone, got, strict=True)
        ),
        reference_difference=reference,
    )


def check(variant: str, difference: Difference, *, exact: bool, tolerance: float) -> None:
    """Refuse a variant that is too far from the original.

    Raises:
        ParityError: Says which number is over which limit.
    """
    if exact and difference.same < 1:
        raise ParityError(
            f"{variant}: {1 - difference.same:.1%} of {difference.compared} answers differ from "
            "the original's"
        )
    if exact and difference.max_difference > tolerance:
        raise ParityError(
            f"{variant}: a score differs from the original's by {difference.max_difference:.3g}; "
            f"the limit is {tolerance:g}"
        )
    if not exact and difference.divergence > tolerance:
        raise ParityError(
            f"{variant}: one answer moved by {difference.divergence:.3g} (a share of probability; "
            f"for vectors 1 - cosine); the limit is {tolerance:g}. Raise max_divergence, or leave "
            "the variant out"
        )
    if exact and difference.spread > SPREAD_TOLERANCE:
        raise ParityError(
            f"{variant}: an answer depends on its batch by {difference.spread:.3g}; the limit is "
            f"{SPREAD_TOLERANCE:g}"
        )


def _in_batches(
    task: Task[Any, Any], comparison: Comparison, items: Sequence[Any], size: int
) -> list[Answer]:
    starts = range(0, len(items), size)
    return [answer for at in starts for answer in comparison.bundle(task, items[at : at + size])]
