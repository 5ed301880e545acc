"""A text encoder in the form in which it is captured, whatever its family."""

import copy
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from onnxtasks.ops.text import TextSpec
from onnxtasks.session import Array
from onnxtasks_export.attention import PLAIN, additive_mask, sliding_mask
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Sizes
from onnxtasks_export.quiet import quiet

TEXT_AXES: Axes = ("batch", "token")
Masks = Literal["additive", "sliding", "own"]


class PlainEncoder(nn.Module):
    """Stands where a model has its encoder, and hands it the mask in its plainest form.

    What the model does around its encoder (heads, poolers that read the mask) stays its own.
    """

    def __init__(self, encoder: nn.Module, masks: Masks) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.masks = masks

    def forward(
        self,
        input_ids: torch.Tensor,  # int64 [batch, token]
        attention_mask: torch.Tensor,  # int64 [batch, token], 1 where there is a token
        **inputs: Any,
    ) -> Any:
        """Return what the encoder returns."""
        mask: Any = attention_mask
        if self.masks != "own":
            mask = additive_mask(attention_mask)
        if self.masks == "sliding":
            near = sliding_mask(mask, self.config.sliding_window)
            mask = {"full_attention": mask, "sliding_attention": near}
        return self.encoder(input_ids, attention_mask=mask, **inputs)


def plain_model(checkpoint: Checkpoint) -> nn.Module:
    """Copy the model, with attention and masks as the target runs them best.

    The form of the mask is found by asking: an encoder that answers the same with a ready additive
    mask gets one; one whose attention reads the mask itself (DeBERTa) keeps its own way.
    """
    model = copy.deepcopy(checkpoint.model)  # the original keeps its own attention
    encoder, masks = model.base_model, mask_form(checkpoint)
    if getattr(model, "_supports_attention_backend", False):
        model.set_attn_implementation("eager" if masks == "own" else PLAIN)
    plain = PlainEncoder(encoder, masks)
    if encoder is model:
        return plain.eval()
    setattr(model, model.base_model_prefix, plain)
    return model.eval()


def mask_form(checkpoint: Checkpoint) -> Masks:
    """Which form of mask leaves the encoder's answer as it is."""
    encoder = checkpoint.model.base_model
    if "sliding_attention" in (getattr(checkpoint.config, "layer_types", None) or ()):
        return "sliding"
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, encoder.config.vocab_size, (2, 7)))
    with quiet(), torch.no_grad():
        expected = encoder(ids, attention_mask=mask)[0]
        try:
            got = encoder(ids, attention_mask=additive_mask(mask))[0]
        except Exception:  # whatever an encoder raises at a mask of another rank
            return "own"
    far = ((got - expected).abs() * mask[..., None]).max()
    return "additive" if float(far) < 1e-4 else "own"  # NaN is "own"


def text_feeds(
    checkpoint: Checkpoint, spec: TextSpec, sizes: Sizes, rng: np.random.Generator
) -> dict[str, Array]:
    """Random token ids of the given sizes, padded on the right to several lengths."""
    shape = (sizes["batch"], sizes["token"])
    lengths = rng.integers(1, shape[1] + 1, shape[0])
    lengths[0] = shape[1]
    mask = (np.arange(shape[1]) < lengths[:, None]).astype(np.int64)
    ids = rng.integers(0, checkpoint.config.vocab_size, shape)
    # A model that counts positions by what is not padding must see padding only where it is.
    ids = np.where(ids == spec.pad_id, (spec.pad_id + 1) % checkpoint.config.vocab_size, ids)
    made: dict[str, Array] = {
        "input_ids": np.where(mask == 1, ids, spec.pad_id),
        "attention_mask": mask,
    }
    if "token_type_ids" in spec.inputs:
        made["token_type_ids"] = rng.integers(0, checkpoint.config.type_vocab_size, shape)
    return {name: made[name] for name in spec.inputs}


def text_sizes(spec: TextSpec) -> tuple[Sizes, ...]:
    """The sizes at which a text graph is captured and checked."""
    return tuple(
        {"batch": batch, "token": min(token, spec.max_length)}
        for batch, token in ((2, 7), (1, 1), (3, 16), (5, 33), (1, spec.max_length))
    )
