"""Small random checkpoints that write text: decoders, and encoder-decoders.

Their weights are large enough that texts vary and do not repeat, and that the end is reached now
and then. Generation settings are as published checkpoints of the family have them, with lengths
that small models and quick tests can do with.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.generation_tokenizers import write_tokenizer_of

POSITIONS = 256
SIZES = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": POSITIONS,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
WIDE = {**GROUPED, "head_dim": 16}
SEQUENCE = {
    "d_model": 48,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 80,
    "decoder_ffn_dim": 80,
    "max_position_embeddings": POSITIONS,
}
T5 = {"d_model": 48, "d_kv": 12, "d_ff": 80, "num_layers": 2, "num_heads": 4}
SAMPLED = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}
QWEN = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20}
QWEN_PENALTY = {"repetition_penalty": 1.05}
SUMMARIES = {
    "early_stopping": True,
    "length_penalty": 2.0,
    "min_length": 10,
    "max_length": 32,
    "no_repeat_ngram_size": 3,
    "num_beams": 4,
}
TRANSLATIONS = {"early_stopping": True, "max_length": 40, "num_beams": 5}

MIXED = re.compile(r"\.(v|o|v_proj|o_proj|out_proj|c_proj|dense)\.")
"""Layers of an attention that decide how much it adds."""

# What a checkpoint is called -> its model type, its tokenizer, its config, generation settings.
Row = tuple[str, str, dict[str, Any], dict[str, Any]]
CAUSAL: dict[str, Row] = {
    "gpt2-text": (
        "gpt2",
        "gpt2",
        {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS},
        {},
    ),
    "llama-text": ("llama", "llama", GROUPED, SAMPLED),
    "llama3-text": ("llama", "llama3", WIDE | {"tie_word_embeddings": True}, SAMPLED),
    "mistral-text": ("mistral", "llama", GROUPED | {"sliding_window": 24}, {}),
    "qwen2-text": ("qwen2", "qwen2", GROUPED, QWEN | QWEN_PENALTY),
    "qwen2-sliding-text": (
        "qwen2",
        "qwen2",
        GROUPED | {"use_sliding_window": True, "sliding_window": 20, "max_window_layers": 1},
        {},
    ),
    "qwen3-text": ("qwen3", "qwen2", WIDE | {"tie_word_embeddings": True}, QWEN),
    "smollm3-text": (
        "smollm3",
        "llama3",
        GROUPED | {"no_rope_layers": [1, 0], "tie_word_embeddings": True},
        SAMPLED,
    ),
    "gemma-text": ("gemma", "gemma", WIDE, {}),
    "gemma3-text": (
        "gemma3_text",
        "gemma",
        WIDE
        | {
            "sliding_window": 20,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 24,
            "final_logit_softcapping": 8.0,
        },
        {"do_sample": True, "top_k": 64, "top_p": 0.95},
    ),
    "gpt-neox-text": ("gpt_neox", "gpt_neox", SIZES, {}),
    "opt-text": (
        "opt",
        "opt",
        {
            "hidden_size": 48,
            "word_embed_proj_dim": 32,
            "ffn_dim": 80,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": POSITIONS,
        },
        {},
    ),
    "phi-text": ("phi", "gpt2", SIZES, {}),
    "stablelm-text": ("stablelm", "gpt_neox", GROUPED | {"hidden_size": 64}, {}),
}
SEQUENCES: dict[str, Row] = {
    "bart-summaries": (
        "bart",
        "bart",
        SEQUENCE,
        {"forced_bos_token_id": 0, "forced_eos_token_id": 2, **SUMMARIES},
    ),
    "pegasus-summaries": (
        "pegasus",
        "pegasus",
        SEQUENCE | {"normalize_before": True, "scale_embedding": True},
        {"forced_eos_token_id": 1, "length_penalty": 0.6, "max_length": 40, "num_beams": 8},
    ),
    "t5-rewriter": (
        "t5",
        "t5",
        T5
        | {
            "task_specific_params": {
                "summarization": {**SUMMARIES, "prefix": "summarize: "},
                "translation_en_to_fr": {
                    "early_stopping": True,
                    "max_length": 40,
                    "num_beams": 4,
                    "prefix": "translate English to French: ",
                },
            }
        },
        {},
    ),
    "t5-gated-rewriter": (
        "t5",
        "t5",
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "d_kv": 16},
        {},
    ),
    "mt5-rewriter": (
        "mt5",
        "t5",
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        {},
    ),
    "marian-translations": ("marian", "marian", SEQUENCE, {"num_beams": 4, "max_length": 40}),
    "marian-multilingual-translations": (
        "marian",
        "marian-multilingual",
        SEQUENCE,
        {"num_beams": 4, "max_length": 40},
    ),
    "mbart-translations": ("mbart", "mbart", SEQUENCE, TRANSLATIONS),
    "mbart50-translations": ("mbart", "mbart50", SEQUENCE, TRANSLATIONS),
    "m2m100-translations": ("m2m_100", "m2m_100", SEQUENCE, TRANSLATIONS),
    "nllb-translations": ("m2m_100", "nllb", SEQUENCE, {"max_length": 40}),
}


def causal(name: str, folder: Path) -> None:
    """A decoder without an encoder."""
    family, tokens, settings, generation = CAUSAL[name]
    tokenizer = write_tokenizer_of(tokens, folder)
    special = _special(tokenizer)
    config = transformers.AutoConfig.for_model(
        family, vocab_size=_words(tokenizer), **special, **settings
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    ends = [special["eos_token_id"]]
    if tokens == "llama3":  # its chat models also end a turn
        ends.append(tokenizer.convert_tokens_to_ids("<|eot_id|>"))
    if tokens == "qwen2":
        ends.append(tokenizer.convert_tokens_to_ids("<|endoftext|>"))
    _randomize(model, ends)
    special |= {"eos_token_id": ends if len(ends) > 1 else ends[0]}
    _save(model, folder, special | generation)


def sequence(name: str, folder: Path) -> None:
    """An encoder-decoder."""
    family, tokens, settings, generation = SEQUENCES[name]
    tokenizer = write_tokenizer_of(tokens, folder)
    special = _special(tokenizer)
    special |= _starts(name, tokenizer)
    config = transformers.AutoConfig.for_model(
        family, vocab_size=_words(tokenizer), **special, **settings
    )
    model = transformers.AutoModelForSeq2SeqLM.from_config(config)
    _randomize(model, [special["eos_token_id"]])
    _save(model, folder, special | generation)


def _special(tokenizer: Any) -> dict[str, Any]:
    """Ids of special tokens, by the names of configs; those that the tokenizer lacks are None."""
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {name: getattr(tokenizer, name, None) for name in names}


def _starts(name: str, tokenizer: Any) -> dict[str, Any]:
    """What the decoder begins with, and is made to write first and last."""
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    if name.startswith("marian"):
        return {"decoder_start_token_id": pad, "forced_eos_token_id": end, "bos_token_id": 0}
    if name.startswith("mbart50"):
        french = tokenizer.convert_tokens_to_ids("fr_XX")
        return {
            "decoder_start_token_id": end,
            "forced_bos_token_id": french,
            "forced_eos_token_id": end,
        }
    if name.startswith("mbart"):  # a published one that translates into one language
        return {"decoder_start_token_id": tokenizer.convert_tokens_to_ids("ro_RO")}
    if name.startswith(("bart", "m2m100", "nllb")):
        return {"decoder_start_token_id": end}
    return {"decoder_start_token_id": pad}


def _words(tokenizer: Any) -> int:
    return int(max(tokenizer.get_vocab().values())) + 1


def _randomize(model: Any, ends: list[int]) -> None:
    """Make every weight matter, and texts vary.

    Layers add more to the hidden states than the tokens themselves do: a tied head would repeat its
    input for ever. With a source, attention adds less: its mixture of many tokens changes little
    from step to step. The end's row is longer, so that its score is often high or low.
    """
    head = model.get_output_embeddings().weight
    kind = model.config.model_type
    scaled = kind.startswith("gemma") or getattr(model.config, "scale_embedding", False)
    spread = (0.05 if kind == "gemma3_text" else 0.07) if scaled else 0.5
    mixed = 0.5 if model.config.is_encoder_decoder else 3
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:  # computed positions
                continue
            if parameter.dim() < 2:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif "relative_attention_bias" in name:
                parameter.normal_(0, 1.5)
            elif "positions" in name or "wpe" in name:
                parameter.normal_(0, 1.0)
            elif parameter is head or "embed" in name or "shared" in name or "wte" in name:
                parameter.normal_(0, spread)
            else:
                mixture = "att" in name.lower() and MIXED.search(name) is not None
                parameter.normal_(0, (mixed if mixture else 4) * 48**-0.5)
        if kind == "t5":  # it divides the logits of a tied head
            head.mul_(2)
        head[ends] *= 1.5
        bias = getattr(model, "final_logits_bias", None)
        if bias is not None:
            bias.normal_(0, spread / 2)
            bias[:, ends] = 8 * spread


def _save(model: Any, folder: Path, generation: dict[str, Any]) -> None:
    if model.config.model_type == "marian":
        generation |= {"bad_words_ids": [[model.config.pad_token_id]], "renormalize_logits": True}
    known = {name: value for name, value in generation.items() if value is not None}
    model.generation_config = transformers.GenerationConfig(**known)
    model.save_pretrained(folder)


GENERATORS: dict[str, Callable[[Path], object]] = {
    **{name: partial(causal, name) for name in CAUSAL},
    **{name: partial(sequence, name) for name in SEQUENCES},
}
"""Name -> what writes the checkpoint."""
