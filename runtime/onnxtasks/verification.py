"""Does a bundle compute on this machine what it computed where it was exported?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxtasks.bundle import Bundle
from onnxtasks.devices import DeviceLike, resolve
from onnxtasks.errors import BundleError, DeviceError, GraphError
from onnxtasks.parity import PARITY, read_parity
from onnxtasks.reference import Case, read_reference
from onnxtasks.session import OrtSession, Outputs, Sessions, engine, open_sessions


@dataclass(frozen=True, slots=True)
class VariantCheck:
    """One variant, replayed."""

    variant: str
    max_difference: float | None
    """Largest difference from the original's outputs; None where there is no number."""
    tolerance: float
    """What the export allows on another machine."""
    ok: bool | None
    """None: not checked, because this machine has no device for it."""
    message: str
    """What happened, in one sentence."""


def verify_bundle(folder: str | Path, *, device: DeviceLike = "cpu") -> list[VariantCheck]:
    """Check every file's sha256, then replay the reference on each variant that can run here.

    Args:
        folder: The bundle's folder.
        device: Runs the variants made for it, such as "openvino" or "cuda:1"; the others run on
            the plain device that they are made for.

    Raises:
        BundleError: A file is missing or damaged, or there is nothing to replay.
        DeviceError: An unknown device, or one that is not installed.
    """
    bundle = Bundle.open(folder, verify="full")
    parity, cases = read_parity(bundle), read_reference(bundle)
    chosen = resolve(device, engine().get_available_providers())
    checks: list[VariantCheck] = []
    for name, variant in sorted(bundle.manifest.variants.items()):
        if name not in parity.variants:
            raise BundleError(f"{bundle.folder}: {PARITY} has no variant {name!r}")
        where = device if variant.device == chosen.variants else variant.device
        checks.append(_check(bundle, name, where, cases, parity.variants[name].reference_tolerance))
    return checks


def _check(
    bundle: Bundle, variant: str, device: DeviceLike, cases: Sequence[Case], tolerance: float
) -> VariantCheck:
    try:
        sessions = open_sessions(bundle, device=device, variant=variant)
    except DeviceError as error:
        return VariantCheck(variant, None, tolerance, None, f"not checked: {error}")
    except BundleError as error:
        return VariantCheck(variant, None, tolerance, False, str(error))
    try:
        difference = max(replay(sessions, case) for case in cases)
    except (BundleError, GraphError) as error:
        return VariantCheck(variant, None, tolerance, False, str(error))
    finally:
        sessions.close()
    if sessions.device.precision == "bf16":  # no number says how far it may be
        message = f"largest difference {difference:.2g}; bf16 is not the variant's precision"
        return VariantCheck(variant, difference, tolerance, None, message)
    ok = difference <= tolerance
    verb = "within" if ok else "beyond"
    message = f"largest difference {difference:.2g}, {verb} the tolerance {tolerance:.2g}"
    return VariantCheck(variant, difference, tolerance, ok, message)


def replay(sessions: Sessions, case: Case) -> float:
    """Run one case and return the largest difference from the original's outputs.

    Raises:
        BundleError: No graph takes these feeds, or its outputs have other names or shapes, or hold
            values that are not finite.
        GraphError: The graph refused the feeds.
    """
    given = _session(sessions, case).run(case.feeds)
    return max(largest_difference(given, name, wanted) for name, wanted in case.outputs.items())


def largest_difference(outputs: Outputs, name: str, wanted: np.ndarray) -> float:
    """Largest absolute difference of one output from the wanted array, any shape; 0 if empty.

    Raises:
        BundleError: No such output, another shape, or values that are not finite.
    """
    if name not in outputs:
        raise BundleError(f"the graph has no output {name!r}; it has {', '.join(sorted(outputs))}")
    given = outputs[name]
    if given.shape != wanted.shape:
        shapes = f"{list(given.shape)}, the original's is {list(wanted.shape)}"
        raise BundleError(f"output {name!r} has shape {shapes}")
    if not np.isfinite(given).all():
        raise BundleError(f"output {name!r} holds values that are not finite")
    return float(np.abs(given.astype(np.float64) - wanted).max(initial=0.0))


def _session(sessions: Sessions, case: Case) -> OrtSession:
    for session in sessions.by_role.values():
        if session.inputs.keys() == case.feeds.keys():
            return session
    raise BundleError(
        f"no graph of variant {sessions.variant!r} takes the reference's inputs: "
        + ", ".join(sorted(case.feeds))
    )
