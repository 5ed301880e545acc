"""Settings of a CTC model, and of the language model that its bundle may hold."""

import math

import msgspec

from onnxtasks.ops.audio import AudioSpec
from onnxtasks.ops.ctc import CtcSpec, receptive_field


class LanguageModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An n-gram language model over words, and how beam search weighs it."""

    file: str
    """Its file in the bundle: ngrams.json, with arrays beside it; ARPA text (.arpa), of which they
    are made; or KenLM's binary form."""
    symbols: tuple[str, ...]
    """What beam search reads the model's symbols as: "" the blank, " " between words."""
    unigrams: str | None = None
    """A file in the bundle with the words that it knows, one a line; None: the model's own."""
    alpha: float = 0.5
    """Weight of its scores."""
    beta: float = 1.5
    """Added for each word."""
    unk_score_offset: float = -10.0
    """Added for each word that it does not know."""
    score_boundary: bool = True
    """Whether it scores the start and the end of a recording as those of a sentence."""

    def __post_init__(self) -> None:
        """Refuse weights that are no numbers."""
        for name in ("alpha", "beta", "unk_score_offset"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"language_model.{name} is {getattr(self, name)}")


class CtcSpeechSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a CTC model over raw samples (Wav2Vec2 and its kin)."""

    audio: AudioSpec
    ctc: CtcSpec
    conv_kernels: tuple[int, ...]
    """Widths of the convolutions that turn samples into frames, in their order."""
    conv_strides: tuple[int, ...]
    """Their steps; their product is the samples from one frame to the next."""
    attention_mask: bool
    """Whether the graph takes a mask, so that recordings of different lengths share a run.

    Without one (a group norm over time sees the padding) only equal lengths do.
    """
    language_model: LanguageModelSpec | None = None
    """With one, beam search is the default."""

    @property
    def frame_step(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(self.conv_strides)

    def __post_init__(self) -> None:
        """Refuse convolutions that do not fit each other or the shortest recording."""
        if not self.conv_kernels or len(self.conv_kernels) != len(self.conv_strides):
            raise ValueError("conv_kernels and conv_strides need one number for each convolution")
        if min(*self.conv_kernels, *self.conv_strides) < 1:
            raise ValueError("conv_kernels and conv_strides are at least 1")
        field = receptive_field(self.conv_kernels, self.conv_strides)
        if self.audio.min_samples < field:
            raise ValueError(f"audio.min_samples is below the {field} samples of one frame")
        heard = self.language_model
        if heard is not None and len(heard.symbols) != len(self.ctc.symbols):
            raise ValueError(
                f"language_model.symbols are {len(heard.symbols)}; the model scores "
                f"{len(self.ctc.symbols)}"
            )
