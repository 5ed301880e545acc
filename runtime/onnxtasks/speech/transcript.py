"""What speech recognition answers."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a transcript."""

    text: str
    start: float
    """Seconds from the start of the recording."""
    end: float
    score: float
    """Mean posterior probability of the symbols over the frames that hold them."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said."""

    text: str
    segments: tuple[Span, ...]
    """With CTC one, from the first word to the last; none where nothing was said."""
    words: tuple[Span, ...]
    characters: tuple[Span, ...]
    """One per symbol, the spaces between words included."""
    language: str | None
    """None where the model does not tell."""
    alternatives: tuple["Transcript", ...]
    """Other hypotheses, best first; greedy decoding has none."""
    score: float | None = None
    """Of beam search: log-probability of the sound, weighted language model and hotwords."""
    acoustic_score: float | None = None
    """Of beam search: log-probability of the sound alone."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline that is asked for timestamps.

        Of words; of segments where nothing smaller has times.
        """
        spans = self.words if self.words or self.characters else self.segments
        chunks = [{"text": span.text, "timestamp": (span.start, span.end)} for span in spans]
        return {"text": self.text, "chunks": chunks}
