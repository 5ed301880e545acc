"""Run the plain Transformers models on the sample inputs and compare with expected.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from check_bundles import FOUND
from PIL import Image
from question_data import Example
from scipy.signal import resample_poly
from story_data import mistakes
from train_questions import find_answers
from train_translator import BEAMS, translate
from training import CHECKPOINTS, INPUTS
from transformers import (
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModelForAudioClassification,
    AutoModelForCausalLM,
    AutoModelForCTC,
    AutoModelForImageClassification,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoProcessor,
    AutoTokenizer,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    pipeline,
)
from whisper_scores import transcribe_long

NEEDS_NGRAMS = "commands/"
"""Folder of recordings that only beam search with the 3-gram gets right."""


def read_labels(lines: list[str]) -> list[str]:
    """Classify reviews."""
    folder = CHECKPOINTS / "text"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(lines, padding=True, return_tensors="pt")
    return [model.config.id2label[int(best)] for best in model(**tokens).logits.argmax(-1)]


def read_entities(lines: list[str]) -> list[list[list[str]]]:
    """Find entities: [text, label] each."""
    find = pipeline(
        "token-classification",
        model=str(CHECKPOINTS / "entities"),
        aggregation_strategy="first",
        device="cpu",
    )
    return [
        [[line[found["start"] : found["end"]], found["entity_group"]] for found in find(line)]
        for line in lines
    ]


def read_questions(lines: list[str]) -> list[str]:
    """Answer questions."""
    folder = CHECKPOINTS / "questions"
    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    pairs = [json.loads(line) for line in lines]
    examples = [Example(question, passage, 0, 0) for question, passage in pairs]
    return find_answers(model, AutoTokenizer.from_pretrained(folder), examples)


def read_phrases(lines: list[str]) -> list[str]:
    """Translate phrases, as the config asks."""
    folder = CHECKPOINTS / "translator"
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    return translate(model, AutoTokenizer.from_pretrained(folder), lines, BEAMS)


def read_stories(lines: list[str]) -> list[list[str]]:
    """Go on after first sentences: who finds what, or what is wrong in the story."""
    folder = CHECKPOINTS / "writer"
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers = []
    for line in lines:
        ids = model.generate(**tokenizer(line, return_tensors="pt"))
        story = tokenizer.decode(ids[0], skip_special_tokens=True)
        found = FOUND.search(story.removeprefix(line))
        hero, thing = found.groups() if found else ("nobody", "nothing")
        answers.append(mistakes(hero, thing, story) or [hero, thing])
    return answers


def read_digits(paths: list[Path]) -> list[str]:
    """Classify pictures."""
    folder = CHECKPOINTS / "digits"
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    images = [Image.open(path).convert("RGB") for path in paths]
    pixels = AutoImageProcessor.from_pretrained(folder)(images, return_tensors="pt")
    return [model.config.id2label[int(best)] for best in model(**pixels).logits.argmax(-1)]


def read_wave(path: Path, rate: int) -> np.ndarray:
    """Read a recording as one channel at this rate."""
    wave, own_rate = soundfile.read(path, dtype="float32", always_2d=True)
    shared = int(np.gcd(rate, own_rate))
    return np.asarray(resample_poly(wave.mean(axis=1), rate // shared, own_rate // shared))


def read_words(paths: list[Path]) -> list[str]:
    """Transcribe recordings one by one, greedily."""
    folder = CHECKPOINTS / "speech"
    model = AutoModelForCTC.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    rate = processor.feature_extractor.sampling_rate
    texts = []
    for path in paths:
        inputs = processor(read_wave(path, rate), sampling_rate=rate, return_tensors="pt")
        texts += processor.batch_decode(model(**inputs).logits.argmax(-1))
    return texts


def read_long(paths: list[Path]) -> list[str]:
    """Transcribe recordings of any length one by one, as Whisper's own algorithm does."""
    folder = CHECKPOINTS / "whisper"
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    processor = WhisperProcessor.from_pretrained(folder)
    rate = processor.feature_extractor.sampling_rate
    return [
        " ".join(one.text for one in transcribe_long(model, processor, read_wave(path, rate)))
        for path in paths
    ]


def read_sounds(paths: list[Path]) -> list[str]:
    """Classify recordings one by one."""
    folder = CHECKPOINTS / "sounds"
    model = AutoModelForAudioClassification.from_pretrained(folder).eval()
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    rate = extractor.sampling_rate
    waves = [read_wave(path, rate) for path in paths]
    inputs = [extractor(wave, sampling_rate=rate, return_tensors="pt") for wave in waves]
    return [model.config.id2label[int(model(**one).logits[0].argmax())] for one in inputs]


LINES: dict[str, Callable[[list[str]], list[Any]]] = {
    "text": read_labels,
    "entities": read_entities,
    "questions": read_questions,
    "translator": read_phrases,
    "writer": read_stories,
}
FILES: dict[str, Callable[[list[Path]], list[Any]]] = {
    "digits": read_digits,
    "sounds": read_sounds,
    "speech": read_words,
    "whisper": read_long,
}
"""Checkpoint -> what reads its inputs: the lines of a file, or files."""


def main() -> None:
    """Print every answer; end with an error if one is wrong."""
    expected = json.loads((INPUTS / "expected.json").read_text(encoding="utf-8"))
    wrong = count = 0
    for kind, answers in expected.items():
        if kind in LINES:
            ((file, wanted),) = answers.items()
            names = (INPUTS / file).read_text(encoding="utf-8").splitlines()
            with torch.inference_mode():
                found = LINES[kind](names)
        else:
            answers = {n: a for n, a in answers.items() if not n.startswith(NEEDS_NGRAMS)}
            names, wanted = list(answers), list(answers.values())
            with torch.inference_mode():
                found = FILES[kind]([INPUTS / name for name in names])
        for name, answer, right in zip(names, found, wanted, strict=True):
            count += 1
            wrong += answer != right
            print(f"{'right' if answer == right else 'WRONG'}  {answer!r:22}  {name}")
    if wrong:
        raise SystemExit(f"{wrong} of {count} answers are wrong")


if __name__ == "__main__":
    main()
