"""A checkpoint's generation config -> GenerationDefaults."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.generation.options import GenerationDefaults


def generation_defaults(
    generation: Mapping[str, Any], *, encoder: bool = False, **changed: Any
) -> GenerationDefaults:
    """What `generate` takes where a call says nothing.

    As `_prepare_generation_config` of transformers 5.23: what the checkpoint sets, then the
    library's defaults, which `GenerationDefaults` has. Settings of speed and memory (`use_cache`,
    `cache_implementation`, assisted decoding, ...) change no token and are left out, and so is what
    `generate` itself does not know.

    Args:
        generation: `model.generation_config.to_dict()`.
        encoder: Whether the model has an encoder; its decoder then needs a token to begin with.
        changed: What a task of the checkpoint sets differently.

    Raises:
        UnsupportedModelError: It sets a way of writing that the runtime does not have, a value of a
            wrong type, or no token for the decoder to begin with.
    """
    values = {name: value for name, value in {**generation, **changed}.items() if value is not None}
    refuse_unsupported(values)
    found = {name: values[name] for name in GenerationDefaults.__struct_fields__ if name in values}
    for name, convert in FORMS.items():
        if name in found:
            found[name] = convert(found[name])
    if encoder:
        found.setdefault("decoder_start_token_id", found.get("bos_token_id"))
        if found["decoder_start_token_id"] is None:
            raise UnsupportedModelError(
                "the generation config has neither decoder_start_token_id nor bos_token_id, so "
                "nothing says which token an answer begins with; set one and save it again"
            )
    if found.get("eos_token_id"):
        found.setdefault("pad_token_id", found["eos_token_id"][0])
    try:
        return msgspec.convert(found, GenerationDefaults)
    except msgspec.ValidationError as error:
        raise UnsupportedModelError(f"the generation config cannot be used: {error}") from None


def refuse_unsupported(values: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that is meant to be asked in a way that the runtime does not have.

    `generate` of transformers 5.23 raises for most of them, too, unless code from the hub is run.

    Raises:
        UnsupportedModelError: Such a setting; the message says which.
    """
    for name, (without_effect, what) in UNSUPPORTED.items():
        value = values.get(name)
        if value is not None and value not in without_effect:
            raise UnsupportedModelError(
                f"the generation config sets {name}={value!r} ({what}), which is not available; "
                "remove it from generation_config.json to export the model without it"
            )


def _ids(value: Any) -> tuple[int, ...]:
    """One id or several."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _texts(value: Any) -> tuple[str, ...]:
    """One text or several."""
    return (value,) if isinstance(value, str) else tuple(value)


def _bias(value: Any) -> tuple[tuple[tuple[int, ...], float], ...]:
    """Sequences with their bias; a checkpoint has them as a dict or as a list of pairs."""
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple((tuple(ids), float(bias)) for ids, bias in pairs)


FORMS: dict[str, Callable[[Any], Any]] = {
    "eos_token_id": _ids,
    "forced_eos_token_id": _ids,
    "sequence_bias": _bias,
    "stop_strings": _texts,
}
"""Settings that have several forms in a checkpoint -> what gives the one of the runtime."""
UNSUPPORTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "constraints": ((), "constrained beam search"),
    "dola_layers": ((), "decoding by contrasting layers"),
    "force_words_ids": ((), "constrained beam search"),
    "guidance_scale": ((1, 1.0), "classifier-free guidance"),
    "num_beam_groups": ((1,), "diverse beam search"),
    "penalty_alpha": ((0, 0.0), "contrastive search"),
    "token_healing": ((False,), "token healing"),
    "top_h": ((), "sampling by entropy"),
    "watermarking_config": ((), "watermarking"),
}
"""Setting -> its values without effect, and what it switches on."""
