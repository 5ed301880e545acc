"""Run the plain Transformers models on the sample inputs and compare with expected.json."""

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image
from scipy.signal import resample_poly
from training import CHECKPOINTS, INPUTS
from transformers import (
    AutoImageProcessor,
    AutoModelForCTC,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoProcessor,
    AutoTokenizer,
)


def read_labels(lines: list[str]) -> list[str]:
    """Classify reviews."""
    folder = CHECKPOINTS / "text"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(lines, padding=True, return_tensors="pt")
    return [model.config.id2label[int(best)] for best in model(**tokens).logits.argmax(-1)]


def read_digits(paths: list[Path]) -> list[str]:
    """Classify pictures."""
    folder = CHECKPOINTS / "digits"
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    images = [Image.open(path).convert("RGB") for path in paths]
    pixels = AutoImageProcessor.from_pretrained(folder)(images, return_tensors="pt")
    return [model.config.id2label[int(best)] for best in model(**pixels).logits.argmax(-1)]


def read_words(paths: list[Path]) -> list[str]:
    """Transcribe recordings one by one, greedily."""
    folder = CHECKPOINTS / "speech"
    model = AutoModelForCTC.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    rate = processor.feature_extractor.sampling_rate
    texts = []
    for path in paths:
        wave, own_rate = soundfile.read(path, dtype="float32", always_2d=True)
        shared = int(np.gcd(rate, own_rate))
        mono = resample_poly(wave.mean(axis=1), rate // shared, own_rate // shared)
        inputs = processor(mono, sampling_rate=rate, return_tensors="pt")
        texts += processor.batch_decode(model(**inputs).logits.argmax(-1))
    return texts


def main() -> None:
    """Print every answer; end with an error if one is wrong."""
    expected = json.loads((INPUTS / "expected.json").read_text(encoding="utf-8"))
    lines = (INPUTS / "reviews.txt").read_text(encoding="utf-8").splitlines()
    answers = dict(zip(lines, expected["text"]["reviews.txt"], strict=True))
    found: dict[str, str] = {}
    with torch.inference_mode():
        found.update(zip(lines, read_labels(lines), strict=True))
        for kind, read in (("digits", read_digits), ("speech", read_words)):
            names = list(expected[kind])
            answers.update(expected[kind])
            found.update(zip(names, read([INPUTS / name for name in names]), strict=True))
    wrong = [name for name, answer in answers.items() if found[name] != answer]
    for name, answer in found.items():
        mark = "WRONG" if name in wrong else "right"
        print(f"{mark}  {answer!r:22}  {name}")
    if wrong:
        raise SystemExit(f"{len(wrong)} of {len(answers)} answers are wrong")


if __name__ == "__main__":
    main()
