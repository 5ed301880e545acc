"""What changes the scores of the next word before it is chosen, in transformers' order.

`rules_for` follows transformers 5.23's `GenerationMixin._get_logits_processor`. In beam search the
rules take log-probabilities, else logits; what only sampling does with the scores afterwards is in
`warpers.py`.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxtasks.errors import InputError
from onnxtasks.generation import rules_repetition as repetition
from onnxtasks.generation import rules_words as words_of
from onnxtasks.generation.history import History
from onnxtasks.generation.options import AllowedTokens, Settings, UserRule
from onnxtasks.generation.reader import Float, Int
from onnxtasks.generation.rules_repetition import Rule
from onnxtasks.ops.scores import log_softmax

__all__ = ["Rule", "rules_for"]


def rules_for(settings: Settings, *, words: int, room: int | None = None) -> list[Rule]:
    """The rules of a call, in the order in which they are applied.

    Args:
        settings: The call's.
        words: Size of the vocabulary.
        room: Most tokens of one text that the model takes; None for no limit.

    Raises:
        InputError: An option names a token that the model does not have.
    """
    _check_ids(settings, words)
    ends = [token for token in settings.eos_token_id if token < words]
    rules = _about_repetition(settings)
    if banned := words_of.bad_words(settings.bad_words_ids, settings.eos_token_id):
        rules.append(banned)
    rules += _about_length(settings, ends)
    if settings.prefix_allowed_tokens_fn is not None:
        rules.append(prefix_allowed(settings.prefix_allowed_tokens_fn, settings.num_beams))
    if settings.forced_bos_token_id is not None:
        rules.append(words_of.forced_bos(settings.forced_bos_token_id))
    if settings.forced_eos_token_id:
        limit = partial(settings.limit, room=room)
        rules.append(words_of.forced_eos(settings.forced_eos_token_id, limit))
    if settings.remove_invalid_values:
        rules.append(remove_invalid_values)
    if settings.exponential_decay_length_penalty is not None:
        start, factor = settings.exponential_decay_length_penalty
        rules.append(words_of.exponential_decay_length_penalty(start, factor, ends))
    # Frozen lists of suppressed tokens may name some that the model has no score for.
    if suppressed := [token for token in settings.suppress_tokens if token < words]:
        rules.append(words_of.suppress_tokens(suppressed))
    if suppressed := [token for token in settings.begin_suppress_tokens if token < words]:
        forced = settings.forced_bos_token_id is not None
        rules.append(words_of.begin_suppress_tokens(suppressed, forced))
    rules += [user_rule(rule) for rule in settings.rules]
    if settings.renormalize_logits and not settings.do_sample:  # samples: after the warpers
        rules.append(lambda history, scores: log_softmax(scores))
    return rules


def _about_repetition(settings: Settings) -> list[Rule]:
    rules = []
    if settings.sequence_bias:
        rules.append(words_of.sequence_bias(settings.sequence_bias))
    if settings.encoder_repetition_penalty != 1:
        rules.append(repetition.encoder_repetition_penalty(settings.encoder_repetition_penalty))
    if settings.repetition_penalty != 1:
        rules.append(repetition.repetition_penalty(settings.repetition_penalty))
    if settings.no_repeat_ngram_size:
        rules.append(repetition.no_repeat_ngram(settings.no_repeat_ngram_size))
    if settings.encoder_no_repeat_ngram_size:
        rules.append(repetition.encoder_no_repeat_ngram(settings.encoder_no_repeat_ngram_size))
    return rules


def _about_length(settings: Settings, ends: Sequence[int]) -> list[Rule]:
    if not ends:
        return []
    if settings.min_new_tokens is not None:  # comes before `min_length`
        return [words_of.min_new_tokens(settings.min_new_tokens, ends)]
    return [words_of.min_length(settings.min_length, ends)] if settings.min_length else []


def prefix_allowed(allowed: AllowedTokens, beams: int) -> Rule:
    """Allow only the words that a function names for each row.

    Where that leaves nothing (the scores of all of them are -inf, in all beams of an input), the
    function alone decides, with 0 for each.

    Args:
        allowed: Takes the index of an input and a row's tokens.
        beams: Beams of each input; 1 outside of beam search.
    """

    def rule(history: History, scores: Float) -> Float:
        mask = np.full_like(scores, -np.inf)
        for row, item in enumerate(history.items.tolist()):
            ids = _allowed_ids(allowed(item, history.row(row)), item, scores.shape[1])
            mask[row, ids] = 0
        scores += mask
        empty = np.isneginf(scores.max(1))
        if beams > 1 and empty.any():
            possible = np.unique(history.items[~empty])
            empty &= ~np.isin(history.items, possible)
        scores[empty] = mask[empty]
        return scores

    return rule


def _allowed_ids(found: object, item: int, words: int) -> Int:
    """Check what `prefix_allowed_tokens_fn` returned.

    Raises:
        InputError: It is not a list of token ids, or empty.
    """
    ids = np.asarray(found)
    if ids.size == 0:
        raise InputError(
            f"prefix_allowed_tokens_fn allows no token for input {item}; return at least one, such "
            "as the end token"
        )
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= words:
        raise InputError(
            f"prefix_allowed_tokens_fn returned {found!r} for input {item}; it returns a list of "
            f"token ids from 0 to {words - 1}"
        )
    return ids.astype(np.int64)


def remove_invalid_values(history: History, scores: Float) -> Float:
    """Replace NaN by 0, and infinities by the largest and smallest float32."""
    return np.nan_to_num(scores, copy=False)


def user_rule(rule: UserRule) -> Rule:
    """A rule of the caller's, which is given the tokens of each row as arrays.

    What it returns is checked: it raises `InputError` for anything but float32 scores of the same
    shape.
    """

    def checked(history: History, scores: Float) -> Float:
        result = rule([history.row(row) for row in range(len(history))], scores)
        if not isinstance(result, np.ndarray):
            raise InputError(
                f"a rule returned {type(result).__name__}; it returns the scores, a float32 array "
                f"of shape {scores.shape}"
            )
        if result.shape != scores.shape or result.dtype != np.float32:
            raise InputError(
                f"a rule returned {result.dtype} of shape {result.shape}; it returns float32 "
                f"scores of shape {scores.shape}"
            )
        return result

    return checked


def _check_ids(settings: Settings, words: int) -> None:
    """Refuse ids that the model has no score for, where they could not be meant."""
    bos = settings.forced_bos_token_id
    groups = {
        "forced_bos_token_id": () if bos is None else (bos,),
        "forced_eos_token_id": settings.forced_eos_token_id,
        "bad_words_ids": [token for ids in settings.bad_words_ids for token in ids],
        "sequence_bias": [token for ids, _ in settings.sequence_bias for token in ids],
    }
    for name, ids in groups.items():
        if wrong := [token for token in ids if token >= words]:
            raise InputError(
                f"{name} has the token id {wrong[0]}; the model has {words} words, 0 to {words - 1}"
            )
