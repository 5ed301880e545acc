import math

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.generation.loop import generate
from onnxtasks.generation.options import Settings
from onnxtasks.generation.result import Ending, Finished, NewToken, endings
from onnxtasks.generation.search import (
    Greedy,
    apply_rules,
    check_choosable,
    draw,
    log_totals,
)
from onnxtasks.generation.warpers import warper_for
from tests.runtime.generation.table_reader import TableReader, logits, prompts

END = 3
# Words 0, 1, 2 and the end: 0 -> 1 -> 2 -> end.
CHANCES = [
    [0.1, 0.6, 0.2, 0.1],
    [0.1, 0.1, 0.7, 0.1],
    [0.1, 0.1, 0.3, 0.5],
    [0.25, 0.25, 0.25, 0.25],
]


def run(texts, *, table=CHANCES, rules=(), stopping=None, logprobs=True, **options):
    """Endings and the reader."""
    reader = TableReader(logits(table))
    settings = Settings(**{"eos_token_id": (END,), "max_new_tokens": 8, "top_k": 0, **options})
    events = generate(
        reader,
        prompts(*texts),
        settings,
        rules=rules,
        warp=warper_for(settings),
        stopping=stopping,
        logprobs=logprobs,
    )
    return endings(events), reader


def test_greedy_takes_the_best_word():
    ((ending,),), _ = run([[0]])
    assert ending.token_ids == (1, 2, END)
    assert ending.finish_reason == "stop"
    np.testing.assert_allclose(ending.token_logprobs, np.log([0.6, 0.7, 0.5]), rtol=1e-5)
    np.testing.assert_allclose(ending.logprob, math.log(0.6 * 0.7 * 0.5), rtol=1e-5)


def test_events_come_step_by_step():
    reader = TableReader(logits(CHANCES))
    settings = Settings(eos_token_id=(END,), max_new_tokens=2)
    events = list(generate(reader, prompts([0], [2]), settings, logprobs=False))
    assert events == [
        NewToken(0, 0, 1, None),
        NewToken(1, 0, END, None),
        Finished(1, (Ending((END,), "stop", None),)),
        NewToken(0, 0, 2, None),
        Finished(0, (Ending((1, 2), "length", None),)),
    ]


def test_finished_sentences_leave():
    found, reader = run([[2], [0], [1]])
    assert [one[0].token_ids for one in found] == [(END,), (1, 2, END), (2, END)]
    assert reader.calls("keep") == [[1, 2], [0]]
    assert reader.calls("step") == [[[1], [2]], [[2]]]


def test_any_end_token_ends():
    ((ending,),), _ = run([[0]], eos_token_id=(END, 2))
    assert ending.token_ids == (1, 2)


def test_max_length_counts_each_prompt():
    found, _ = run([[0], [0, 0]], max_new_tokens=None, max_length=3)
    assert [one[0].token_ids for one in found] == [(1, 2), (1,)]
    assert found[1][0].finish_reason == "length"


def test_the_end_token_comes_before_the_length():
    ((ending,),), _ = run([[1]], max_new_tokens=2)
    assert (ending.token_ids, ending.finish_reason) == ((2, END), "stop")


def test_stopping_rule_says_why():
    def stopping(history):
        return ["time" if history.row(i)[-1] == 2 else None for i in range(len(history))]

    found, reader = run([[0], [1]], stopping=stopping)
    assert [(e.token_ids, e.finish_reason) for (e,) in found] == [((1, 2), "time"), ((2,), "time")]
    assert reader.calls("keep") == [[0]]


def test_rules_see_the_text_and_change_the_scores():
    seen = []

    def no_two(history, scores):
        seen.append([history.row(i).tolist() for i in range(len(history))])
        scores[:, 2] = -np.inf
        return scores

    found, _ = run([[0, 0], [1]], rules=[no_two], max_new_tokens=2)
    assert [one[0].token_ids for one in found] == [(1, 0), (0, 1)]
    assert seen == [[[0, 0], [1]], [[0, 0, 1], [1, 0]]]
    # After word 1: 0.1, 0.1, -, 0.1
    np.testing.assert_allclose(found[0][0].token_logprobs[1], math.log(1 / 3), rtol=1e-5)


def test_rule_that_keeps_its_array_finds_it_again():
    own = np.array([[0, 2, 1, 0]], np.float32)
    ((ending,),), _ = run([[0]], rules=[lambda history, scores: own], max_new_tokens=3)
    assert ending.token_ids == (1, 1, 1)
    assert own.tolist() == [[0, 2, 1, 0]]


@pytest.mark.parametrize(
    ("result", "said"), [(np.zeros((2, 3)), r"\(2, 3\)"), (None, "NoneType"), ([[0] * 4], "list")]
)
def test_rule_with_a_wrong_result(result, said):
    with pytest.raises(InputError, match=rf"a rule returned {said}; .* shape \(1, 4\)"):
        run([[0]], rules=[lambda history, scores: result])


def test_rules_that_leave_nothing():
    with pytest.raises(InputError, match="forbid every token; allow at least one"):
        run([[0]], rules=[lambda history, scores: np.full_like(scores, -np.inf)])


def test_scores_that_are_no_numbers():
    with pytest.raises(InputError, match="not finite; the model has overflowed"):
        check_choosable(np.array([1, np.nan], np.float32), np.array([True, True]))
    check_choosable(np.array([1, np.nan], np.float32), np.array([True, False]))


def test_no_history_means_no_rules():
    scores = np.zeros((1, 2), np.float32)
    assert apply_rules([], None, scores) is scores


def test_log_totals():
    scores = np.log(np.array([[1, 2, 5], [1, 1, 0.5]], np.float32))
    before = scores.copy()
    totals = log_totals(scores, scores.max(axis=1), np.empty(3, np.float32))
    np.testing.assert_allclose(totals, np.log([8, 2.5]), rtol=1e-6)
    assert (scores == before).all()


def test_greedy_without_log_probabilities():
    tokens, logprobs = Greedy(False)(np.array([[1, 3, 2]], np.float32), np.array([True]))
    assert tokens.tolist() == [1]
    assert logprobs is None


def test_draw_by_the_cumulative_distribution():
    scores = logits([[0.1, 0.2, 0.7, 0]] * 5)
    drawn, logprobs = draw(scores, np.array([0.05, 0.15, 0.31, 0.999, 1 - 2**-53]))
    assert drawn.tolist() == [0, 1, 2, 2, 2]
    np.testing.assert_allclose(logprobs, np.log([0.1, 0.2, 0.7, 0.7, 0.7]), rtol=1e-5)


def test_draw_needs_no_normalised_scores():
    drawn, logprobs = draw(logits([[0.5, 1, 0.5]]), np.array([0.3]))
    assert drawn.tolist() == [1]
    np.testing.assert_allclose(logprobs, np.log([0.5]), rtol=1e-6)


def test_samples_follow_the_chances():
    table = [[0.1, 0.2, 0.7]] * 3
    found, _ = run([[0]], table=table, do_sample=True, seed=1, max_new_tokens=4000, eos_token_id=())
    shares = np.bincount(found[0][0].token_ids, minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.7], atol=0.03)


def test_samples_do_not_depend_on_the_batch():
    options = {"do_sample": True, "seed": 5, "num_return_sequences": 3, "eos_token_id": ()}
    options |= {"max_new_tokens": None, "max_length": 9}
    texts = [[0], [1, 0, 1, 0], [2, 1]]
    together, reader = run(texts, **options)
    alone = [run([text], **options)[0][0] for text in texts]
    assert together == alone
    assert reader.calls("keep") == [[0, 2], [0]]
    assert together == run(texts, **options)[0]


def test_returned_samples_differ():
    options = {"do_sample": True, "num_return_sequences": 4, "max_new_tokens": 30}
    table = [[1, 1, 1, 0]] * 4
    found, _ = run([[0]], table=table, seed=0, **options)
    assert len({ending.token_ids for ending in found[0]}) == 4
    assert run([[0]], table=table, **options)[0] != run([[0]], table=table, **options)[0]


def test_a_row_that_has_ended_repeats_its_last_token():
    seen = []

    def watch(history, scores):
        seen.append([history.row(i).tolist() for i in range(len(history))])
        return scores

    options = {"do_sample": True, "seed": 3, "num_return_sequences": 3}
    found, reader = run([[0]], rules=[watch], **options)
    lengths = [len(ending.token_ids) for ending in found[0]]
    assert min(lengths) < max(lengths)
    for row, text in enumerate(seen[-1]):
        written = list(found[0][row].token_ids)
        assert text == [0, *(written + [END] * max(lengths))[: len(text) - 1]]
    assert reader.calls("keep") == []


def test_sampling_needs_candidates():
    with pytest.raises(TypeError, match="warp"):
        list(generate(TableReader(logits(CHANCES)), prompts([0]), Settings(do_sample=True)))
