"""docs/support.md is made of the parity tests that passed; this test runs after them."""

from pathlib import Path

from tests.checkpoints import CHECKPOINTS

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


def test_the_support_table_is_what_ran(rows, request):
    missing = sorted(set(CHECKPOINTS) - set(rows))
    assert not missing, f"run all of tests/parity: no passed test for {missing}"
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(rows[name] for name in sorted(rows))]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if request.config.getoption("--write-support"):
        PAGE.write_text(HEAD + table + "\n")
    assert PAGE.read_text() == HEAD + table + "\n", "docs/support.md is old: `make support`"
