"""Whisper's log-mel features: seconds of ours, of faster-whisper's and of transformers'.

`python -m benchmarks.log_mel`. faster-whisper gets an environment of its own, of which only the
module that computes features is loaded; it needs numpy alone. The forms take turns. Prints a
Markdown table of median and fastest milliseconds a recording, and how far each is from
transformers with torch.
"""

import importlib.util
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.environments import interpreter
from onnxtasks.ops.scores import Float
from onnxtasks.speech.log_mel import LogMel
from onnxtasks.speech.whisper_spec import MelSpec

RATE, ROUNDS = 16000, 25
SECONDS, BANDS = (5.0, 30.0), (80, 128)
Form = Callable[[Float], Float]


def recording(seconds: float) -> Float:
    """Noise in bursts."""
    rng = np.random.default_rng(0)
    samples = int(seconds * RATE)
    bursts = np.sin(np.arange(samples) / RATE * 9) > -0.3
    return (bursts * rng.normal(0, 0.1, samples)).astype(np.float32)


def ours(bands: int) -> Form:
    """The runtime's."""
    spec = MelSpec(n_fft=400, hop_length=160, n_mels=bands, sampling_rate=RATE, chunk_seconds=30.0)
    return LogMel(spec)


def faster_whisper(bands: int) -> Form:
    """faster-whisper's, which pads a window's features, not its sound."""
    place = interpreter("faster-whisper").parents[1]
    path = next(place.glob("lib/python*/site-packages/faster_whisper/feature_extractor.py"))
    spec = importlib.util.spec_from_file_location("feature_extractor", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    extractor = module.FeatureExtractor(feature_size=bands)

    def features(samples: Float) -> Float:
        found: Float = extractor(samples)
        room = extractor.nb_max_frames
        found = found[:, :room]
        return np.pad(found, ((0, 0), (0, room - found.shape[1])))

    return features


def transformers_with(kind: str, bands: int) -> Form:
    """transformers', with "torch" or with "numpy"."""
    import transformers

    extractor = transformers.WhisperFeatureExtractor(feature_size=bands)
    length = extractor.n_samples

    def features(samples: Float) -> Float:
        padded = np.pad(samples[:length], (0, max(0, length - len(samples))))
        found: Float
        if kind == "torch":
            found = extractor._torch_extract_fbank_features(padded)
        else:
            found = extractor._np_extract_fbank_features(padded[None], "cpu")[0]
        return found

    return features


def milliseconds(forms: dict[str, Form], samples: Float) -> dict[str, list[float]]:
    """Times of each form, which take turns."""
    found: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, form in forms.items():
            start = time.perf_counter()
            form(samples)
            found[name].append(1000 * (time.perf_counter() - start))
    return found


def main() -> None:
    """Measure and print."""
    print("| bands | recording | form | median ms | fastest ms | from transformers |")
    print("|---|---|---|---|---|---|")
    for bands in BANDS:
        forms = {
            "onnxtasks": ours(bands),
            "faster-whisper": faster_whisper(bands),
            "transformers, torch": transformers_with("torch", bands),
            "transformers, numpy": transformers_with("numpy", bands),
        }
        for seconds in SECONDS:
            samples = recording(seconds)
            expected = forms["transformers, torch"](samples)
            times = milliseconds(forms, samples)
            for name, form in forms.items():
                far = float(np.abs(form(samples) - expected).max())
                print(
                    f"| {bands} | {seconds:g} s | {name} | {median(times[name]):.1f} | "
                    f"{min(times[name]):.1f} | {far:.1g} |"
                )


if __name__ == "__main__":
    main()
