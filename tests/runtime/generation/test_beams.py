import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.generation import selection
from onnxtasks.generation.loop import generate
from onnxtasks.generation.options import Settings
from onnxtasks.generation.result import endings
from onnxtasks.generation.trellis import Ends, Trellis
from onnxtasks.generation.warpers import warper_for
from tests.runtime.generation.table_reader import TableReader, logits, prompts

END = 3
# Greedy goes 0 -> 1 (0.5) and then has only unlikely words; 0 -> 2 (0.4) -> end (0.9) is likelier.
CHANCES = [
    [0.05, 0.5, 0.4, 0.05],
    [0.3, 0.25, 0.25, 0.2],
    [0.04, 0.03, 0.03, 0.9],
    [0.25, 0.25, 0.25, 0.25],
]


def run(texts, *, table=CHANCES, rules=(), stopping=None, **options):
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
    )
    return endings(events), reader


def test_beams_find_the_likelier_text():
    ((ending,),), reader = run([[0]], num_beams=2, length_penalty=0.0)
    assert ending.token_ids == (2, END)
    assert ending.finish_reason == "stop"
    np.testing.assert_allclose(ending.token_logprobs, np.log([0.4, 0.9]), rtol=1e-5)
    # The first step's beams are 1 and 2; the second's ended one makes way.
    assert reader.calls("step")[0] == [[1, 2]]
    ((greedy,),), _ = run([[0]], max_new_tokens=2)
    assert greedy.token_ids == (1, 0)


def test_rules_take_another_way_to_the_same_texts():
    options = {"num_beams": 3, "num_return_sequences": 3}
    with_top, _ = run([[0], [1], [2]], **options)
    with_scores, _ = run([[0], [1], [2]], rules=[lambda history, scores: scores], **options)
    for one, other in zip(with_top, with_scores, strict=True):
        assert [e.token_ids for e in one] == [e.token_ids for e in other]
        np.testing.assert_allclose(one[0].token_logprobs, other[0].token_logprobs, rtol=1e-5)


def test_sentences_leave_and_give_what_each_gives_alone():
    options = {"num_beams": 2, "num_return_sequences": 2, "early_stopping": True}
    texts = [[2], [0, 0], [1], [2, 2]]
    together, reader = run(texts, **options)
    assert together == [run([text], **options)[0][0] for text in texts]
    assert reader.calls("keep")


def test_rules_see_the_beams_texts():
    seen = []

    def watch(history, scores):
        seen.append([history.row(i).tolist() for i in range(len(history))])
        return scores

    run([[0]], rules=[watch], num_beams=2, max_new_tokens=3, eos_token_id=())
    assert seen[0] == [[0], [0]]
    assert seen[1] == [[0, 1], [0, 2]]
    # 0.4 * 0.9 before 0.5 * 0.3
    assert seen[2] == [[0, 2, 3], [0, 1, 0]]


def test_length_ends_the_best_beams():
    options = {"num_beams": 2, "num_return_sequences": 2, "max_new_tokens": 2, "eos_token_id": ()}
    (found,), _ = run([[0]], **options)
    assert [(e.token_ids, e.finish_reason) for e in found] == [
        ((2, 3), "length"),
        ((1, 0), "length"),
    ]


def test_stopping_rule_is_asked_about_each_continuation():
    def stopping(history):
        return ["callable" if history.row(i)[-1] == 2 else None for i in range(len(history))]

    (found,), _ = run([[0]], stopping=stopping, num_beams=2, num_return_sequences=2)
    assert (found[0].token_ids, found[0].finish_reason) == ((2,), "callable")
    # 1 -> 2 was only the third of the second step, where two may end.
    assert found[1].token_ids == (1, 0, 2)


def test_fewer_texts_than_beams():
    """Where rules leave only two texts, two come, and none of them twice."""

    def only_two(history, scores):
        allowed = [1, 2] if history.lengths[0] == 1 else [END]
        dropped = np.full_like(scores, -np.inf)
        dropped[:, allowed] = scores[:, allowed]
        return dropped

    (found,), _ = run([[0]], rules=[only_two], num_beams=3, num_return_sequences=3)
    assert [e.token_ids for e in found] == [(2, END), (1, END)]


def test_rules_that_leave_nothing():
    with pytest.raises(InputError, match="forbid every token"):
        run([[0]], num_beams=2, rules=[lambda history, scores: np.full_like(scores, -np.inf)])


def test_beam_samples_do_not_depend_on_the_batch():
    options = {"num_beams": 2, "num_return_sequences": 2, "do_sample": True, "seed": 4}
    texts = [[0], [1, 0], [2]]
    together, _ = run(texts, **options)
    assert together == [run([text], **options)[0][0] for text in texts]


def test_best_of_top():
    scores = np.array([[[-1, -2], [-0.5, -3]]], np.float32)
    ids = np.array([[[7, 8], [9, 7]]])
    running = np.array([[-1, -1.25]], np.float32)
    found = selection.best_of_top(scores, ids, running, 3)
    assert found.scores.tolist() == [[-1.75, -2, -3]]
    assert found.tokens.tolist() == [[9, 7, 8]]
    assert found.parents.tolist() == [[1, 0, 0]]
    assert found.logprobs.tolist() == [[-0.5, -1, -2]]


def test_best_of_top_of_the_prompts_one_row():
    running = np.array([[0, -1e9]], np.float32)
    top = (np.array([[[-1, -2]]], np.float32), np.array([[[5, 6]]]))
    found = selection.best_of_top(*top, running, 2)
    assert found.tokens.tolist() == [[5, 6]]
    assert found.parents.tolist() == [[0, 0]]


@pytest.mark.parametrize("words", [5, 96, 97, 500])
def test_best_of_all_is_the_best_of_all(words):
    numbers = np.random.default_rng(words)
    log_probs = numbers.normal(size=(6, words)).astype(np.float32)
    running = numbers.normal(size=(2, 3)).astype(np.float32)
    found = selection.best_of_all(log_probs, running, 9)
    sums = log_probs.reshape(2, 3, words) + running[:, :, None]
    for sentence in range(2):
        order = np.argsort(-sums[sentence].ravel())[:9]
        assert found.parents[sentence].tolist() == (order // words).tolist()
        assert found.tokens[sentence].tolist() == (order % words).tolist()
        assert (found.scores[sentence] == sums[sentence].ravel()[order]).all()
        flat = log_probs[sentence * 3 + order // words, order % words]
        assert (found.logprobs[sentence] == flat).all()


def test_best_of_all_where_little_is_allowed():
    """What is forbidden fills up, and it is a word too."""
    log_probs = np.full((2, 97), -np.inf, np.float32)
    log_probs[1, [4, 96]] = -1, -2
    found = selection.best_of_all(log_probs, np.zeros((1, 2), np.float32), 6)
    assert found.tokens[0, :2].tolist() == [4, 96]
    assert found.scores[0].tolist() == [-1, -2, *[-np.inf] * 4]
    assert found.tokens.max() < 97


def test_block_maxima():
    # Two blocks, the even and the odd words, and the rest.
    scores = np.zeros((1, 2 * selection.BLOCK + 1), np.float32)
    scores[0, [6, selection.BLOCK + 1, -1]] = [1, 2, 3]
    assert selection.block_maxima(scores).tolist() == [[1, 2, 3]]


def test_race_draws_without_replacement():
    """First and second of chances 0.5, 0.3, 0.2, against the chances written out."""
    generator = np.random.default_rng(0)
    weights = np.array([0.5, 0, 0.3, 0.2])
    counts = np.zeros((4, 4))
    for _ in range(4000):
        first, second = selection.race(weights, logits(weights), 2, generator)
        counts[first, second] += 1
    expected = np.zeros((4, 4))
    expected[0, [2, 3]] = 0.5 * 0.3 / 0.5, 0.5 * 0.2 / 0.5
    expected[2, [0, 3]] = 0.3 * 0.5 / 0.7, 0.3 * 0.2 / 0.7
    expected[3, [0, 2]] = 0.2 * 0.5 / 0.8, 0.2 * 0.3 / 0.8
    np.testing.assert_allclose(counts / 4000, expected, atol=0.03)


def test_race_fills_up_with_the_best_of_the_rest():
    weights = np.array([0.0, 0, 1, 0])
    scores = np.array([-np.inf, -900, 0, -800], np.float32)
    order = selection.race(weights, scores, 3, np.random.default_rng(0))
    assert order.tolist() == [2, 3, 1]


def test_drawn_says_what_was_drawn(monkeypatch):
    monkeypatch.setattr(selection, "race", lambda weights, *_: np.argsort(-weights)[:3])
    ids = np.array([[4, 8], [5, 0]])
    scores = np.array([[-1, -2], [-0.5, -np.inf]], np.float32)
    running = np.array([[-1, -0.75]], np.float32)
    found = selection.drawn(ids, scores, running, 3, [np.random.default_rng(0)])
    assert found.tokens.tolist() == [[5, 4, 8]]
    assert found.parents.tolist() == [[1, 0, 0]]
    assert found.scores.tolist() == [[-1.25, -2, -3]]
    assert found.logprobs.tolist() == [[-0.5, -1, -2]]


def test_drawn_from_too_few_words():
    ids, scores = np.array([[4], [5]]), np.zeros((2, 1), np.float32)
    running = np.zeros((1, 2), np.float32)
    found = selection.drawn(ids, scores, running, 4, [np.random.default_rng(0)])
    assert sorted(found.tokens[0, :2].tolist()) == [4, 5]
    assert found.scores[0].tolist() == [0, 0, -np.inf, -np.inf]


def test_trellis_reads_a_text_back():
    trellis = Trellis(2, 2)
    steps = [([5, 6], [0, 0]), ([7, 8], [1, 0]), ([9, 4], [0, 1])]
    for tokens, parents in steps:
        pair = np.array([[0, 0], tokens]), np.array([[0, 0], parents])
        trellis.append(*pair, -pair[0].astype(np.float32))
    assert trellis.path(1, 3, 0) == ([6, 7, 9], [-6.0, -7.0, -9.0])
    assert trellis.path(1, 2, 1) == ([5, 8], [-5.0, -8.0])
    trellis.keep(np.array([1]))
    assert trellis.path(0, 3, 1) == ([5, 8, 4], [-5.0, -8.0, -4.0])


def test_trellis_grows():
    trellis = Trellis(1, 1)
    for step in range(100):
        trellis.append(np.array([[step]]), np.array([[0]]), np.zeros((1, 1), np.float32))
    assert trellis.path(0, 100, 0)[0] == list(range(100))


def test_ends_keep_the_best():
    ends = Ends(1, 2, -1e9)
    facts = np.array([[[1, 0, 5, 1], [1, 0, 6, 0]]])
    ends.merge(np.array([[-2, -1e9]], np.float32), np.array([[-2, -3]], np.float32), facts)
    assert ends.present.tolist() == [[True, False]]
    facts = np.array([[[2, 1, 7, 1], [2, 0, 8, 2]]])
    ends.merge(np.array([[-1, -3]], np.float32), np.array([[-0.5, -1]], np.float32), facts)
    assert ends.present.tolist() == [[True, True]]
    assert ends.scores.tolist() == [[-1, -2]]
    assert ends.logprobs.tolist() == [[-0.5, -2]]
    assert ends.facts[0].tolist() == [[2, 1, 7, 1], [1, 0, 5, 1]]
