"""Settings of Whisper bundles: what the model hears, writes and may not write."""

from typing import Literal, TypeAlias

import msgspec

from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.spec import DecoderSpec
from onnxtasks.ops.audio import AudioSpec

WhisperTask: TypeAlias = Literal["transcribe", "translate"]
TOKENS = (
    *("start_token", "end_token", "no_timestamps_token", "previous_token", "no_speech_token"),
    *("transcribe_token", "translate_token"),
)
"""Fields that are one token's id."""


class MelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How samples become log-mel features; the filters are Slaney's, from 0 to 8000 Hz."""

    n_fft: int
    """Samples of a frame, which Hann's window weighs."""
    hop_length: int
    """Samples from a frame to the next."""
    n_mels: int
    """Bands: 80, or 128 since large-v3."""
    sampling_rate: int
    """Samples per second."""
    chunk_seconds: float
    """What the model hears at once, 30 s as a rule; shorter recordings are padded."""

    def __post_init__(self) -> None:
        """Refuse what no frame could be made of."""
        for name in ("n_fft", "hop_length", "n_mels", "sampling_rate"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}; it is at least 1")
        if self.hop_length > self.n_fft // 2:  # a frame would begin behind a recording's end
            raise ValueError(
                f"hop_length is {self.hop_length}, more than half of n_fft ({self.n_fft})"
            )
        if not self.samples > self.n_fft // 2:
            raise ValueError(
                f"chunk_seconds is {self.chunk_seconds}; the {self.n_fft // 2} samples before the "
                "first frame's middle are mirrored, and more are needed"
            )

    @property
    def samples(self) -> int:
        """Samples that the model hears at once."""
        return round(self.chunk_seconds * self.sampling_rate)

    @property
    def frames(self) -> int:
        """Frames that the model hears at once."""
        return self.samples // self.hop_length


class WhisperSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a Whisper bundle. English-only models have no languages and no tasks."""

    audio: AudioSpec
    mel: MelSpec
    decoder: DecoderSpec
    defaults: GenerationDefaults
    """Without the suppressed tokens, which are below."""
    start_token: int
    """<|startoftranscript|>, the decoder's first."""
    no_timestamps_token: int
    """<|notimestamps|>: asks for text without times."""
    timestamp_begin: int
    """<|0.00|>; the ids after it are times in steps of `time_precision`."""
    end_token: int
    """<|endoftext|>."""
    previous_token: int | None = None
    """<|startofprev|>: comes before the text that went before."""
    no_speech_token: int | None = None
    """<|nospeech|>: its probability after `start_token` says that nobody speaks."""
    transcribe_token: int | None = None
    """<|transcribe|>; None for an English-only model."""
    translate_token: int | None = None
    """<|translate|>: into English; None for an English-only model, and some others."""
    languages: dict[str, int] = {}
    """Code, such as "en" -> token id; empty for an English-only model."""
    multilingual: bool = False
    """Whether a language and a task follow `start_token`."""
    language: str | None = None
    """The checkpoint's own, a code of `languages`; None: it is detected."""
    task: WhisperTask | None = None
    """The checkpoint's own; None where it names none."""
    suppress_tokens: tuple[int, ...] = ()
    """Never written."""
    begin_suppress_tokens: tuple[int, ...] = ()
    """Never written first, after the tokens that the model is asked with."""
    max_initial_timestamp_index: int | None = None
    """The first time is at most this one, counted from `timestamp_begin`."""
    max_target_positions: int
    """Most tokens of a window, those that the model is asked with included."""
    max_source_positions: int
    """Positions of the encoder; each is two frames."""
    alignment_heads: tuple[tuple[int, int], ...] = ()
    """(layer, head) of the attention to the source that follows the words; the graph's "alignment"
    has them in this order. Empty: the graph has no such output, and words have no times."""
    median_filter_width: int = 7
    """Positions over which the alignment weights are smoothed; odd."""
    words: int
    """Scores that the graph gives for a token."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        self._check_tokens()
        self._check_sizes()
        if self.multilingual != bool(self.languages):
            raise ValueError(
                f"multilingual is {self.multilingual} with {len(self.languages)} languages"
            )
        if self.language is not None and self.language not in self.languages:
            raise ValueError(f"language is {self.language!r}, which is not one of languages")
        if self.task is not None and getattr(self, f"{self.task}_token") is None:
            raise ValueError(f"task is {self.task!r}, without a {self.task}_token")
        for layer, head in self.alignment_heads:
            if not (0 <= layer < self.decoder.layers and 0 <= head < self.decoder.source_heads):
                raise ValueError(
                    f"alignment_heads has layer {layer}, head {head}; the decoder has "
                    f"{self.decoder.layers} layers of {self.decoder.source_heads} heads"
                )

    def _check_tokens(self) -> None:
        if self.timestamp_begin != self.no_timestamps_token + 1:
            raise ValueError(
                f"timestamp_begin is {self.timestamp_begin}; it follows no_timestamps_token "
                f"({self.no_timestamps_token})"
            )
        tokens = {name: getattr(self, name) for name in TOKENS} | {
            **{f"languages[{code!r}]": token for code, token in self.languages.items()},
            "suppress_tokens": max(self.suppress_tokens, default=0),
            "begin_suppress_tokens": max(self.begin_suppress_tokens, default=0),
        }
        for name, token in tokens.items():
            if token is not None and not 0 <= token < self.words:
                raise ValueError(f"{name} is {token}; the model has {self.words} words")

    def _check_sizes(self) -> None:
        if not self.decoder.encoder:
            raise ValueError("decoder has no encoder; Whisper's has")
        if self.decoder.words != self.words:
            raise ValueError(f"decoder has {self.decoder.words} words, and words is {self.words}")
        if self.audio.sampling_rate != self.mel.sampling_rate:
            raise ValueError(
                f"audio is read at {self.audio.sampling_rate} Hz, mel is for "
                f"{self.mel.sampling_rate} Hz"
            )
        if self.mel.frames != 2 * self.max_source_positions:
            raise ValueError(
                f"mel gives {self.mel.frames} frames; the encoder takes two for each of its "
                f"{self.max_source_positions} positions"
            )
        if self.max_target_positions < 2:
            raise ValueError(f"max_target_positions is {self.max_target_positions}; it is above 1")
        if self.median_filter_width < 1 or self.median_filter_width % 2 == 0:
            raise ValueError(f"median_filter_width is {self.median_filter_width}; it is odd")

    @property
    def time_precision(self) -> float:
        """Seconds from a timestamp to the next, and of a position of the encoder: 0.02."""
        return self.mel.chunk_seconds / self.max_source_positions
