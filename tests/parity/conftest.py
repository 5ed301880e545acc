"""Collects what the parity tests ran; the support table is made of it."""

import pytest

from onnxtasks_export import verify


@pytest.fixture(scope="session")
def rows():
    """The support table's rows, by checkpoint, as the tests pass."""
    return {}


@pytest.fixture(scope="session")
def ran(rows):
    """Notes that a checkpoint's parity test has passed."""

    def note(name, report, graph):
        sizes = dict.fromkeys(axis for sizes in graph.sizes for axis in sizes if axis != "batch")
        tried = [
            f"{axis} {', '.join(str(n) for n in sorted({s[axis] for s in graph.sizes}))}"
            for axis in sizes
        ]
        rows[name] = [
            report.task,
            report.architecture,
            name,
            ", ".join(report.variants),
            ", ".join(map(str, verify.BATCH_SIZES)),
            "; ".join(tried) or "one, fixed by the image processor",
        ]

    return note
