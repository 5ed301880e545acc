"""Make what the cases need: recordings, checkpoints, bundles, other engines' files.

    python -m benchmarks.speech.prepare MODEL ...

What is there already is kept while it is newer than what it was made from.
"""

import argparse
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers

from benchmarks import checkpoints
from benchmarks.cases import ROOT
from benchmarks.prepare import is_current
from benchmarks.speech.cases import CACHE, CASES, MODELS, WARM_SECONDS, ModelName, recording
from onnxtasks_export import export_bundle

RATE = 16000
SPOKEN = ROOT / "examples" / "inputs" / "speech"
PAUSE = 0.4  # seconds between utterances
WHATEVER = 1.0
"""How far variants may be from the original: random weights say nothing about accuracy."""
VARIANTS: dict[ModelName, tuple[str, ...]] = {
    "wav2vec2-base": ("cpu-fp32", "cpu-int8"),
    "whisper-base": ("cpu-fp32", "cpu-int8", "cpu-w8"),
}
WORDS = 62
"""Of each window's text, between its two times."""
SURE = 5.0
"""How much longer a position's vector is than a token's."""


def make_recordings() -> None:
    """Write each length: the spoken examples in turns, until it is full."""
    heard = []
    for path in sorted(SPOKEN.iterdir()):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate == RATE:
            heard += [samples.mean(1), np.zeros(int(PAUSE * RATE), np.float32)]
    once = np.concatenate(heard)
    for seconds in {WARM_SECONDS, *(case.seconds for case in CASES.values())}:
        path = recording(seconds)
        if not is_current(path, [Path(__file__)]):
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.resize(once, seconds * RATE), RATE, subtype="PCM_16")


def build_whisper(folder: Path) -> None:
    """Write a checkpoint of whisper-base's shape that says the same in each window.

    Random weights would write up to the last position, or fall back to sampling: the positions of
    the decoder hold a text instead, so that every engine writes the same 64 tokens at its defaults:
    a time, words that do not compress, a time, the end.
    """
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
    find = tokenizer.convert_tokens_to_ids
    end = find("<|endoftext|>")
    special = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    special["decoder_start_token_id"] = end + 1
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=512,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=2048,
        decoder_ffn_dim=2048,
        **special,
    )
    model: Any = transformers.WhisperForConditionalGeneration(config)
    pieces = [token for token, at in tokenizer.get_vocab().items() if at < end]
    words = [piece for piece in pieces if len(piece) == 2 and piece.isascii() and piece.isalpha()]
    said = random.Random(0).sample(sorted(words), WORDS)
    script = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|0.00|>", *said, "<|30.00|>"]
    ids = find(script)
    ids += [end] * (config.max_target_positions + 1 - len(ids))
    with torch.no_grad():
        tokens = model.model.decoder.embed_tokens.weight
        tokens.normal_(0, 0.1)
        model.model.decoder.embed_positions.weight.copy_(SURE * tokens[ids[1:]])
        for name, weight in model.model.decoder.named_parameters():
            if name.endswith(("out_proj.weight", "fc2.weight")):
                weight.mul_(0.05)
    model.generation_config = transformers.GenerationConfig(
        **special,
        max_length=448,
        suppress_tokens=[],
        begin_suppress_tokens=[end],
        alignment_heads=[[3, 1], [4, 2], [4, 3], [4, 7], [5, 1], [5, 2], [5, 4], [5, 6]],
        is_multilingual=True,
        max_initial_timestamp_index=50,
        no_timestamps_token_id=find("<|notimestamps|>"),
        prev_sot_token_id=find("<|startofprev|>"),
        return_timestamps=False,
        lang_to_id={f"<|{code}|>": find(f"<|{code}|>") for code in _languages()},
        task_to_id={"translate": find("<|translate|>"), "transcribe": find("<|transcribe|>")},
    )
    model.save_pretrained(folder)


def _languages() -> list[str]:
    """As many as whisper-base has."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return list(LANGUAGES)[:99]


def _tokenizer() -> Any:
    """The published layout and size, with pairs of bytes for its merges."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet(), key=lambda letter: (not letter.isalpha(), letter))
    size = 50257
    pairs = [(a, b) for a in letters for b in letters][: size - len(letters)]
    vocabulary = {piece: at for at, piece in enumerate([*letters, *(a + b for a, b in pairs)])}
    vocabulary["<|endoftext|>"] = size
    tokenizer = transformers.WhisperTokenizer(vocabulary, pairs, model_max_length=1024)
    languages = [f"<|{code}|>" for code in _languages()]
    tasks = ("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>")
    special = ["<|startoftranscript|>", *languages, *tasks, "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    times = [f"<|{0.02 * place:.2f}|>" for place in range(1501)]
    tokenizer.add_tokens(
        [transformers.AddedToken(time, normalized=False, special=False) for time in times]
    )
    return tokenizer


def prepare(name: ModelName) -> None:
    """Bring a model's files up to date."""
    folder = CACHE / "checkpoints" / name
    weights = folder / "model.safetensors"
    if not is_current(weights, [Path(__file__)]):
        shutil.rmtree(folder, ignore_errors=True)
        if name == "whisper-base":
            build_whisper(folder)
        else:
            checkpoints.build(name, folder)
    bundle = CACHE / "bundles" / name
    exporter = (ROOT / "export" / "onnxtasks_export").rglob("*.py")
    if not is_current(bundle / "manifest.json", [weights, *exporter]):
        export_bundle(
            folder,
            bundle,
            task="automatic-speech-recognition",
            variants=VARIANTS[name],
            samples=[recording(WARM_SECONDS)],
            max_divergence=WHATEVER,
            overwrite=bundle.exists(),
        )
    if name == "whisper-base":
        _convert(folder, weights)


def _convert(folder: Path, weights: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    for precision, kept in (("fp32", None), ("int8", "int8")):
        target = CACHE / "peers" / f"whisper-base-{precision}"
        if not is_current(target / "model.bin", [weights]):
            files = ["tokenizer.json", "preprocessor_config.json"]
            TransformersConverter(str(folder), copy_files=files).convert(
                str(target), quantization=kept, force=True
            )


def main() -> None:
    """Prepare models."""
    parser = argparse.ArgumentParser(description="Make what the cases of models need.")
    parser.add_argument("models", nargs="*", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    make_recordings()
    for name in options.models:
        prepare(name)


if __name__ == "__main__":
    main()
