"""Handwritten digits of scikit-learn (8 x 8 grey) as RGB pictures, split and augmented."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SIDE = 32  # pixels; what the model sees
_RESAMPLINGS = (
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


@dataclass(frozen=True)
class Digits:
    """Pictures and their digits; `indices` are the places in `load_digits`."""

    images: list[Image.Image]
    labels: np.ndarray  # [count]
    indices: np.ndarray  # [count]


def load_split() -> tuple[Digits, Digits]:
    """Split the digits into 1 347 for training and 450 held out, each digit in proportion."""
    data = load_digits()
    grey = np.round(data.images / 16.0 * 255.0).astype(np.uint8)  # [count, 8, 8], ink is white
    everything = np.arange(len(grey))
    parts = train_test_split(everything, test_size=0.25, random_state=0, stratify=data.target)
    train, test = (
        Digits(
            [Image.fromarray(grey[index]).convert("RGB") for index in indices],
            data.target[indices],
            indices,
        )
        for indices in parts
    )
    return train, test


def enlarge(image: Image.Image, side: int) -> Image.Image:
    """Resize to a square of `side` pixels, smoothly."""
    return image.resize((side, side), Image.Resampling.BICUBIC)


def augment(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Shift, scale, turn and re-contrast a picture a little; its size becomes random too."""
    side = int(rng.integers(24, 160))
    resampling = _RESAMPLINGS[rng.integers(len(_RESAMPLINGS))]
    large = image.resize((side, side), resampling)
    scale = rng.uniform(0.85, 1.2)
    angle = np.deg2rad(rng.uniform(-12.0, 12.0))
    shift = rng.uniform(-0.09, 0.09, size=2) * side  # [x, y]
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    middle = side / 2
    # PIL wants the map from the new picture's points to the old one's.
    moved = (
        cosine,
        sine,
        middle - cosine * (middle + shift[0]) - sine * (middle + shift[1]),
        -sine,
        cosine,
        middle + sine * (middle + shift[0]) - cosine * (middle + shift[1]),
    )
    large = large.transform(large.size, Image.Transform.AFFINE, moved, Image.Resampling.BILINEAR)
    pixels = np.asarray(large, dtype=np.float32)
    pixels = pixels * rng.uniform(0.6, 1.2) + rng.uniform(-10.0, 40.0)
    pixels += rng.normal(0.0, rng.uniform(0.0, 8.0), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
