"""docs/support.md: its text, and the form of its lines."""

from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs/support.md"
HEAD = """\
# What is supported

Made by `make support` from the parity tests that passed; CI compares it with those that ran. Each
row is a small random checkpoint, exported and compared with the original at cpu-fp32: labels,
entities, answers, texts, places, times and label maps equal (but at ties), scores within 1e-4,
boxes within 0.1 pixel, depth within 1e-4 of itself, an answer in a batch within 1e-5 of the answer
alone. Inputs of many sizes go through every row (texts of 1 to 144 words and pairs, longer ones
where they are read in windows, images of 8 to 10 sizes and modes, recordings of 0.3 to 4 seconds);
the last column has the sizes at which the graph itself was compared with the module that it was
captured from. Families of texts, image classifiers, image embedders and detectors that are not in
the table are tried, and compared at export.

"""
COLUMNS = ("task", "architecture", "checkpoint", "variants", "batch sizes", "graph sizes")


def line(*cells):
    """A line of the table."""
    return f"| {' | '.join(cells)} |"


def page(rows):
    """The whole page.

    Args:
        rows: Checkpoint -> its line.
    """
    lines = [line(*COLUMNS), line(*["---"] * len(COLUMNS)), *(rows[name] for name in sorted(rows))]
    return HEAD + "\n".join(lines) + "\n"
