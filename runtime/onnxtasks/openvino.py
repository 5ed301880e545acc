"""The OpenVINO device: its options, which processors it suits, and what its refusals mean.

OpenVINO's provider takes the operators that it knows and leaves the others to ONNX Runtime's own,
which cuts a graph into pieces: Mask2Former into hundreds, that compile for minutes. That is not
what was asked for, so that this device takes a graph whole or not at all (`WHOLE`).
"""

import re
import sys
from pathlib import Path
from typing import Literal, TypeAlias

from onnxtasks import host
from onnxtasks.errors import DeviceError

Precision: TypeAlias = Literal["f32", "bf16"]

PROVIDER = "OpenVINOExecutionProvider"
WHOLE = {"session.disable_cpu_ep_fallback": "1"}
"""Settings of a session: refuse a graph of which a part would run elsewhere."""
BF16 = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})
"""Flags of processors, x86 and ARM, that multiply bfloat16; OpenVINO computes in float32 on others
without a word, or imitates it slowly."""
SCOPE = (
    "it runs variants of ONNX's own operators, such as cpu-fp32, and no models that write; what it "
    "cannot run whole it refuses"
)
MASK = b"attention_mask"
UNREADABLE = re.compile(r"While validating ONNX node '<Node\((\w+)\)")


def options(precision: Precision, threads: int) -> dict[str, str]:
    """The provider's options.

    OpenVINO can keep what it compiles (CACHE_DIR). On a CPU that is a second copy of the weights
    on the disk, and loading BERT-base took longer with it (benchmarks/openvino_device.py).

    Args:
        precision: What it computes in.
        threads: Of one run; ONNX Runtime's own number does not reach OpenVINO.
    """
    import json  # most programs never ask for this device

    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": str(threads)}
    # Only a JSON string is read; a wrong option would fall back to the CPU without a word.
    return {"device_type": "CPU", "load_config": json.dumps({"CPU": settings})}


def require_bf16(device: str) -> None:
    """Refuse bfloat16 on a processor that is known to lack it.

    Raises:
        DeviceError: Its flags can be read, and none of them is in `BF16`.
    """
    processor, flags = host.read_processor()
    if flags and not BF16 & set(flags.split()):
        raise DeviceError(
            f"device {device!r}: this processor ({processor}) has no bf16 instructions; "
            "take device 'openvino'"
        )


def require_no_mask(device: str, graph: Path) -> None:
    """Refuse bfloat16 for a graph with a mask of attention: OpenVINO 2025.4 answers wrongly there.

    Raises:
        DeviceError: The graph speaks of such an input.
    """
    if MASK in graph.read_bytes():
        raise DeviceError(
            f"device {device!r}: OpenVINO 2025.4 answers wrongly in bf16 where a graph takes a "
            f"mask of attention, as {graph.name} does; take device 'openvino'"
        )


def explained(error: Exception) -> str:
    """Say in plain words why OpenVINO did not take a graph, where that is known."""
    text = str(error)
    unread = sorted(set(UNREADABLE.findall(text)))
    if unread:
        return (
            f"OpenVINO {_in_engine()}cannot read {', '.join(unread)} as this graph has it; "
            "take device 'cpu'"
        )
    if "assigned to the default CPU EP" in text:
        return (
            f"parts of this graph do not run on OpenVINO: {SCOPE}. Take another variant, or "
            "device 'cpu'"
        )
    return text


def _in_engine() -> str:
    version = host.version("onnxruntime", sys.path)
    return "" if version == "unknown" else f"(of {version}) "
