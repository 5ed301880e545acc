"""Which texts share a run of the graph: those of similar length, within a budget of tokens."""

from collections.abc import Iterator, Sequence

import numpy as np
from tokenizers import Encoding

from onnxtasks.errors import InputError
from onnxtasks.ops.scores import Float
from onnxtasks.ops.text import Int, TextEncoder
from onnxtasks.session import Outputs, Session
from onnxtasks.tasks.base import batches
from onnxtasks.timing import count_padding, stage

BUDGET = 512
"""Padded tokens of one run; more is no faster on a CPU, and takes more memory."""
RUN_COST = 16
"""What a run costs besides its tokens, in tokens (`python -m benchmarks.token_budget`)."""


def run_texts(
    session: Session,
    text: TextEncoder,
    encodings: Sequence[Encoding],
    budget: float,
    outputs: Sequence[str] | None = None,
) -> list[Outputs]:
    """Run the graph over texts of all lengths.

    Args:
        session: Takes the spec's inputs, [batch, token] each.
        text: Pads them.
        encodings: The texts, special tokens included.
        budget: Largest padded size of one run, in tokens; a longer text runs alone.
        outputs: The graph's outputs to give; None for all.

    Returns:
        For each encoding its own row of every output: [token, ...] where the graph gives
        [batch, token, ...], with the rows of padding still behind.

    Raises:
        InputError: A budget that is not above 0.
    """
    found: dict[int, Outputs] = {}
    for batch, feeds in plan_runs(text, encodings, budget):
        with stage("run"):
            values = session.run(feeds, outputs)
        for row, index in enumerate(batch):
            found[index] = {name: array[row] for name, array in values.items()}
    return [found[index] for index in range(len(encodings))]


def run_logits(
    session: Session, text: TextEncoder, encodings: Sequence[Encoding], budget: float
) -> Float:
    """Run a graph with one "logits" row a text, [batch, class]: [text, class], as `run_texts`."""
    rows = run_texts(session, text, encodings, budget)
    return np.stack([row["logits"] for row in rows])


def plan_runs(
    text: TextEncoder, encodings: Sequence[Encoding], budget: float
) -> Iterator[tuple[list[int], dict[str, Int]]]:
    """Which texts share a run, and its feeds: sorted by length, so that little is padded.

    Yields:
        The indices of a run's encodings, and the spec's inputs [batch, token] in that order.

    Raises:
        InputError: A budget that is not above 0.
    """
    check_budget(budget)
    lengths = {index: len(encoding.ids) for index, encoding in enumerate(encodings)}
    for batch in batches(lengths, budget, RUN_COST):
        with stage("preprocess"):
            feeds = text.feeds([encodings[index] for index in batch])
            tokens = sum(lengths[index] for index in batch)
            count_padding(tokens, feeds["input_ids"].size - tokens)
        yield batch, feeds


def check_budget(budget: float) -> None:
    """Refuse a budget in which nothing fits.

    Raises:
        InputError: Not above 0.
    """
    if not budget > 0:
        raise InputError(f"budget is {budget!r}; it is a number of tokens above 0")
