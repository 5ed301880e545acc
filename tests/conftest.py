"""Options, and bundles that are exported once a run and shared."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="parity over many more inputs")
    parser.addoption("--write-support", action="store_true", help="write docs/support.md")


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory):
    """Name -> the folder of a small random checkpoint, built once."""
    from tests.checkpoints import build

    root, built = tmp_path_factory.mktemp("checkpoints"), {}

    def folder(name):
        if name not in built:
            built[name] = build(name, root / name)
        return built[name]

    return folder


MANY = 50
"""So many tests that ask for bundles are worth a second process that exports some of them."""


@pytest.fixture(scope="session")
def exported(tmp_path_factory, checkpoint_folder, request):
    """Name -> (bundle folder, export report) of a small random checkpoint, exported once."""
    from tests.exports import Exports

    exports = Exports(tmp_path_factory.mktemp("exports"))
    if sum("exported" in item.fixturenames for item in request.session.items) >= MANY:
        exports.start_ahead()
    yield lambda name: exports.get(name, checkpoint_folder)
    exports.stop_ahead()
