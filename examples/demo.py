"""What `make demo` runs: checkpoints to bundles, compared with the originals, and answers."""

import argparse
import subprocess
import sys
from pathlib import Path

from check_bundles import check

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).parent / "onnxtasks"
ANSWERS: dict[str, tuple[list[str], ...]] = {
    "text": (["--file", "examples/inputs/reviews.txt"],),
    "entities": (["--file", "examples/inputs/entities.txt", "--aggregation", "first"],),
    "questions": (["--file", "examples/inputs/questions.jsonl"],),
    "translator": (["--file", "examples/inputs/phrases.txt", "--source", "en", "--target", "fr"],),
    "writer": (["--file", "examples/inputs/stories.txt"],),
    "digits": (["examples/inputs/digits", "--top-k", "1"],),
    "speech": (
        ["examples/inputs/speech"],
        # Without the 3-gram of commands, and with it.
        ["examples/inputs/commands", "--decoder", "greedy"],
        ["examples/inputs/commands"],
    ),
    "whisper": (["examples/inputs/whisper/moves.ogg", "--language", "en", "--format", "vtt"],),
    "sounds": (["examples/inputs/sounds", "--top-k", "1"],),
    "detector": (["examples/inputs/scenes", "--draw", "bundles/drawn/detector"],),
    "segments": (["examples/inputs/scenes", "--draw", "bundles/drawn/segments"],),
    "depth": (["examples/inputs/rooms", "--draw", "bundles/drawn/depth"],),
}
"""Checkpoint -> the arguments of `onnxtasks run` for its sample inputs, run by run."""


def run(*arguments: str) -> None:
    """Show a command and run it; the demo ends where one fails."""
    print(f"\n$ onnxtasks {' '.join(arguments)}", flush=True)
    subprocess.run([COMMAND, *arguments], cwd=HERE.parent, check=True)


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--export-only", type=Path, metavar="BUNDLES", help="only make bundles")
    only: Path | None = parser.parse_args().export_only
    bundles = only or Path("bundles")
    for name, runs in ANSWERS.items():
        bundle = str(bundles / name)
        run("export", f"examples/checkpoints/{name}", bundle, "--overwrite")
        if only is None:
            for arguments in runs:
                run("run", bundle, *arguments)
            run("verify", bundle)
    if only is not None:
        return 0
    print("\nAnd once more from Python, all variants against the true answers:", flush=True)
    return 0 if check(HERE.parent / bundles, HERE / "inputs") else 1


if __name__ == "__main__":
    sys.exit(main())
