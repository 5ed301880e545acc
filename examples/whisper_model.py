"""A tiny Whisper and its processor: multilingual layout, windows of `whisper_data.SECONDS`."""

import json
from pathlib import Path
from typing import Any

import torch
from command_data import commands
from speech_data import RATE, plan
from tokenizers import ByteLevelBPETokenizer
from torch import nn
from transformers import (
    AddedToken,
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)
from whisper_data import FRAME, FRAMES, SECONDS

END, START = "<|endoftext|>", "<|startoftranscript|>"
LANGUAGES = ("<|en|>", "<|zh|>", "<|de|>", "<|es|>")
"""Whisper's first; all but English are there for the layout only."""
TRANSLATE, TRANSCRIBE = "<|translate|>", "<|transcribe|>"
START_OF_LM, START_OF_PREVIOUS = "<|startoflm|>", "<|startofprev|>"
NO_SPEECH, NO_TIMES = "<|nospeech|>", "<|notimestamps|>"
SPECIAL = (
    *(START, *LANGUAGES, TRANSLATE, TRANSCRIBE),
    *(START_OF_LM, START_OF_PREVIOUS, NO_SPEECH, NO_TIMES),
)
TIMES = tuple(f"<|{FRAME * place:.2f}|>" for place in range(FRAMES + 1))
WIDTH = 80
HEADS = 4
LONGEST = 128  # tokens, half of them of the text before


def make_processor() -> WhisperProcessor:
    """Build the byte-level BPE of the words, with Whisper's special tokens behind."""
    texts = [f" {text}" for text in commands(500, 0)]
    texts += [f" {utterance.text}" for utterance in plan(500, 0)]
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(texts, vocab_size=400, special_tokens=[], show_progress=False)
    model = json.loads(trainer.to_str())["model"]
    vocabulary = {**model["vocab"], END: len(model["vocab"])}
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer: Any = WhisperTokenizer(vocabulary, merges, model_max_length=LONGEST)
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    tokenizer.add_tokens([AddedToken(time, normalized=False, special=False) for time in TIMES])
    extractor = WhisperFeatureExtractor(
        feature_size=80, sampling_rate=RATE, chunk_length=SECONDS, return_attention_mask=False
    )
    return WhisperProcessor(extractor, tokenizer)


def _generation(tokenizer: Any, ids: dict[str, int]) -> GenerationConfig:
    """What the published checkpoints say, for this vocabulary."""
    find = tokenizer.convert_tokens_to_ids
    marks = (START, TRANSLATE, TRANSCRIBE, START_OF_LM, START_OF_PREVIOUS, NO_SPEECH)
    return GenerationConfig(
        **ids,
        max_length=LONGEST,
        is_multilingual=True,
        lang_to_id={language: find(language) for language in LANGUAGES},
        task_to_id={task.strip("<|>"): find(task) for task in (TRANSLATE, TRANSCRIBE)},
        no_timestamps_token_id=find(NO_TIMES),
        prev_sot_token_id=find(START_OF_PREVIOUS),
        # A window may begin with any silence.
        max_initial_timestamp_index=FRAMES,
        # Not the end: a window without speech has no text, also without times.
        begin_suppress_tokens=[find("\u0120")],
        suppress_tokens=[find(mark) for mark in marks],
        return_timestamps=False,
        median_filter_width=7,
    )


def make_model(tokenizer: Any) -> WhisperForConditionalGeneration:
    """Build the model with random weights, of which some begin where learning is quicker."""
    find = tokenizer.convert_tokens_to_ids
    ids = {name: find(END) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    ids["decoder_start_token_id"] = find(START)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=80,
        d_model=WIDTH,
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=3 * WIDTH,
        decoder_ffn_dim=3 * WIDTH,
        max_source_positions=FRAMES,
        max_target_positions=LONGEST,
        dropout=0.0,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        **ids,
    )
    model: WhisperForConditionalGeneration = WhisperForConditionalGeneration._from_config(
        config, attn_implementation="eager"
    )
    _begin_well(model, find(TIMES[0]))
    model.generation_config = _generation(tokenizer, ids)
    return model


def _begin_well(model: WhisperForConditionalGeneration, first_time: int) -> None:
    """Near frames attend to each other (see `training.prepare_attention`), near times are alike."""
    parts = model.model
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and "embed" not in name:
                nn.init.xavier_uniform_(parameter)
        for layer in parts.encoder.layers:
            layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
        table = parts.decoder.embed_tokens.weight
        table.normal_(0.0, 0.1)
        # The encoder's positions are waves already.
        waves = parts.encoder.embed_positions.weight
        table[first_time : first_time + len(waves)] = 0.14 * waves


def load_or_make(
    start: Path | None, tokenizer: Any
) -> tuple[WhisperForConditionalGeneration, dict[str, int]]:
    """Take the model to go on from with its steps and seconds so far, or a new one."""
    if start is None:
        return make_model(tokenizer), {"windows": 0, "train_seconds": 0}
    model = WhisperForConditionalGeneration.from_pretrained(start, attn_implementation="eager")
    return model, json.loads((start / "metrics.json").read_text(encoding="utf-8"))
