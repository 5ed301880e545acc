"""When each token and word of Whisper was said, by where its decoder looked while it wrote.

A reimplementation of `_extract_token_timestamps`, `_median_filter`, `_dynamic_time_warping`
(transformers, models/whisper/generation_whisper.py) and `_combine_tokens_into_words` (the same,
tokenization_whisper.py), which are those of openai/whisper (timing.py, tokenizer.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.ops.scores import Float

Int: TypeAlias = npt.NDArray[np.int64]
Bool: TypeAlias = npt.NDArray[np.bool_]
Decode: TypeAlias = Callable[[Sequence[int]], str]
"""Token ids -> their text, with its leading space; half a character is U+FFFD."""

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages that write no spaces between words: each character is one."""
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
OPENING = "\"'“¡¿([{-"
CLOSING = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001  they are those of other scripts
BROKEN = "\N{REPLACEMENT CHARACTER}"

MEDIAN_ROWS = 16  # of 1500 frames they and what is made of them stay in the cache


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it was said."""

    text: str
    """With the space in front of it and the punctuation beside it."""
    tokens: tuple[int, ...]
    start: float
    """Seconds."""
    end: float
    probability: float
    """Mean probability of its tokens."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive tokens that are one text: token `first` up to and without `stop`."""

    text: str
    first: int
    stop: int


def token_times(weights: Float, median_width: int) -> Float:
    """The frame in which each row of attention starts.

    Args:
        weights: Softmaxed cross-attention of the alignment heads, float32 [head, token, frame],
            cut to the frames of the recording.
        median_width: Frames of the median filter; odd.

    Returns:
        float32 [token], in frames: the source's numbers before it makes them seconds.
    """
    if 0 in weights.shape:
        return np.zeros(weights.shape[1], np.float32)
    return first_frames(*warp(-attention(weights, median_width)))


def token_edges(weights: Float, median_width: int) -> Float:
    """When the tokens of a decoder start and end.

    The row of a token tells where the *next* one starts, as that is what it was read for. The last
    token was never read, so it has no row and takes no time; as a rule it is the end token.

    Args:
        weights: As in `token_times`; the rows of the written tokens but the last, without those of
            the prompt.
        median_width: As in `token_times`.

    Returns:
        float32 [written tokens + 1] in frames; token i lasts from edge i to edge i + 1.
    """
    times = token_times(weights, median_width)
    last = times[-1:] if len(times) else np.zeros(1, np.float32)
    return np.concatenate((np.zeros(1, np.float32), times, last))


def attention(weights: Float, median_width: int) -> Float:
    """How much each token looks at each frame, against what the others do.

    Args:
        weights: float32 [head, token, frame].
        median_width: Frames of the median filter; odd.

    Returns:
        float32 [token, frame]: standard scores over the tokens, filtered, mean over the heads.
    """
    total = np.zeros(weights.shape[1:], np.float64)
    for head in weights:
        total += median_filter(standard_scores(head), median_width)
    return (total / len(weights)).astype(np.float32)


def standard_scores(weights: Float) -> Float:
    """Standard scores over the tokens of each frame, float32 [token, frame].

    A frame that all tokens look at alike says nothing, and is 0 here; the source divides by the
    deviation of 0 and goes on with NaN.
    """
    centred = weights - weights.mean(axis=0, dtype=np.float64)
    deviation = np.sqrt(np.square(centred).mean(axis=0))
    found = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    scores: Float = found.astype(np.float32)
    return scores


def median_filter(values: Float, width: int) -> Float:
    """The median of each frame and its neighbours, mirrored at both ends.

    Args:
        values: [token, frame]; of no more frames than half a width they stay as they are.
        width: Odd.

    Raises:
        ValueError: A width that is even or not above 0.
    """
    if width < 1 or width % 2 == 0:
        raise ValueError(f"the width of the median filter is {width}; it is odd and at least 1")
    half, frames = width // 2, values.shape[1]
    if half == 0 or frames <= half:
        return values
    found = np.empty_like(values)
    padded = np.pad(values, ((0, 0), (half, half)), mode="reflect")
    for row in range(0, len(values), MEDIAN_ROWS):
        some = padded[row : row + MEDIAN_ROWS]
        columns = [some[:, shift : shift + frames] for shift in range(width)]
        found[row : row + MEDIAN_ROWS] = _median(columns)
    return found


def _median(columns: list[Float]) -> Float:
    """The median of an odd number of arrays, element by element.

    The smallest and the largest of a bit more than half of them are not the median; what takes
    their place is the next one. Three times faster than sorting windows of seven numbers.
    """
    keep = len(columns) // 2 + 2
    kept, rest = columns[:keep], columns[keep:]
    while len(kept) > 2:
        for place in range(len(kept) - 1, 0, -1):  # the smallest comes to the front
            low, high = kept[place - 1], kept[place]
            kept[place - 1], kept[place] = np.minimum(low, high), np.maximum(low, high)
        for place in range(1, len(kept) - 1):  # and the largest to the end
            low, high = kept[place], kept[place + 1]
            kept[place], kept[place + 1] = np.minimum(low, high), np.maximum(low, high)
        kept = kept[1:-1] + rest[:1]
        rest = rest[1:]
    return kept[0]


def warp(cost: Float) -> tuple[Int, Int]:
    """The cheapest path from the first token and frame to the last ones.

    Whole anti-diagonals are computed at once, each from the two before it. Where several ways are
    equally cheap the path is the source's: where the diagonal step and the step to a token tie, it
    goes to the next frame, although that may be dearer.

    Args:
        cost: float32 [token, frame], finite, at least one of each.

    Returns:
        Tokens and frames of the path, each int64 [step].
    """
    tokens, frames = cost.shape
    skewed = np.full((tokens, tokens + frames), np.inf, np.float32)
    skewed[:, :frames] = cost
    # Rows that are one shorter than the array's move each token one place further than the last.
    skewed = skewed.ravel()[:-tokens].reshape(tokens, tokens + frames - 1)
    diagonals = np.ascontiguousarray(skewed.T)
    onward, straight = (np.empty(diagonals.shape, bool) for _ in range(2))
    ahead = np.empty(tokens, np.float32)
    differ = np.empty(tokens, bool)
    # Place i + 1 of a diagonal is token i; place 0 is what comes before the first token.
    older, last, made = (np.full(tokens + 1, np.inf, np.float32) for _ in range(3))
    older[0] = 0
    for costs, leaves, slants in zip(diagonals, onward, straight, strict=True):
        both, token, frame = older[:-1], last[:-1], last[1:]
        np.minimum(both, token, out=ahead)
        np.less(both, token, out=slants)
        np.not_equal(both, token, out=differ)
        np.less(ahead, frame, out=leaves)
        np.logical_and(leaves, differ, out=leaves)
        np.add(np.where(leaves, ahead, frame), costs, out=made[1:])
        older, last, made = last, made, older
        made[0] = np.inf
    return _walk_back(onward, straight)


def _walk_back(onward: Bool, straight: Bool) -> tuple[Int, Int]:
    """The path to the last token and frame.

    Args:
        onward: [diagonal, token]: whether the step to a place came from another token.
        straight: [diagonal, token]: whether such a step came from another frame too.
    """
    diagonal, token = onward.shape[0] - 1, onward.shape[1] - 1
    path = [(token, diagonal - token)]
    while diagonal > 0:
        both = onward[diagonal, token] and straight[diagonal, token]
        token -= int(onward[diagonal, token])
        diagonal -= 2 if both else 1
        path.append((token, diagonal - token))
    found = np.array(path[::-1], np.int64)
    return found[:, 0], found[:, 1]


def first_frames(tokens: Int, frames: Int) -> Float:
    """The first frame of each token on a path, float32 [token]."""
    starts = np.diff(tokens, prepend=-1) != 0
    found: Float = frames[starts].astype(np.float32)
    return found


def split_characters(tokens: Sequence[int], decode: Decode) -> list[Piece]:
    """Cut tokens wherever what was decoded since the last cut is whole characters.

    Args:
        tokens: Of text only, without timestamps and other special tokens.
        decode: Ids -> text.
    """
    whole = decode(tokens)
    pieces: list[Piece] = []
    first = offset = 0
    for stop in range(1, len(tokens) + 1):
        text = decode(tokens[first:stop])
        broken = text.find(BROKEN)
        # A replacement character that the whole text has too was never a character.
        if broken < 0 or whole[offset + broken : offset + broken + 1] in ("", BROKEN):
            pieces.append(Piece(text, first, stop))
            first, offset = stop, offset + len(text)
    return pieces


def split_words(tokens: Sequence[int], decode: Decode) -> list[Piece]:
    """Cut tokens in front of spaces and punctuation."""
    pieces: list[Piece] = []
    for found in split_characters(tokens, decode):
        starts = found.text.startswith(" ") or found.text.strip() in PUNCTUATION
        if starts or not pieces:
            pieces.append(found)
        else:
            pieces[-1] = _joined(pieces[-1], found)
    return pieces


def merge_punctuation(pieces: Sequence[Piece]) -> list[Piece]:
    """Put opening punctuation in front of the next word, and closing behind the one before."""
    opened: list[Piece] = []  # last word first
    for piece in reversed(pieces):
        if opened and piece.text.startswith(" ") and piece.text.strip() in OPENING:
            opened[-1] = _joined(piece, opened[-1])
        else:
            opened.append(piece)
    closed: list[Piece] = []
    for piece in reversed(opened):
        if closed and not closed[-1].text.endswith(" ") and piece.text in CLOSING:
            closed[-1] = _joined(closed[-1], piece)
        else:
            closed.append(piece)
    return closed


def split(tokens: Sequence[int], decode: Decode, language: str | None) -> list[Piece]:
    """Tokens -> words, with the punctuation that belongs to them.

    Args:
        tokens: Of text only, without timestamps and other special tokens.
        decode: Ids -> text.
        language: Its code, such as "en"; None for a model of one language, which has spaces.
    """
    cut = split_characters if language in UNSPACED else split_words
    return merge_punctuation(cut(tokens, decode))


def words(
    tokens: Sequence[int],
    times: Sequence[tuple[float, float]],
    probabilities: Sequence[float],
    decode: Decode,
    language: str | None = None,
) -> list[Word]:
    """Tokens with their times -> words with theirs.

    Args:
        tokens: Of text only, without timestamps and other special tokens.
        times: Start and end of each token in seconds; rounded to 0.01 s, as the source does.
        probabilities: Of each token.
        decode: Ids -> text, with its leading space.
        language: As in `split`.
    """
    return [
        Word(
            text=piece.text,
            tokens=tuple(tokens[piece.first : piece.stop]),
            start=round(float(times[piece.first][0]), 2),
            end=round(float(times[piece.stop - 1][1]), 2),
            probability=float(np.mean(probabilities[piece.first : piece.stop])),
        )
        for piece in split(tokens, decode, language)
        if piece.text
    ]


def _joined(left: Piece, right: Piece) -> Piece:
    return Piece(left.text + right.text, left.first, right.stop)
