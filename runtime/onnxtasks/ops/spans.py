"""Spans of tokens that answer a question: how likely each is, and where it stands in the text.

Reimplements `select_starts_ends`, `decode_spans` and `get_indices` of transformers 4.57.6
(pipelines/question_answering.py), without its [token, token] matrix of candidates.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from onnxtasks.ops.scores import Float, softmax


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Some tokens in a row."""

    first: int
    """Position of the first token."""
    last: int
    """Position of the last token, which belongs to it."""
    score: float
    """Probability of its first token as a start times that of its last as an end."""


def probabilities(logits: Float, scored: npt.NDArray[np.bool_]) -> Float:
    """Softmax over some of the tokens; the others get 0.

    Args:
        logits: [token].
        scored: [token], at least one of them.
    """
    return softmax(np.where(scored, logits, np.float32(-np.inf)))


def best_spans(
    start: Float, end: Float, inside: range, count: int, longest: int
) -> list[TokenSpan]:
    """The most likely spans, best first; of equal ones the earlier, then the shorter.

    Args:
        start: [token], probability that the answer starts there.
        end: [token], probability that it ends there.
        inside: Positions that a span may take.
        count: How many spans; fewer where there are fewer.
        longest: Most tokens of a span.
    """
    if not inside:
        return []
    size, width = len(inside), min(longest, len(inside))
    # Only [start, length] is scored, and what would end behind the last token is marked.
    ends = np.append(end[inside.start : inside.stop], np.full(width - 1, -1, end.dtype))
    ends = np.lib.stride_tricks.sliding_window_view(ends, width)  # [start, length]
    scores = np.where(ends < 0, -1, start[inside.start : inside.stop, None] * ends).ravel()
    count = min(count, width * size - width * (width - 1) // 2)
    level = np.partition(scores, -count)[-count]
    kept = np.flatnonzero(scores >= level)
    best = kept[np.argsort(-scores[kept], kind="stable")][:count]
    return [
        TokenSpan(
            first=inside.start + int(index) // width,
            last=inside.start + int(index) // width + int(index) % width,
            score=float(scores[index]),
        )
        for index in best
    ]


def span_characters(
    encoding: Encoding, span: TokenSpan, sequence: int, *, align_to_words: bool
) -> tuple[int, int]:
    """Where a span stands in its text: its first character, and the one behind its last.

    Args:
        encoding: What the span's positions count in.
        span: Tokens of one text.
        sequence: Which text of a pair it is, 0 or 1.
        align_to_words: Whether words are taken whole, where the tokenizer knows of words.
    """
    if align_to_words:
        first = _word_characters(encoding, span.first, sequence)
        last = _word_characters(encoding, span.last, sequence)
        if first is not None and last is not None:
            return first[0], last[1]
    offsets = encoding.offsets
    return offsets[span.first][0], offsets[span.last][1]


def _word_characters(encoding: Encoding, token: int, sequence: int) -> tuple[int, int] | None:
    word = encoding.token_to_word(token)
    return None if word is None else encoding.word_to_chars(word, sequence)
