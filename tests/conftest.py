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


@pytest.fixture(scope="session")
def exported(tmp_path_factory, checkpoint_folder):
    """Name -> (bundle folder, export report) of a small random checkpoint, exported once."""
    from onnxtasks_export import export_bundle
    from tests.checkpoints import TASK_OF

    root, made = tmp_path_factory.mktemp("bundles"), {}

    def bundle(name):
        if name not in made:
            source = checkpoint_folder(name)
            made[name] = export_bundle(source, root / name, task=TASK_OF.get(name))
        return root / name, made[name]

    return bundle
