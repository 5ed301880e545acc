"""docs/support.md has a line for each checkpoint; each parity test looks for its own there."""

from tests.checkpoints import CHECKPOINTS
from tests.parity import support


def test_the_support_table_has_every_checkpoint_and_no_other(rows, request):
    if request.config.getoption("--write-support"):  # in one process, behind the parity tests
        missing = sorted(set(CHECKPOINTS) - set(rows))
        assert not missing, f"no passed test for {missing}"
        support.PAGE.write_text(support.page(rows))
    text = support.PAGE.read_text()
    lines = text.removeprefix(support.HEAD).splitlines()[2:]
    assert text == support.page({line.split(" | ")[2]: line for line in lines})
    assert [line.split(" | ")[2] for line in lines] == sorted(CHECKPOINTS)
