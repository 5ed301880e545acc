"""Entities of a text that is longer than the model: from windows that overlap.

Written anew after transformers 5.23's `TokenClassificationPipeline`, with its merge. Where windows
cut one entity on both sides, which the original leaves in pieces or shortens, the pieces are joined
(`join_cut`).
"""

from collections.abc import Callable, Sequence

import numpy as np

from onnxtasks.ops.entities import (
    Entity,
    Piece,
    Rules,
    Window,
    entity_of,
    token_entities,
    window_pieces,
)
from onnxtasks.ops.entity_tokens import Tokens
from onnxtasks.ops.scores import Float
from onnxtasks.ops.text import Side


def window_places(lengths: Sequence[int], total: int, stride: int, side: Side) -> list[int]:
    """Where windows of a text start.

    Args:
        lengths: Tokens of the text in each window, in the order in which they were cut.
        total: Tokens of the text.
        stride: Tokens that a window shares with the next.
        side: On which a text is cut; from the left, the first window is the end of the text.

    Returns:
        For each window the position of its first token.
    """
    step = lengths[0] - stride
    if side == "right":
        return [step * number for number in range(len(lengths))]
    return [total - step * number - length for number, length in enumerate(lengths)]


def find_entities(
    text: str, tokens: Tokens, windows: Sequence[Window], rules: Rules
) -> list[Entity]:
    """The entities of a text, in its order.

    Args:
        text: The original.
        tokens: All of its tokens.
        windows: In the text's order, together all tokens; one where the text fits the model.
        rules: Labels and aggregation.
    """
    if rules.aggregation == "none":
        scores = windows[0].scores if len(windows) == 1 else farthest_from_cuts(windows)
        return token_entities(text, tokens, scores, rules)
    found = [window_pieces(text, tokens, window, rules) for window in windows]
    if len(windows) == 1:
        return [piece.entity for piece in found[0]]
    joined = join_cut(text, tokens, windows, found, rules.decode)
    return [piece.entity for piece in merge_overlapping(joined)]


def farthest_from_cuts(windows: Sequence[Window]) -> Float:
    """For each token what the window says in which it is farthest from a cut of the text.

    There the model sees most around it. Start and end of the text are no cuts; of equal windows
    the earlier counts.

    Returns:
        [token, class] of the whole text.
    """
    total = windows[-1].stop
    scores = np.empty((total, windows[0].scores.shape[1]), np.float32)
    reached = np.full(total, -1)
    for window in windows:
        places = np.arange(window.at, window.stop)
        left = places - window.at if window.at > 0 else np.full(len(places), total)
        right = window.stop - 1 - places if window.stop < total else np.full(len(places), total)
        far = np.minimum(left, right)
        better = far > reached[places]
        scores[places[better]] = window.scores[better]
        reached[places[better]] = far[better]
    return scores


def join_cut(
    text: str,
    tokens: Tokens,
    windows: Sequence[Window],
    found: Sequence[Sequence[Piece]],
    decode: Callable[[list[str]], str],
) -> list[Piece]:
    """Join the two pieces of an entity that one window cuts behind and the next one in front.

    Such an entity is longer than what the windows share; no window holds all of it. It is joined
    where the label is the same and each piece has tokens that the other lacks. Where the windows
    share none, a piece that starts with a "B-" is an entity of its own.

    Args:
        text: The original.
        tokens: All of its tokens.
        windows: In the text's order.
        found: The entities of each window, in the text's order.
        decode: Tokens -> text.

    Returns:
        All entities, window by window.
    """
    kept = [list(pieces) for pieces in found]
    for place in range(1, len(windows)):
        before, after = kept[place - 1], kept[place]
        if not before or not after:
            continue
        one, other = before[-1], after[0]
        cut = one.last == windows[place - 1].stop - 1 and other.first == windows[place].at
        longer = one.first < other.first and one.last < other.last
        apart = other.first > one.last and other.begins
        if cut and longer and not apart and one.entity.label == other.entity.label:
            before.pop()
            after[0] = _joined(text, tokens, one, other, decode)
    return [piece for pieces in kept for piece in pieces]


def _joined(
    text: str, tokens: Tokens, one: Piece, other: Piece, decode: Callable[[list[str]], str]
) -> Piece:
    scores = np.concatenate([one.scores, other.scores[one.last + 1 - other.first :]])
    word = decode(tokens.strings[one.first : other.last + 1])
    bounds, score = (one.first, other.last), float(scores.mean())
    entity = entity_of(text, tokens, bounds, one.entity.label, score, word)
    return Piece(entity, one.first, other.last, one.begins, scores)


def merge_overlapping(pieces: Sequence[Piece]) -> list[Piece]:
    """Of entities that overlap keep the longer, or of equally long ones the better.

    The original gives an entity without characters (a token that is only a mark of a space) once
    for each window that holds it, and twice where it comes first; here it is given once.

    Args:
        pieces: Of all windows, in the windows' order.
    """
    kept: list[Piece] = []
    for piece in sorted(_once(pieces), key=lambda piece: piece.entity.start):
        entity = piece.entity
        previous = kept[-1].entity if kept else None
        if previous is None or not previous.start <= entity.start < previous.end:
            kept.append(piece)
        elif _rank(entity) > _rank(previous):
            kept[-1] = piece
    return kept


def _once(pieces: Sequence[Piece]) -> list[Piece]:
    """All, but those without characters only if no earlier one of these has one of their tokens."""
    seen: set[int] = set()
    kept = []
    for piece in pieces:
        if piece.entity.start == piece.entity.end:
            own = range(piece.first, piece.last + 1)
            if not seen.isdisjoint(own):
                continue
            seen.update(own)
        kept.append(piece)
    return kept


def _rank(entity: Entity) -> tuple[int, float]:
    return entity.end - entity.start, entity.score
