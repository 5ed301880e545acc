"""A model's config -> DecoderSpec, and the task that a model which writes was trained for."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.generation.spec import DecoderSpec

NAMES: dict[str, tuple[str, ...]] = {
    "layers": (
        *("decoder_layers", "num_decoder_layers", "num_hidden_layers"),
        *("n_layer", "num_layers"),
    ),
    "heads": (
        *("decoder_attention_heads", "num_decoder_attention_heads", "num_attention_heads"),
        *("n_head", "num_heads"),
    ),
    "kv_heads": ("num_key_value_heads", "num_kv_heads"),
    "head_size": ("head_dim", "d_kv"),
    "width": ("d_model", "hidden_size", "n_embd"),
    "room": ("max_decoder_position_embeddings", "max_position_embeddings", "n_positions", "n_ctx"),
    "source": ("max_encoder_position_embeddings", "max_position_embeddings"),
    "words": ("decoder_vocab_size", "vocab_size"),
}
"""A size -> what configs call it, the decoder's own first."""


def decoder_spec(config: Mapping[str, Any]) -> DecoderSpec:
    """Read a decoder's sizes.

    Args:
        config: `PretrainedConfig.to_dict()`.

    Raises:
        UnsupportedModelError: The config does not say one of them.
    """
    heads = _needed(config, "heads")
    encoder = bool(config.get("is_encoder_decoder"))
    size = _first(config, "head_size") or _needed(config, "width") // heads
    return DecoderSpec(
        layers=_needed(config, "layers"),
        kv_heads=_first(config, "kv_heads") or heads,
        head_size=size,
        words=_needed(config, "words"),
        room=_positions(config, "room"),
        window=_window(config),
        relative_positions=relative_positions(config),
        encoder=encoder,
        source_heads=heads if encoder else 0,
    )


def max_source(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> int | None:
    """Most tokens that the encoder takes; None where its positions have no end."""
    positions = _positions(config, "source")
    return None if positions is None else int(min(positions, tokenizer["model_max_length"]))


def relative_positions(config: Mapping[str, Any]) -> bool:
    """Whether the model looks at distances (T5), of which the farthest share one value."""
    return bool(config.get("relative_attention_num_buckets"))


def generation_task(config: Mapping[str, Any]) -> str | None:
    """The task of a model that writes text, from its config; None for every other model.

    Args:
        config: `PretrainedConfig.to_dict()`.
    """
    name = next(iter(config.get("architectures") or ()), "")
    family = config.get("model_type")
    if name.endswith(("ForCausalLM", "LMHeadModel")):
        return "text-generation"
    if not name.endswith("ForConditionalGeneration") and name not in OTHER_HEADS:
        return None
    if family in TRANSLATES:
        return "translation"
    if family in SUMMARIZES:
        return "summarization"
    if family not in WRITES:
        return None
    # "summarization_xsum" is a summarization, "translation_en_to_fr" a translation.
    tasks = {str(task).split("_")[0] for task in config.get("task_specific_params") or {}}
    return tasks.pop() if tasks in ({"summarization"}, {"translation"}) else "text2text-generation"


OTHER_HEADS = ("EncoderDecoderModel", "MarianMTModel")
TRANSLATES = ("fsmt", "m2m_100", "marian", "mbart", "nllb-moe")
SUMMARIZES = ("bigbird_pegasus", "pegasus", "pegasus_x")
WRITES = (
    *("bart", "blenderbot", "blenderbot-small", "encoder-decoder", "led", "longt5", "mt5", "mvp"),
    *("plbart", "prophetnet", "switch_transformers", "t5", "umt5"),
)
"""Families of encoder-decoders that read text; others see or hear."""


def _first(config: Mapping[str, Any], size: str) -> int | None:
    values = (config.get(name) for name in NAMES[size])
    return next((int(value) for value in values if value is not None), None)


def _needed(config: Mapping[str, Any], size: str) -> int:
    value = _first(config, size)
    if value is None:
        raise UnsupportedModelError(
            f"the config of {config.get('model_type')!r} has none of {', '.join(NAMES[size])}"
        )
    return value


def _positions(config: Mapping[str, Any], size: str) -> int | None:
    # Old T5 configs still have an n_positions, which nothing reads.
    return None if relative_positions(config) else _first(config, size)


def _window(config: Mapping[str, Any]) -> int | None:
    """Tokens that layers with a sliding window see; None where no layer has one."""
    if config.get("use_sliding_window") is False:
        return None
    kinds = config.get("layer_types")
    if kinds is not None and "sliding_attention" not in kinds:
        return None
    window = config.get("sliding_window")
    if window is None and "local" in (config.get("attention_layers") or ()):  # GPT-Neo
        window = config.get("window_size")
    return None if window is None else int(window)
