"""What the encoders over raw samples (Wav2Vec2, HuBERT, WavLM) have in common."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.errors import UnsupportedModelError


def takes_mask(config: Mapping[str, Any]) -> bool:
    """Whether recordings of different lengths may share a run; else the encoder sees the padding.

    Args:
        config: `Wav2Vec2Config.to_dict()`, or HuBERT's or WavLM's.

    Raises:
        UnsupportedModelError: An encoder that is not reproduced.
    """
    if config.get("add_adapter"):
        raise UnsupportedModelError(
            "add_adapter is true: its frames are not those of the convolutions; supported: false"
        )
    norm = config["feat_extract_norm"]
    if norm not in ("group", "layer"):
        raise UnsupportedModelError(f"feat_extract_norm is {norm!r}; supported: 'group', 'layer'")
    # HuBERT's batch norm before the positional convolution shifts the zeros of the padding.
    return norm == "layer" and not config.get("conv_pos_batch_norm", False)
