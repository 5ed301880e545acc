"""`tuned.json`: what `onnxtasks tune` found to be best, for each host that looked.

It lies beside the manifest, which does not list it: a bundle is the same with and without it. So it
is data that anybody may have written, and decides only between what the manifest holds anyway.
Where the bundle's folder cannot be written to, it lies in this user's cache.
"""

import math
import os
import warnings
from pathlib import Path
from typing import Literal

import msgspec

from onnxtasks import host
from onnxtasks.bundle import MANIFEST, Bundle, inside, sha256
from onnxtasks.errors import BundleError, DeviceError

TUNED = "tuned.json"
MAX_BYTES = 2**20  # a choice takes some 200 bytes
MAX_THREADS = 4096
ATTEMPTS = 5  # two hosts that write at the same moment: the later one writes both

Goal = Literal["latency", "throughput"]


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one host loads a bundle on the device "auto"."""

    variant: str
    device: str
    threads: int
    """Of one run."""
    budget: float | None
    """Padded size of one batch of `map`, in the task's units; None for the task's own."""
    goal: Goal
    reason: str
    """Why, in words; for people."""

    def __post_init__(self) -> None:
        """Refuse numbers with which nothing runs."""
        if not 1 <= self.threads <= MAX_THREADS:
            raise ValueError(f"threads is {self.threads}; it is between 1 and {MAX_THREADS}")
        if self.budget is not None and not (math.isfinite(self.budget) and self.budget > 0):
            raise ValueError(f"budget is {self.budget}; it is a finite number above 0")


class Tuned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of `tuned.json`."""

    schema_version: Literal[1] = 1
    hosts: dict[str, Choice]
    """Fingerprint (`onnxtasks.host.fingerprint`) -> what that host chose."""


def choice_of(bundle: Bundle) -> Choice | None:
    """What was chosen on this host, with these versions; None where nothing was.

    A file that cannot be used is told by a warning, and counts as none.
    """
    paths = [path for path in _places(bundle) if path.is_file()]
    own = host.fingerprint() if paths else ""
    for path in paths:
        try:
            choice = read_tuned(path).hosts.get(own)
            if choice is not None:
                _check(bundle, choice)
                return choice
        except (BundleError, DeviceError) as error:
            warnings.warn(
                f"{path} is ignored: {error}. `onnxtasks tune` writes it anew", stacklevel=3
            )
    return None


def read_tuned(path: Path) -> Tuned:
    """Read a `tuned.json` strictly.

    Raises:
        BundleError: Unreadable, too large, or an unknown, missing or mistyped field.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BundleError(f"it is larger than {MAX_BYTES} bytes")
        return msgspec.json.decode(path.read_bytes(), type=Tuned, strict=True)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise BundleError(str(error)) from None


def save_choice(bundle: Bundle, choice: Choice) -> Path | None:
    """Keep a choice of this host beside the manifest, else in the cache; None where neither works.

    What other hosts chose stays.
    """
    own = host.fingerprint()
    for path in _places(bundle):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for _ in range(ATTEMPTS):
                _replace(path, _hosts(path) | {own: choice})
                if _hosts(path).get(own) == choice:
                    return path
        except OSError:  # a folder that is read-only, or a full disk
            continue
    return None


def _places(bundle: Bundle) -> list[Path]:
    """Where the file can be: in the bundle, if no symlink is in the way, and in the cache."""
    try:
        places = [inside(bundle.folder, TUNED)]
    except BundleError:  # a link could lead anywhere
        places = []
    cache = host.cache_folder()
    if cache is not None:
        places.append(cache / "tuned" / f"{sha256(bundle.folder / MANIFEST)}.json")
    return places


def _check(bundle: Bundle, choice: Choice) -> None:
    """Refuse a choice that this bundle or this machine does not have."""
    from onnxtasks.devices import resolve
    from onnxtasks.session import engine

    variants = bundle.manifest.variants
    if choice.variant not in variants:
        have = ", ".join(sorted(variants))
        raise BundleError(f"it names the variant {choice.variant!r}; the bundle has: {have}")
    where = resolve(choice.device, engine().get_available_providers())
    if where.variants != variants[choice.variant].device:
        raise BundleError(f"its variant {choice.variant!r} is not for {choice.device!r}")


def _hosts(path: Path) -> dict[str, Choice]:
    try:
        return dict(read_tuned(path).hosts) if path.is_file() else {}
    except BundleError:  # of another version, or damaged: whoever tunes writes it anew
        return {}


def _replace(path: Path, hosts: dict[str, Choice]) -> None:
    """Write the file beside its place, and move it there in one step."""
    import tempfile  # for whoever tunes; loading does without

    made = Tuned(hosts=dict(sorted(hosts.items())))
    text = msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"
    number, name = tempfile.mkstemp(prefix=f".{TUNED}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(text)
        Path(name).chmod(0o644)  # mkstemp's is for this user alone; other users load it too
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
