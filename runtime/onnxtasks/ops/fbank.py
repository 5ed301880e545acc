"""Kaldi's log-mel filter bank features, as the Audio Spectrogram Transformer hears them.

After ASTFeatureExtractor of transformers, in the form that it takes without torchaudio.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from onnxtasks.ops.scores import Float

RATE = 16000  # samples per second, the only rate that these features are made for
FRAME = 400  # samples of a frame
HOP = 160  # samples from a frame to the next
BINS = 512  # samples of the Fourier transform; frames are padded with zeros
LOWEST_HERTZ = 20.0
PRE_EMPHASIS = 0.97
BLOCK = 64  # frames at a time: what is computed of them stays in the processor's cache
FLOOR = 1.192092955078125e-07  # the least power, that of silence


class FbankSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="fbank"):
    """How samples become the input of a spectrogram model of one fixed length."""

    n_mels: int
    """Bands from 20 Hz to half the rate."""
    frames: int
    """Frames of the graph's input, 10 ms each; a shorter recording is filled up with 0."""
    mean: float
    """Subtracted from features and filling."""
    std: float
    """Half of what they are then divided by; mean 0 and std 0.5 leave them as they are."""

    def __post_init__(self) -> None:
        """Refuse what no features could be made of."""
        for name in ("n_mels", "frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 1")
        if not self.std > 0:
            raise ValueError(f"std is {self.std}; it is above 0")

    @property
    def samples(self) -> int:
        """Samples that fill all frames."""
        return (self.frames - 1) * HOP + FRAME


class Fbank:
    """Samples -> features; its filters are computed once."""

    def __init__(self, spec: FbankSpec) -> None:
        """Compute window and filters."""
        self.spec = spec
        self.window = np.hanning(FRAME)
        self.filters = mel_filters(spec.n_mels)

    def __call__(self, samples: Float) -> Float:
        """Turn a recording into the model's input.

        Args:
            samples: [time] at 16 kHz, at least one frame of 400; what the last frame that fits
                does not reach is not heard.

        Returns:
            float32 [frame, band].
        """
        spec = self.spec
        features = np.zeros((spec.frames, spec.n_mels), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(samples[: spec.samples], FRAME)[::HOP]
        for start in range(0, len(frames), BLOCK):
            block = frames[start : start + BLOCK]
            features[start : start + len(block)] = log_power(block, self.window, self.filters)
        scaled: Float = (features - spec.mean) / (spec.std * 2)
        return scaled


def log_power(
    frames: Float, window: npt.NDArray[np.float64], filters: npt.NDArray[np.float64]
) -> Float:
    """The logarithm of the power in each band of each frame.

    Of every frame its mean is taken, and high frequencies are lifted.

    Args:
        frames: [frame, 400], samples.
        window: [400], weighs the samples of a frame.
        filters: [bin, band].

    Returns:
        float32 [frame, band].
    """
    centred = frames.astype(np.float64)
    centred -= centred.mean(1, keepdims=True)
    lifted = PRE_EMPHASIS * centred
    lifted[:, 1:] = centred[:, 1:] - lifted[:, :-1]
    lifted[:, 0] = centred[:, 0] - lifted[:, 0]
    lifted *= window
    spectrum = np.fft.rfft(lifted, BINS)  # [frame, bin]
    power = (spectrum.real**2 + spectrum.imag**2) @ filters
    logarithms: Float = np.log(np.maximum(FLOOR, power)).astype(np.float32)
    return logarithms


def mel_filters(n_mels: int) -> npt.NDArray[np.float64]:
    """Triangles of equal width on Kaldi's mel scale, [bin, band].

    After mel_filter_bank of transformers (mel_scale="kaldi", triangularize_in_mel_space=True).

    Args:
        n_mels: How many, from 20 Hz to half the rate.
    """
    corners = np.linspace(_mel(LOWEST_HERTZ), _mel(RATE / 2), n_mels + 2)
    bins = _mel(np.arange(BINS // 2 + 1) * (RATE / BINS))[:, None]
    widths = np.diff(corners)
    rising = (bins - corners[:-2]) / widths[:-1]
    falling = (corners[2:] - bins) / widths[1:]
    triangles: npt.NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return triangles


def _mel(hertz: float | npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    return np.asarray(1127 * np.log(1 + np.asarray(hertz, np.float64) / 700))
