"""Rules on scores of a few words, with the answers written out."""

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.generation.history import History
from onnxtasks.generation.options import GenerationDefaults, settings
from onnxtasks.generation.rules import rules_for
from onnxtasks.ops.scores import log_softmax

NO = -np.inf


def history(*rows, new=(), source=None):
    """Prompts, and then what each row has written: new tokens of all rows, step by step."""
    found = History(
        [np.array(row) for row in rows],
        None if source is None else [np.array(row) for row in source],
    )
    for tokens in new:
        found.append(np.array(tokens))
    return found


def apply(texts, scores, room=None, items=None, eos=(), **options):
    array = np.array(scores, np.float32)
    found = settings(GenerationDefaults(eos_token_id=eos), options)
    if items is not None:
        texts.reorder(np.array(items))
    for rule in rules_for(found, words=array.shape[1], room=room):
        array = rule(texts, array)
    assert array.dtype == np.float32
    return array.tolist()


def test_without_options_there_is_no_rule():
    assert rules_for(settings(GenerationDefaults(), {}), words=5) == []


def test_words_of_the_text_are_penalised_once_each():
    texts = history([0, 1, 1], [2])
    scores = [[4, -4, 4, -4], [4, -4, 4, -4]]
    assert apply(texts, scores, repetition_penalty=2) == [[2, -8, 4, -4], [4, -4, 2, -4]]


def test_words_of_the_source_are_favoured_once_each():
    texts = history([3], [3], source=[[0, 1, 1], [2]])
    scores = [[4, -4, 4, -4], [4, -4, 4, -4]]
    assert apply(texts, scores, encoder_repetition_penalty=2) == [[8, -2, 4, -4], [4, -4, 8, -4]]


def test_a_decoder_alone_takes_its_prompt_for_the_source():
    texts = history([0], [1, 1], new=[(2, 2)])
    assert apply(texts, [[1, 1, 1]] * 2, encoder_repetition_penalty=2) == [[2, 1, 1], [1, 2, 1]]
    assert apply(texts, [[1, 1, 1]] * 2, encoder_no_repeat_ngram_size=1) == [[NO, 1, 1], [1, NO, 1]]


@pytest.mark.parametrize(
    ("size", "answer"),
    [
        (1, [[NO, NO, 1, 1], [1, 1, NO, 1], [1, 1, 1, NO]]),
        (2, [[1, NO, 1, 1], [1, 1, 1, 1], [1, 1, 1, NO]]),  # 0 1 0: 1 follows 0
        (3, [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, NO]]),
        (9, [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]),
    ],
)
def test_no_sequence_comes_twice(size, answer):
    texts = history([0, 1, 0], [2], [3, 3, 3, 3])
    assert apply(texts, np.ones((3, 4)), no_repeat_ngram_size=size) == answer


@pytest.mark.parametrize(
    ("size", "answer"),
    [
        (1, [[1, NO, NO, NO], [NO, 1, 1, NO]]),
        (2, [[1, 1, 1, NO], [1, 1, 1, NO]]),
        (3, [[1, 1, 1, NO], [1, 1, 1, 1]]),
    ],
)
def test_no_sequence_of_the_source_comes_again(size, answer):
    texts = history([1, 2], [0], source=[[1, 2, 3], [0, 3]])
    assert apply(texts, np.ones((2, 4)), encoder_no_repeat_ngram_size=size) == answer


def test_a_text_that_is_too_short_repeats_nothing():
    """What fills a row up is no token of it: this text is no "1 1"."""
    texts = history([1], source=[[1, 1, 2]])
    assert apply(texts, np.ones((1, 3)), encoder_no_repeat_ngram_size=3) == [[1, 1, 1]]
    assert apply(texts, np.ones((1, 3)), sequence_bias={(1, 1, 2): 5.0}) == [[1, 1, 1]]
    texts = history([1], [1, 1, 1], source=[[1, 1, 2]] * 2)
    assert apply(texts, np.ones((2, 3)), encoder_no_repeat_ngram_size=3) == [[1, 1, 1], [1, 1, NO]]


def test_a_bias_is_added_where_the_words_before_are_there():
    bias = {(3,): 1.5, (0, 1): 2.0, (2, 0, 1): 4.0, (0, 3): 8.0}
    texts = history([2, 0], [0], [1])
    scores = np.zeros((3, 4))
    answer = [[0, 6, 0, 9.5], [0, 2, 0, 9.5], [0, 0, 0, 1.5]]
    assert apply(texts, scores, sequence_bias=bias) == answer


def test_bad_words_are_forbidden_but_not_a_lone_end_token():
    texts = history([0], [1])
    words = [[3], [2], [0, 1], [1, 0, 2]]
    answer = [[0, NO, 0, NO], [0, 0, 0, NO]]
    assert apply(texts, np.zeros((2, 4)), bad_words_ids=words, eos=(2,)) == answer
    assert (
        rules_for(
            settings(GenerationDefaults(eos_token_id=(2,)), {"bad_words_ids": [[2]]}), words=4
        )
        == []
    )


def test_suppressed_words_never_come_and_others_not_at_first():
    texts = history([0], [1])
    zeros = np.zeros((2, 3))
    assert apply(texts, zeros, suppress_tokens=[1, 77]) == [[0, NO, 0]] * 2
    assert apply(texts, zeros, begin_suppress_tokens=[1]) == [[0, NO, 0]] * 2
    later = history([0], [1], new=[(2, 2)])
    assert apply(later, zeros, begin_suppress_tokens=[1]) == [[0, 0, 0]] * 2


def test_with_a_forced_first_word_the_second_is_the_one_that_begins():
    options = {"begin_suppress_tokens": [1], "forced_bos_token_id": 2}
    zeros = np.zeros((2, 3))
    assert apply(history([0], [0, 0]), zeros, **options) == [[NO, NO, 0], [0, NO, 0]]
    later = history([0], [0, 0], new=[(2, 1)])
    assert apply(later, zeros, **options) == [[0, NO, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"min_length": 3}, [[0, 0, NO], [0, 0, 0]]),
        ({"min_length": 4}, [[0, 0, NO], [0, 0, NO]]),
        ({"min_new_tokens": 1}, [[0, 0, 0], [0, 0, 0]]),
        ({"min_new_tokens": 2}, [[0, 0, NO], [0, 0, NO]]),
    ],
)
def test_a_text_does_not_end_before_its_least_length(options, answer):
    texts = history([0], [1, 1], new=[(0, 0)])
    assert apply(texts, np.zeros((2, 3)), eos=(2, 50), **options) == answer
    assert apply(texts, np.zeros((2, 3)), **options) == [[0, 0, 0]] * 2  # nothing ends it


@pytest.mark.parametrize(
    ("options", "room", "answer"),
    [
        ({"max_new_tokens": 2}, None, [[NO, 0, 0], [NO, 0, 0]]),
        ({"max_length": 4}, None, [[3, 4, 5], [NO, 0, 0]]),
        ({"max_length": 3}, None, [[NO, 0, 0], [3, 4, 5]]),
        ({"max_new_tokens": 9}, 4, [[3, 4, 5], [NO, 0, 0]]),
    ],
)
def test_the_last_word_is_a_forced_one(options, room, answer):
    texts = history([0], [1, 1], new=[(0, 0)])
    scores = [[3, 4, 5]] * 2
    assert apply(texts, scores, room, forced_eos_token_id=[1, 2], **options) == answer


def test_ends_gain_with_each_word_after_the_start_of_the_decay():
    texts = history([0], [1, 1], new=[(0, 0), (0, 0), (0, 0)])
    penalty = {"exponential_decay_length_penalty": (1, 2.0)}
    scores = [[3, -5, NO], [3, 4, NO]]
    assert apply(texts, scores, eos=(1, 2), **penalty) == [[3, 10, NO], [3, 16, NO]]
    assert apply(texts, scores, **penalty) == scores
    start = history([0], [1], new=[(0, 0)])
    assert apply(start, scores, eos=(1,), **penalty) == scores


def test_only_what_the_prefix_allows_may_follow():
    asked = []

    def allowed(item, tokens):
        asked.append((item, tokens.tolist()))
        return [int(tokens[-1]), 2]

    texts = history([0], [1, 1], new=[(0, 1)])
    answer = [[5, NO, 5], [NO, 5, 5]]
    assert apply(texts, [[5, 5, 5]] * 2, prefix_allowed_tokens_fn=allowed) == answer
    assert asked == [(0, [0, 0]), (1, [1, 1, 1])]
    texts.keep([1])
    apply(texts, [[5, 5, 5]], prefix_allowed_tokens_fn=allowed)
    assert asked[-1] == (1, [1, 1, 1])  # the number it has in the call, whoever has left


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([], "prefix_allowed_tokens_fn allows no token for input 0; return at least one"),
        ([5], "returned [5] for input 0; it returns a list of token ids from 0 to 2"),
        ([-1], "returned [-1] for input 0"),
        ([0.5], "returned [0.5] for input 0"),
        ([[1]], "returned [[1]] for input 0"),
    ],
)
def test_a_prefix_function_has_to_return_ids(returned, message):
    with pytest.raises(InputError) as error:
        apply(history([0]), [[1, 1, 1]], prefix_allowed_tokens_fn=lambda item, tokens: returned)
    assert message in str(error.value)


def test_the_function_alone_decides_where_the_scores_allow_none_of_its_words():
    options = {"suppress_tokens": [], "bad_words_ids": [[1]], "prefix_allowed_tokens_fn": one}
    assert apply(history([0]), [[5, 5, 5]], **options) == [[NO, 0, NO]]
    scores = [[5, 5, 5], [5, 5, 5]]
    both = apply(history([0]), scores, items=[0, 0], num_beams=2, **options)
    assert both == [[NO, 0, NO]] * 2
    options["bad_words_ids"] = [[0, 1]]
    texts = history([0], [0])
    texts.append(np.array([0, 2]))
    texts.items[:] = 0  # two beams of one input; the second still has a word
    assert apply(texts, scores, num_beams=2, **options) == [[NO, NO, NO], [NO, 5, NO]]


def one(item, tokens):
    return [1]


def test_invalid_values_are_replaced():
    least, most = float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)
    scores = [[np.nan, np.inf, -np.inf, 2]]
    assert apply(history([0]), scores, remove_invalid_values=True) == [[0, most, least, 2]]


def test_a_rule_of_the_user_sees_each_row_and_comes_after_the_others():
    seen = []

    def rule(tokens, scores):
        seen.append(([row.tolist() for row in tokens], scores.copy().tolist()))
        return scores + 1

    texts = history([0], [1, 1])
    found = apply(texts, [[1, 1], [1, 1]], suppress_tokens=[0], rules=[rule, rule])
    assert found == [[NO, 3]] * 2
    assert seen[0] == ([[0], [1, 1]], [[NO, 1]] * 2)
    assert seen[1][1] == [[NO, 2]] * 2


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "a rule returned NoneType; it returns the scores, a float32 array of shape (1, 3)"),
        (np.ones((3,), np.float32), "a rule returned float32 of shape (3,); it returns float32 sc"),
        (np.ones((1, 3)), "a rule returned float64 of shape (1, 3); it returns float32 scores of"),
    ],
)
def test_a_rule_has_to_return_scores(returned, message):
    with pytest.raises(InputError) as error:
        apply(history([0]), [[1, 1, 1]], rules=[lambda tokens, scores: returned])
    assert message in str(error.value)


def test_scores_are_normalised_last():
    third = float(np.log(np.float32(1 / 3)))
    found = apply(history([0]), [[2, 2, 2, 9]], suppress_tokens=[3], renormalize_logits=True)
    assert found[0] == pytest.approx([third] * 3 + [NO], abs=1e-6)


def test_log_probabilities_of_huge_and_of_no_scores():
    scores = np.array([[1000, 1000, NO], [NO, NO, NO]], np.float32)
    half = float(np.log(np.float32(0.5)))
    assert log_softmax(scores)[0] == pytest.approx([half, half, NO])
    assert log_softmax(scores)[1].tolist() == [NO] * 3


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"forced_bos_token_id": 5}, "forced_bos_token_id"),
        ({"forced_eos_token_id": [1, 5]}, "forced_eos_token_id"),
        ({"bad_words_ids": [[1, 5]]}, "bad_words_ids"),
        ({"sequence_bias": {(5, 1): 1.0}}, "sequence_bias"),
    ],
)
def test_ids_have_to_be_words_of_the_model(options, name):
    with pytest.raises(InputError, match=f"{name} has the token id 5; the model has 5 words, 0 to"):
        rules_for(settings(GenerationDefaults(), options), words=5)
