"""The command line: parse, call the public API, print."""

import sys


def main() -> None:
    """Run `onnxtasks`; its packages are the `cli` extra."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError as error:
        sys.stderr.write(
            f"error: the onnxtasks command needs {error.name}; `pip install 'onnxtasks[cli]'`\n"
        )
        sys.exit(2)
    from onnxtasks.cli.app import app

    app()
