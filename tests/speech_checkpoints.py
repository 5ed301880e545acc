"""Small random Whisper checkpoints: multilingual, English-only, and turbo-like with 128 bands.

Their windows are 2 to 3 s, their vocabulary has the order of the published ones: text, end, start,
languages, tasks, marks, times. Texts vary with the recording and end now and then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.generation_tokenizers import byte_pairs

RATE = 16000
END, START = "<|endoftext|>", "<|startoftranscript|>"
TASKS = ("<|translate|>", "<|transcribe|>")
MARKS = ("<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>")
LANGUAGES = ("en", "zh", "de", "es")
"""The first of Whisper's languages, in their order: its tokenizer counts on that."""


@dataclass(frozen=True)
class Kind:
    """What a checkpoint differs in."""

    multilingual: bool = True
    bands: int = 80
    positions: int = 100
    """Of the encoder; two frames of 10 ms each."""
    layers: tuple[int, int] = (2, 2)
    """Of the encoder and the decoder."""
    heads: tuple[int, int] = (4, 4)
    old: bool = False
    """Whether the generation config is one of before `lang_to_id`."""
    aligned: bool = True
    """Whether the generation config names alignment heads."""
    settings: dict[str, Any] = field(default_factory=dict)


WHISPERS: dict[str, Kind] = {
    "whisper": Kind(),
    "whisper-en": Kind(multilingual=False, positions=150),
    "whisper-turbo": Kind(bands=128, layers=(2, 1), heads=(2, 4)),
    "whisper-old": Kind(old=True, aligned=False),
    "whisper-en-old": Kind(multilingual=False, old=True, aligned=False),
}
"""Name of a checkpoint -> what it is."""


def whisper(name: str, folder: Path) -> None:
    """Write a Whisper checkpoint into a folder."""
    kind = WHISPERS[name]
    tokenizer = whisper_tokenizer(kind.positions)
    tokenizer.save_pretrained(folder)
    seconds = kind.positions // 50
    transformers.WhisperFeatureExtractor(
        feature_size=kind.bands, sampling_rate=RATE, chunk_length=seconds
    ).save_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids(END)
    special = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    special["decoder_start_token_id"] = end + 1
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=kind.bands,
        d_model=32,
        encoder_layers=kind.layers[0],
        decoder_layers=kind.layers[1],
        encoder_attention_heads=kind.heads[0],
        decoder_attention_heads=kind.heads[1],
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=kind.positions,
        max_target_positions=64,
        **special,
    )
    model = transformers.WhisperForConditionalGeneration(config)
    _randomize(model, tokenizer)
    generation = {**special, "max_length": 64} | _generation(kind, tokenizer) | kind.settings
    model.generation_config = transformers.GenerationConfig(**generation)
    model.save_pretrained(folder)


def whisper_tokenizer(positions: int) -> Any:
    """A byte-level BPE tokenizer with Whisper's special tokens, and times up to so many positions.

    English-only checkpoints have the tokens of languages and tasks, too; nothing asks with them.
    """
    vocab, merges = byte_pairs(last=(END,))
    tokenizer = transformers.WhisperTokenizer(dict(vocab), merges, model_max_length=1024)
    languages = [f"<|{code}|>" for code in LANGUAGES]
    special = [START, *languages, *TASKS, *MARKS]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    times = [f"<|{0.02 * place:.2f}|>" for place in range(positions + 1)]
    added = [transformers.AddedToken(time, normalized=False, special=False) for time in times]
    tokenizer.add_tokens(added)
    return tokenizer


def _generation(kind: Kind, tokenizer: Any) -> dict[str, Any]:
    """What a published generation config says besides the common ids."""
    find = tokenizer.convert_tokens_to_ids
    unwritten = [find(token) for token in ("#", "*", "~", START, *TASKS, *MARKS[:3])]
    found: dict[str, Any] = {
        "suppress_tokens": unwritten,
        "begin_suppress_tokens": [find("\u0120"), find(END)],
        "forced_decoder_ids": [[1, find(MARKS[3])]],
    }
    if kind.multilingual:
        found["forced_decoder_ids"] = [[1, None], [2, find("<|transcribe|>")]]
    if kind.aligned:
        heads = kind.heads[1]
        last = kind.layers[1] - 1
        found |= {"alignment_heads": [[last, heads - 1], [0, 1], [last, 0]]}
        found |= {"median_filter_width": 7}
    if kind.old:
        return found | {"forced_decoder_ids": _old_prompt(kind, tokenizer)}
    found |= {
        "is_multilingual": kind.multilingual,
        "max_initial_timestamp_index": 50,
        "no_timestamps_token_id": find(MARKS[3]),
        "prev_sot_token_id": find(MARKS[1]),
        "return_timestamps": False,
    }
    if kind.multilingual:
        found["lang_to_id"] = {f"<|{code}|>": find(f"<|{code}|>") for code in LANGUAGES}
        found["task_to_id"] = {task.strip("<|>"): find(task) for task in TASKS}
    return found


def _old_prompt(kind: Kind, tokenizer: Any) -> list[list[int]]:
    """`forced_decoder_ids` of a checkpoint of the first days: English, written down, no times."""
    tokens = ["<|en|>", "<|transcribe|>", MARKS[3]] if kind.multilingual else [MARKS[3]]
    return [[at, tokenizer.convert_tokens_to_ids(t)] for at, t in enumerate(tokens, start=1)]


def _randomize(model: Any, tokenizer: Any) -> None:
    """Make every weight matter, and texts vary with the recording."""
    words = model.get_output_embeddings().weight
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:  # the encoder's computed positions
                continue
            if parameter.dim() < 2:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif parameter is words:
                parameter.normal_(0, 0.5)
            elif "positions" in name:
                parameter.normal_(0, 1.0)
            elif "conv" in name:
                parameter.normal_(0, 2 * (parameter.shape[1] * parameter.shape[2]) ** -0.5)
            else:
                # What is heard changes less from step to step than what was written.
                heard = "encoder_attn" in name
                parameter.normal_(0, (1.5 if heard else 3) * parameter.shape[1] ** -0.5)
        end = tokenizer.convert_tokens_to_ids(END)
        times = tokenizer.convert_tokens_to_ids(MARKS[3]) + 1
        words[end] *= 1.6
        words[times:] *= 0.8


WHISPER_CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    name: partial(whisper, name) for name in WHISPERS
}
"""Name -> what writes the checkpoint."""
