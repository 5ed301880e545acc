"""Teach a tiny Wav2Vec2 to tell which digit is spoken, from the encoder of the word recogniser."""

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from speech_data import (
    ACCENTS,
    HELD_OUT_VOICE,
    RATE,
    VARIANTS,
    WORDS,
    Speech,
    Utterance,
    augment,
    record,
)
from training import CHECKPOINTS, Batch, fit, parse_options, seed_everything, write_metrics
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

DIGITS = WORDS[:10]
TRAIN_SIZE = 2000
TEST_SIZE = 300
BATCH = 16


def plan(count: int, seed: int, voice: str | None = None) -> list[Utterance]:
    """Draw `count` digits; without `voice` each gets one of the training voices."""
    rng = random.Random(seed)
    return [
        Utterance(
            text=DIGITS[number % len(DIGITS)],
            voice=voice or f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}",
            speed=rng.randint(140, 200),
            pitch=rng.randint(25, 75),
            pauses=False,
        )
        for number in range(count)
    ]


def make_model(start: Path) -> Wav2Vec2ForSequenceClassification:
    """Take the encoder of the word recogniser, which heard the same voices; the head is new."""
    return Wav2Vec2ForSequenceClassification.from_pretrained(
        start,
        classifier_proj_size=48,
        id2label=dict(enumerate(DIGITS)),
        label2id={digit: index for index, digit in enumerate(DIGITS)},
        mask_time_min_masks=0,
    )


def encode(extractor: Wav2Vec2FeatureExtractor, waves: list[np.ndarray]) -> Batch:
    """Turn recordings into a padded batch."""
    batch: Batch = extractor(waves, sampling_rate=RATE, padding=True, return_tensors="pt")
    return batch


def labels_of(texts: list[str]) -> torch.Tensor:
    """The class ids of digits, `[recording]`."""
    return torch.tensor([DIGITS.index(text) for text in texts])


def accuracy(
    model: Wav2Vec2ForSequenceClassification, extractor: Wav2Vec2FeatureExtractor, test: Speech
) -> float:
    """Share of recordings whose best-scored label is the true one."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(test.waves), 20):
            found.append(model(**encode(extractor, test.waves[start : start + 20])).logits)
    return float((torch.cat(found).argmax(-1) == labels_of(test.texts)).float().mean())


def main() -> None:
    """Train, score on the held-out voice, save."""
    options = parse_options(
        "Train the classifier of digits.", CHECKPOINTS / "sounds", epochs=6, can_continue=True
    )
    seed_everything(options)
    train = record(plan(TRAIN_SIZE, options.seed))
    test = record(plan(TEST_SIZE, 1000, HELD_OUT_VOICE))
    model = make_model(options.start or CHECKPOINTS / "speech")
    extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=RATE, do_normalize=True, return_attention_mask=True
    )

    def batches(epoch: int) -> Iterable[Batch]:
        rng = np.random.default_rng([options.seed, epoch])
        order = rng.permutation(len(train.waves))
        for chosen in np.array_split(order, -(-len(order) // BATCH)):
            waves = [augment(train.waves[index], rng) for index in chosen]
            labels = labels_of([train.texts[index] for index in chosen])
            yield {**encode(extractor, waves), "labels": labels}

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-TRAIN_SIZE // BATCH),
        peak_rate=5e-4,
        after_epoch=lambda epoch: f"accuracy {accuracy(model, extractor, test):.4f} held-out voice",
    )
    model.save_pretrained(options.out)
    extractor.save_pretrained(options.out)
    metrics = {
        "metric": "accuracy",
        "value": round(accuracy(model, extractor, test), 4),
        "held_out": f"espeak-ng voice {HELD_OUT_VOICE}, not heard in training",
        "held_out_size": len(test.waves),
        "train_size": len(train.waves),
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
