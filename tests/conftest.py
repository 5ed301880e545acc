"""Options, and bundles that are exported once a run and shared by its processes."""

import os

import pytest

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
"""Name of this process ("gw0", ...) where several share the tests; else None."""
if WORKER is not None and hasattr(os, "sched_setaffinity"):
    # Each has a processor of its own: threads of two that wait for each other would spin on both.
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[int(WORKER.removeprefix("gw")) % len(processors)]})


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


@pytest.fixture(scope="session")
def exported(tmp_path_factory, checkpoint_folder):
    """Name -> (bundle folder, export report) of a small random checkpoint, exported once."""
    from tests.exports import Exports

    folder = tmp_path_factory.getbasetemp()
    if WORKER is not None:  # each worker's folder lies in the run's
        folder = folder.parent
    exports = Exports(folder / "exports")
    return lambda name: exports.get(name, checkpoint_folder)
