"""What `run` writes into folders: drawn pictures, label maps and depth maps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnxtasks.cli.items import Named
from onnxtasks.cli.output import refuse
from onnxtasks.cli.settings import FileOptions, flag, given

Writer = Callable[[Any, Any, Path], None]


def save_drawing(result: Any, image: Any, path: Path) -> None:
    """The picture with its result drawn on it."""
    result.draw(image).save(path)


def save_masks(result: Any, image: Any, path: Path) -> None:
    """The label map of a segmentation."""
    result.save_png(path)


def save_depth(result: Any, image: Any, path: Path) -> None:
    """The depth map, float32 [height, width]."""
    import numpy as np

    np.save(path, result.depth)


WRITERS: dict[str, tuple[Writer, str]] = {
    "draw": (save_drawing, ".png"),
    "save_masks": (save_masks, ".png"),
    "save_depth": (save_depth, ".npy"),
}
"""Option -> (result, picture, path) writer, and the suffix of its files."""


class Names:
    """Paths of files to write, none of them twice.

    Inputs of one name in several folders get numbers: `cat.png`, `cat-2.png`.
    """

    def __init__(self) -> None:
        """Nothing is taken yet."""
        self._taken: set[Path] = set()

    def path(self, folder: Path, stem: str, suffix: str) -> Path:
        """A path in a folder that was not given before."""
        path, number = folder / (stem + suffix), 1
        while path in self._taken:
            number += 1
            path = folder / f"{stem}-{number}{suffix}"
        self._taken.add(path)
        return path


def make_folder(option: str, folder: Path) -> None:
    """Make the folder that an option names; end the command where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse(f"{option}: {error}")


class Folders:
    """Writes a file for each answer into the folders that the user named."""

    def __init__(self, asked: FileOptions) -> None:
        """Make the folders; end the command where that is not possible."""
        self._folders: dict[str, Path] = given(asked)
        self._names = Names()
        for name, folder in self._folders.items():
            make_folder(flag(name), folder)

    def write(self, one: Named, result: Any) -> None:
        """Write what was asked for one answer, named as its picture."""
        for name, folder in self._folders.items():
            writer, suffix = WRITERS[name]
            try:
                path = self._names.path(folder, Path(one.item).stem, suffix)
                writer(result, one.item, path)
            except OSError as error:
                refuse(f"{flag(name)}: {error}")
