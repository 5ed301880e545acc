"""Swin backbones that are exact at any height and width, for both of transformers' forms.

Source: the Swin paper (arXiv 2103.14030) and transformers 5.23, `SwinBackbone`
(models/swin/modeling_swin.py) and `MaskFormerSwinBackbone`
(models/maskformer/modeling_maskformer_swin.py), whose weights these modules take over. As backbones
both always cut windows of their full size, whatever the size of the map.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks_export.graphs.swin_windows import Extent, Windows, merged_quads, shifted_windows

Map = tuple[torch.Tensor, Extent, Extent]
"""Tokens [batch, height * width, channel] with their height and width."""


@dataclass(frozen=True)
class BlockParts:
    """What one Swin layer holds, under names common to both forms."""

    before: nn.LayerNorm
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    bias_table: torch.Tensor  # [distance, head]
    bias_index: torch.Tensor  # int64 [place * place]
    out: nn.Linear
    after: nn.LayerNorm
    widen: nn.Linear
    activation: nn.Module
    narrow: nn.Linear


class SwinBlock(nn.Module):
    """One layer: attention within windows, then the feed-forward part."""

    def __init__(self, parts: BlockParts, side: int, shift: int) -> None:
        super().__init__()
        self.side, self.shift = side, shift
        self.before, self.after = parts.before, parts.after
        self.heads = parts.bias_table.shape[1]
        self.qkv = joined_linear(parts, parts.query.out_features // self.heads)
        self.out = parts.out
        bias = parts.bias_table[parts.bias_index.reshape(-1)].reshape(side**2, side**2, self.heads)
        self.bias = nn.Buffer(bias.detach().permute(2, 0, 1).contiguous())  # [head, place, place]
        self.feed_forward = nn.Sequential(parts.widen, parts.activation, parts.narrow)

    def forward(self, tokens: torch.Tensor, windows: Windows) -> torch.Tensor:
        """[batch, token, channel] -> the same."""
        tokens = tokens + self.out(self.attend(self.before(tokens), windows))
        changed: torch.Tensor = tokens + self.feed_forward(self.after(tokens))
        return changed

    def attend(self, tokens: torch.Tensor, windows: Windows) -> torch.Tensor:
        """Attention within each window.

        Projecting comes before cutting: padding is then one token instead of up to a third of all,
        and one look-up brings a head's vectors to their places without transposing anything.
        """
        batch, count, channels = tokens.shape
        size = channels // self.heads
        # The token after the last is the padding: zeros, which still take part as keys.
        joined = self.qkv(with_padding_token(tokens))
        vectors = joined.reshape(batch, (count + 1) * 3 * self.heads, size)
        query, key, value = (
            vectors.index_select(1, index).reshape(batch, -1, self.heads, self.side**2, size)
            for index in (windows.query, windows.key, windows.value)
        )
        scores = torch.matmul(query, key.transpose(-1, -2)) + self.bias
        if windows.mask is not None:
            scores = scores + windows.mask
        mixed = torch.matmul(torch.softmax(scores, dim=-1), value)
        home = mixed.reshape(batch, -1, size).index_select(1, windows.home)
        return home.reshape(batch, count, channels)


class SwinStage(nn.Module):
    """The layers that work at one resolution."""

    def __init__(self, blocks: list[SwinBlock]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, tokens: torch.Tensor, height: Extent, width: Extent) -> torch.Tensor:
        """[batch, height * width, channel] -> the same."""
        windows: dict[tuple[int, int], Windows] = {}
        for block in self.blocks:
            cut = (block.side, block.shift)
            if cut not in windows:
                windows[cut] = shifted_windows(height, width, *cut, block.heads)
            tokens = block(tokens, windows[cut])
        return tokens


class SwinMerging(nn.Module):
    """2 x 2 tokens -> one of twice the channels."""

    def __init__(self, norm: nn.LayerNorm, reduction: nn.Linear) -> None:
        super().__init__()
        self.norm, self.reduction = norm, reduction

    def forward(self, tokens: torch.Tensor, height: Extent, width: Extent) -> Map:
        """Merge; an odd side is padded with zeros."""
        batch, _, channels = tokens.shape
        quads = with_padding_token(tokens).index_select(1, merged_quads(height, width))
        merged = self.reduction(self.norm(quads.reshape(batch, -1, 4 * channels)))
        return merged, (height + 1) // 2, (width + 1) // 2


class SwinFeatures(nn.Module):
    """Pixel values -> the feature maps of the stages that a backbone hands out."""

    def __init__(
        self,
        patches: nn.Conv2d,
        norm: nn.LayerNorm,
        stages: list[SwinStage],
        mergings: list[SwinMerging],
        norms: dict[int, nn.LayerNorm],
    ) -> None:
        """Put a backbone together.

        Args:
            patches: The convolution that makes a token of every patch.
            norm: Over the patches.
            stages: In their order.
            mergings: Between them, one fewer.
            norms: Index of a stage -> the norm of its feature map; other stages hand out none.
        """
        super().__init__()
        self.patches, self.norm = patches, norm
        self.stages, self.mergings = nn.ModuleList(stages), nn.ModuleList(mergings)
        self.handed_out = sorted(norms)
        self.norms = nn.ModuleList(norms[index] for index in self.handed_out)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """[batch, channel, height, width] -> feature maps [batch, channel, height, width]."""
        down, right = (side - 1 for side in self.patches.kernel_size)
        # The convolution drops what is no whole patch: as much padding as can be needed is right.
        patches = self.patches(nn.functional.pad(pixel_values, (0, right, 0, down)))
        batch, _, height, width = patches.shape
        tokens = self.norm(patches.flatten(2).transpose(1, 2))
        maps = []
        for index, stage in enumerate(self.stages):
            tokens = stage(tokens, height, width)
            if index in self.handed_out:
                normed = self.norms[self.handed_out.index(index)](tokens)
                maps.append(normed.transpose(1, 2).reshape(batch, -1, height, width))
            if index < len(self.mergings):
                tokens, height, width = self.mergings[index](tokens, height, width)
        return tuple(maps)


def with_padding_token(tokens: torch.Tensor) -> torch.Tensor:
    """[batch, token, channel] -> [batch, token + 1, channel] with a token of zeros at the end."""
    return nn.functional.pad(tokens, (0, 0, 0, 1))


def joined_linear(parts: BlockParts, head_size: int) -> nn.Linear:
    """Query, key and value as one product, with the attention's scale in the query's weights."""
    scale = head_size**-0.5
    layers = (parts.query, parts.key, parts.value)
    joined = nn.Linear(
        layers[0].in_features, 3 * layers[0].out_features, bias=layers[0].bias is not None
    )
    with torch.no_grad():
        joined.weight.copy_(torch.cat([layers[0].weight * scale, *(x.weight for x in layers[1:])]))
        if layers[0].bias is not None:
            joined.bias.copy_(torch.cat([layers[0].bias * scale, *(x.bias for x in layers[1:])]))
    return joined


def swin_features(backbone: Any) -> SwinFeatures:
    """Build the graph's form of a Swin backbone, with its weights.

    Args:
        backbone: A `SwinBackbone` or `MaskFormerSwinBackbone` of transformers.

    Raises:
        UnsupportedModelError: It has absolute position embeddings, which fix the size.
    """
    own = not hasattr(backbone, "swin")  # the config of one may name the other
    swin = backbone.model if own else backbone.swin
    if swin.embeddings.position_embeddings is not None:
        raise UnsupportedModelError(
            "the Swin backbone has absolute position embeddings (use_absolute_embeddings), which "
            "fit one size of image only; supported without them"
        )
    if "stem" in backbone.out_features:
        raise UnsupportedModelError("out_features of the Swin backbone names 'stem'; only stages")
    layers = list(swin.encoder.layers)
    side = backbone.config.window_size
    read = _maskformer_block if own else _swin_block
    stages = [
        SwinStage([SwinBlock(read(layer), side, layer.shift_size) for layer in stage.blocks])
        for stage in layers
    ]
    wanted = [backbone.stage_names.index(name) - 1 for name in backbone.out_features]
    norms = backbone.hidden_states_norms
    return SwinFeatures(
        patches=swin.embeddings.patch_embeddings.projection,
        norm=swin.embeddings.norm,
        stages=stages,
        mergings=[
            SwinMerging(stage.downsample.norm, stage.downsample.reduction) for stage in layers[:-1]
        ],
        norms={i: norms[i] if own else norms[backbone.stage_names[i + 1]] for i in wanted},
    )


def _swin_block(layer: Any) -> BlockParts:
    attention = layer.attention
    return BlockParts(
        before=layer.layernorm_before,
        query=attention.q_proj,
        key=attention.k_proj,
        value=attention.v_proj,
        bias_table=attention.relative_position_bias.relative_position_bias_table,
        bias_index=attention.relative_position_bias.relative_position_index,
        out=attention.o_proj,
        after=layer.layernorm_after,
        widen=layer.mlp.fc1,
        activation=layer.mlp.activation_fn,
        narrow=layer.mlp.fc2,
    )


def _maskformer_block(layer: Any) -> BlockParts:
    attention = layer.attention.self
    return BlockParts(
        before=layer.layernorm_before,
        query=attention.query,
        key=attention.key,
        value=attention.value,
        bias_table=attention.relative_position_bias_table,
        bias_index=attention.relative_position_index,
        out=layer.attention.output.dense,
        after=layer.layernorm_after,
        widen=layer.intermediate.dense,
        activation=layer.intermediate.intermediate_act_fn,
        narrow=layer.output.dense,
    )
