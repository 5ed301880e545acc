"""Tokenizer, config and the files of sentence-transformers -> FeatureExtractionSpec."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks.ops.pooling import Similarity
from onnxtasks.tasks.feature_extraction import FeatureExtractionSpec
from onnxtasks_export.specs.text import text_spec

MODES: dict[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""How releases before 5.7 wrote the modes, in the order in which their vectors stand."""


def spec(
    tokenizer: Mapping[str, Any],
    config: Mapping[str, Any],
    inputs: Sequence[str],
    *,
    pooling: Mapping[str, Any] | None,
    settings: Mapping[str, Any],
    sizes: tuple[int, int],
    normalize: bool,
) -> FeatureExtractionSpec:
    """Translate what a folder says; the defaults are those of sentence-transformers 6.2.

    Args:
        tokenizer: Settings of the loaded tokenizer.
        config: The model's config.
        inputs: What the model takes.
        pooling: 1_Pooling/config.json; None for a plain checkpoint.
        settings: config_sentence_transformers.json.
        sizes: Numbers of a hidden state, and of a vector of the graph.
        normalize: Whether the last module makes vectors of length 1.

    Raises:
        ExportError: The settings contradict each other.
        UnsupportedModelError: An encoder-decoder, or an unknown way to pool.
    """
    if config.get("is_encoder_decoder"):
        raise UnsupportedModelError(
            f"no export of {config.get('model_type')!r} for feature-extraction: it is an "
            "encoder-decoder"
        )
    # Its class has these two from the start, so that either name is always known.
    prompts = {"query": "", "document": "", **(settings.get("prompts") or {})}
    default = settings.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise ExportError(f"default_prompt_name is {default!r}, and there is no such prompt")
    compared: Any = settings.get("similarity_fn_name")
    return FeatureExtractionSpec(
        text=text_spec(tokenizer, config, inputs),
        hidden_size=sizes[0],
        dim=sizes[1],
        pooling=pooling_modes(pooling, config),
        normalize=normalize,
        prompts={name: text or "" for name, text in prompts.items()},
        default_prompt=default,
        include_prompt=(pooling or {}).get("include_prompt", True),
        truncate_dim=settings.get("truncate_dim"),
        similarity=compared if compared in get_args(Similarity) else "cosine",
    )


def pooling_modes(pooling: Mapping[str, Any] | None, config: Mapping[str, Any]) -> tuple[Any, ...]:
    """The names of the ways to pool, in the order in which their vectors stand side by side.

    Args:
        pooling: 1_Pooling/config.json; None for a plain checkpoint, which is pooled by its mean, or
            by its last token where it is a causal language model.
        config: The model's config.

    Raises:
        UnsupportedModelError: An unknown way.
    """
    if pooling is None:
        heads = config.get("architectures") or ("",)
        causal = heads[0].endswith("ForCausalLM") and config.get("is_causal", True)
        return ("lasttoken",) if causal else ("mean",)
    modes = pooling.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in MODES.items() if pooling.get(key)] or ["mean"]
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if unknown := [mode for mode in modes if mode not in MODES.values()]:
        raise UnsupportedModelError(
            f"no export of the pooling {unknown[0]!r}; known: {', '.join(MODES.values())}"
        )
    return modes
