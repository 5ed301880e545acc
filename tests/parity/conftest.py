"""Collects what the parity tests ran, and compares it with the support table."""

import pytest

from onnxtasks_export import verify
from tests.parity import support


@pytest.fixture(scope="session")
def rows():
    """The support table's rows, by checkpoint, as the tests pass."""
    return {}


@pytest.fixture(scope="session")
def ran(rows, request):
    """Notes that a checkpoint's parity test has passed; its row has to be in docs/support.md."""
    written = request.config.getoption("--write-support") or support.PAGE.read_text().splitlines()

    def note(name, report, graph):
        sizes = dict.fromkeys(axis for sizes in graph.sizes for axis in sizes if axis != "batch")
        tried = [
            f"{axis} {', '.join(str(n) for n in sorted({s[axis] for s in graph.sizes}))}"
            for axis in sizes
        ]
        rows[name] = support.line(
            report.task,
            report.architecture,
            name,
            ", ".join(report.variants),
            ", ".join(map(str, verify.BATCH_SIZES)),
            "; ".join(tried) or "one, fixed by the processor",
        )
        assert written is True or rows[name] in written, (
            f"docs/support.md is old (`make support`): it has no line {rows[name]}"
        )

    return note
