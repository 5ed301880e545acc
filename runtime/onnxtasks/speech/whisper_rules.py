"""What Whisper may write next: rules about timestamps, and what the scores of a text come to."""

import numpy as np
import numpy.typing as npt

from onnxtasks.generation.history import History
from onnxtasks.generation.reader import Float, Int
from onnxtasks.generation.result import Ending
from onnxtasks.generation.rules import Rule
from onnxtasks.generation.search import Candidates, Warp
from onnxtasks.ops.scores import log_softmax

Bool = npt.NDArray[np.bool_]


def timestamps(*, begin: int, no_timestamps: int, end: int, max_initial: int | None = None) -> Rule:
    """Timestamps come in pairs that never go back, and first; see the functions below.

    A reimplementation of `WhisperTimeStampLogitsProcessor` (transformers, generation/
    logits_process.py), which is `ApplyTimestampRules` of openai/whisper (decoding.py).

    Args:
        begin: The first timestamp's id; all ids from there on are timestamps.
        no_timestamps: <|notimestamps|>, which is never written.
        end: <|endoftext|>; ids below are text.
        max_initial: The first timestamp is at most this one, counted from `begin`; None: any.
    """

    def rule(history: History, scores: Float) -> Float:
        scores[:, no_timestamps] = -np.inf
        for row in range(len(history)):
            written = history.row(row)[int(history.prompt_lengths[row]) :]
            pair(scores[row], written, begin, end)
            scores[row, begin : earliest(written, begin)] = -np.inf
            if not len(written):
                scores[row, :begin] = -np.inf
                if max_initial is not None:
                    scores[row, begin + max_initial + 1 :] = -np.inf
        for row in np.flatnonzero(likelier(scores, begin)).tolist():
            scores[row, :begin] = -np.inf
        return scores

    return rule


def pair(scores: Float, written: Int, begin: int, end: int) -> None:
    """After one timestamp comes another or the end; after two, or one at the start, text.

    Args:
        scores: [word] of one row, written to.
        written: Its new tokens.
        begin: The first timestamp.
        end: The end token.
    """
    if len(written) and written[-1] >= begin:
        if len(written) < 2 or written[-2] >= begin:
            scores[begin:] = -np.inf
        else:
            scores[:end] = -np.inf


def earliest(written: Int, begin: int) -> int:
    """The first timestamp that does not go back.

    The last one may come once more where it ends a segment, to begin the next.
    """
    times = np.flatnonzero(written >= begin)
    if not len(times):
        return begin
    last = int(written[times[-1]])
    ends = times[-1] == len(written) - 1 and len(written) > 1 and written[-2] < begin
    return last if ends else last + 1


def likelier(scores: Float, begin: int) -> Bool:
    """Which rows are rather a timestamp, all of them together, than any one word.

    Args:
        scores: [row, word].
        begin: The first timestamp.
    """
    best_word = scores[:, :begin].max(axis=1)
    together = log_total(scores[:, begin:])
    found: Bool = together > best_word
    return found


def probability(scores: Float, word: int) -> float:
    """Probability of one word, by scores [word] of all (logits or log-probabilities)."""
    return float(np.exp(log_softmax(scores)[word]))


class Chances:
    """What is left of all words' probability when rules and cuts are done, step by step.

    Whisper's thresholds want the log-probability of a token among the words that were allowed, at
    temperature 1 (`_retrieve_avg_logprobs` of transformers). The decode loop gives others: in beam
    search before the rules, in samples at the sample's temperature. `rule` has to be the last one.
    """

    def __init__(self, temperature: float = 0.0, warp: Warp | None = None) -> None:
        """Look at one call of the decode loop.

        Args:
            temperature: Its; 0 for no samples.
            warp: What gives its samples' candidates; `self.warp` has to take its place.
        """
        self._scale = np.float32(temperature or 1.0)
        self._warp = warp
        self._left: dict[tuple[int, bytes], float] = {}
        self._keys: list[tuple[int, bytes]] = []

    def rule(self, history: History, scores: Float) -> Float:
        """Look at the scores; they stay as they are."""
        items = history.items.tolist()
        self._keys = [(item, history.row(row).tobytes()) for row, item in enumerate(items)]
        if self._warp is None:
            self._note(log_total(scores))
        return scores

    def warp(self, scores: Float) -> Candidates:
        """The candidates of a sample."""
        if self._warp is None:
            raise TypeError("there are no candidates without `warp`")
        found = self._warp(scores)
        with np.errstate(invalid="ignore"):
            self._note(
                log_total(found.scores * self._scale) - self._scale * log_total(found.scores)
            )
        return found

    def _note(self, values: Float) -> None:
        self._left.update(zip(self._keys, values.tolist(), strict=True))

    def of(self, item: int, prompt: Int, ending: Ending, *, beams: bool) -> tuple[float, ...]:
        """Log-probability of each token of a finished text, as above.

        Args:
            item: Index of its prompt.
            prompt: Token ids.
            ending: With the loop's log-probabilities.
            beams: Whether it is a beam's.
        """
        found = ending.token_logprobs or ()
        if self._warp is None and not beams:
            return found
        text = np.concatenate([prompt, np.array(ending.token_ids, np.int64)])
        keys = [(item, text[:stop].tobytes()) for stop in range(len(prompt), len(text))]
        return tuple(
            float(self._scale) * logprob - self._left[key]
            for key, logprob in zip(keys, found, strict=True)
        )


def log_total(scores: Float) -> Float:
    """Log of the sum of exponentials of each row [row]; -inf for a row of -inf only."""
    highest = scores.max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        finite = np.where(np.isfinite(highest), highest, np.float32(0))
        total: Float = np.log(np.exp(scores - finite[:, None]).sum(axis=1)) + finite
    return total
