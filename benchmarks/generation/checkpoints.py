"""Checkpoints with random weights: speed does not depend on what a model has learnt."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from benchmarks.generation.models import MODELS, Model

EMBEDDINGS = re.compile(r"embed|wte|wpe|shared|lm_head|bias")
SOURCE = re.compile(r"(encoder_attn|EncDecAttention)\.(out_proj|o)\.")
OWN = re.compile(r"(self_attn|SelfAttention|attn)\.(out_proj|o|o_proj|c_proj)\.")
QUIET = 1e-3  # of the random size: what a copying model's layers add to a token


@dataclass(frozen=True, slots=True)
class Gains:
    """How large random weights are, times 1 / sqrt(inputs); so that texts do not repeat one word.

    As transformers draws them, a layer adds next to nothing, and a token is followed by itself.
    """

    layers: float
    own: float
    """Of what attention to the text itself adds."""
    source: float = 0.0
    """Of what attention to the source adds."""


def build(name: str, folder: Path) -> None:
    """Write a checkpoint into a folder, always with the same weights."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    model = BUILDERS[name]()
    if name in GAINS:
        draw(model, GAINS[name])
    model.save_pretrained(folder)
    described = MODELS[name]
    tokenizer(described).save(str(folder / "tokenizer.json"))
    names = special_names(described)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 10**6,
        **names,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(names), encoding="utf-8")


def draw(model: Any, gains: Gains) -> None:
    """Draw the weights of a model's layers anew."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and not EMBEDDINGS.search(name):
                gain = gains.layers
                if SOURCE.search(name):
                    gain = gains.source
                elif OWN.search(name):
                    gain = gains.own
                weight.normal_(0, gain * weight.shape[1] ** -0.5)


def tokenizer(model: Model) -> Tokenizer:
    """One token a word, with the model's special tokens around a text."""
    tokens = model.tokens()
    unknown = special_names(model)["unk_token"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(
        [AddedToken(token, normalized=False) for token in (*model.special, *model.last)]
    )
    around = (*model.before, *model.after)
    if around:
        before = [tokens[index] for index in model.before]
        after = [tokens[index] for index in model.after]
        made.post_processor = processors.TemplateProcessing(
            single=" ".join([*before, "$A", *after]),
            special_tokens=[(tokens[index], index) for index in dict.fromkeys(around)],
        )
    return made


def special_names(model: Model) -> dict[str, str]:
    """What a checkpoint's tokenizer settings call its special tokens."""
    if model.family == "gpt2":
        return dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    found = {"eos_token": "</s>", "unk_token": "<unk>"}
    every = (*model.special, *model.last)
    for name, token in (("bos_token", "<s>"), ("pad_token", "<pad>"), ("mask_token", "<mask>")):
        if token in every:
            found[name] = token
    return found


def _gpt2(**sizes: Any) -> Any:
    end = sizes.get("vocab_size", MODELS["gpt2"].words) - 1
    config = transformers.GPT2Config(bos_token_id=end, eos_token_id=end, **sizes)
    return transformers.GPT2LMHeadModel(config)


def _copying() -> Any:
    """GPT-2 that follows each token with the next id; it computes as much as any other.

    Its layers add next to nothing to a token's embedding, and the head's rows are the embeddings of
    the tokens before.
    """
    model = _gpt2(tie_word_embeddings=False)
    with torch.no_grad():
        model.transformer.wpe.weight.mul_(QUIET)
        for block in model.transformer.h:
            block.attn.c_proj.weight.mul_(QUIET)
            block.mlp.c_proj.weight.mul_(QUIET)
        model.lm_head.weight.copy_(model.transformer.wte.weight.roll(1, 0))
    return model


def _bart() -> Any:
    config = transformers.BartConfig(
        vocab_size=MODELS["bart-base"].words,
        d_model=768,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
        encoder_ffn_dim=3072,
        decoder_ffn_dim=3072,
        forced_bos_token_id=None,
        forced_eos_token_id=None,
        normalize_before=False,  # published configs say these two, and CTranslate2 reads them
        normalize_embedding=True,
    )
    model = transformers.BartForConditionalGeneration(config)
    model.generation_config.forced_eos_token_id = None
    return model


def _t5() -> Any:
    config = transformers.T5Config(
        vocab_size=MODELS["t5-base"].words,
        d_model=768,
        d_ff=3072,
        d_kv=64,
        num_layers=12,
        num_heads=12,
        decoder_start_token_id=0,
    )
    return transformers.T5ForConditionalGeneration(config)


def _marian() -> Any:
    words = MODELS["opus-mt"].words
    config = transformers.MarianConfig(
        vocab_size=words,
        decoder_vocab_size=words,
        d_model=512,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=2048,
        decoder_ffn_dim=2048,
        max_position_embeddings=512,
        activation_function="swish",
        scale_embedding=True,
        eos_token_id=0,
        bos_token_id=0,
        forced_eos_token_id=None,
        pad_token_id=words - 1,
        decoder_start_token_id=words - 1,
        normalize_before=False,
        normalize_embedding=False,
    )
    model = transformers.MarianMTModel(config)
    model.generation_config.bad_words_ids = [[words - 1]]  # as published ones have it
    model.generation_config.forced_eos_token_id = None
    return model


def _llama() -> Any:
    config = transformers.LlamaConfig(
        vocab_size=MODELS["llama-246m"].words,
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=16,
        num_attention_heads=16,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    return transformers.LlamaForCausalLM(config)


BUILDERS: dict[str, Callable[[], Any]] = {
    "bart-base": _bart,
    "gpt2": _gpt2,
    "gpt2-copying": _copying,
    "gpt2-tiny": lambda: _gpt2(
        vocab_size=MODELS["gpt2-tiny"].words, n_embd=32, n_layer=2, n_head=2, n_positions=256
    ),
    "llama-246m": _llama,
    "opus-mt": _marian,
    "t5-base": _t5,
}
"""Name -> what makes the model."""
GAINS = {
    "bart-base": Gains(layers=2, own=0.5, source=0.1),
    "gpt2": Gains(layers=2, own=0.5),
    "gpt2-tiny": Gains(layers=2, own=0.5),
    "llama-246m": Gains(layers=2, own=0.5),
    "opus-mt": Gains(layers=2, own=0.5, source=0.1),
}
"""Found by trying. BART and Marian, which normalise after each layer, and T5 as it is drawn by
transformers still come to repeat a word after a few tokens."""
