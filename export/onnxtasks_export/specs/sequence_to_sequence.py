"""Tokenizer, config and generation config -> SequenceToSequenceSpec."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.spec import Languages, Preset, SequenceToSequenceSpec
from onnxtasks_export.specs.decoder import decoder_spec, max_source
from onnxtasks_export.specs.generation_defaults import generation_defaults


def spec(
    tokenizer: Mapping[str, Any],
    config: Mapping[str, Any],
    generation: Mapping[str, Any],
    task: str,
) -> SequenceToSequenceSpec:
    """Translate the settings of an encoder-decoder that reads and writes text.

    Args:
        tokenizer: What `generation_tokenizers.tokenizer_settings` gives.
        config: `model.config.to_dict()`.
        generation: `model.generation_config.to_dict()`.
        task: "summarization", "translation" or "text2text-generation".

    Raises:
        UnsupportedModelError: A size that the config does not say, or a way of generating that the
            runtime does not have.
    """
    own = presets(config, generation)
    mine = own.get(own_preset(config, task) or "") or Preset(
        prefix=config.get("prefix") or "",
        defaults=generation_defaults(generation, encoder=True),
    )
    own.pop(task, None)
    pads = (tokenizer["pad_token_id"], config.get("pad_token_id"), 0)
    return SequenceToSequenceSpec(
        decoder=decoder_spec(config),
        defaults=mine.defaults,
        prefix=mine.prefix,
        presets=own,
        max_source=max_source(config, tokenizer),
        pad_id=next(pad for pad in pads if pad is not None),
        source_prefix=tokenizer["source_prefix"],
        source_suffix=tokenizer["source_suffix"],
        languages=_languages(tokenizer),
        target_tokenizer=tokenizer["target_tokenizer"],
        unknown_id=tokenizer["unk_token_id"] if tokenizer["target_tokenizer"] else None,
        marked=tokenizer["marked"],
        clean_up=tokenizer["clean_up"],
    )


def own_preset(config: Mapping[str, Any], task: str) -> str | None:
    """The name of the checkpoint's settings for a task: its own, or the only one of its kind.

    "translation_en_to_fr" is the translation of a checkpoint that knows one pair of languages.
    """
    names = list(config.get("task_specific_params") or {})
    variants = [name for name in names if name.startswith(f"{task}_")]
    if task in names:
        return task
    return variants[0] if len(variants) == 1 else None


def task_settings(config: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """What a checkpoint sets for one of its tasks, without what is no option of `generate`."""
    settings = (config.get("task_specific_params") or {}).get(name) or {}
    return {key: settings[key] for key in settings if key in SETTINGS}


def presets(config: Mapping[str, Any], generation: Mapping[str, Any]) -> dict[str, Preset]:
    """The settings of each task that a checkpoint names, over those of its generation config.

    As the summarization, translation and text2text-generation pipelines of transformers 4.57 do
    (`Pipeline.__init__`); version 5 has no such pipelines.
    """
    made: dict[str, Preset] = {}
    for name, settings in (config.get("task_specific_params") or {}).items():
        prefix = settings.get("prefix", config.get("prefix"))
        known = task_settings(config, name)
        defaults = generation_defaults(generation, encoder=True, **known)
        made[name] = Preset(prefix=prefix or "", defaults=defaults)
    return made


SETTINGS = frozenset(GenerationDefaults.__struct_fields__)


def _languages(tokenizer: Mapping[str, Any]) -> Languages | None:
    codes = tokenizer["languages"]
    if not codes:
        return None
    defaults = {name: tokenizer[name] for name in ("default_source", "default_target")}
    known = {name: code if code in codes else None for name, code in defaults.items()}
    return Languages(codes=codes, forced=tokenizer["forced_language"], **known)
