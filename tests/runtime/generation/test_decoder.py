"""A graph reader gives what reading every text from scratch gives."""

import numpy as np
import pytest

from onnxtasks.errors import GraphError
from onnxtasks.generation.decoder import GraphReader
from onnxtasks.generation.prefix import Prefixes
from onnxtasks.generation.reader import Reader
from tests.runtime.generation.slot_model import WORDS, SlotDecoder, SlotEncoder, SlotModel

KINDS = {
    "plain": SlotModel(),
    "window": SlotModel(window=3),
    "relative": SlotModel(relative=True),
    "source": SlotModel(source=True),
}
SOURCES = [np.array(ids) for ids in ([1, 2, 3], [4], [5, 6, 7, 8, 9], [2, 2])]
PROMPTS = [np.array(ids) for ids in ([3, 1, 4, 1, 5], [9], [2, 6, 5, 3], [5, 8, 9, 7, 9, 3, 2])]


@pytest.fixture(params=KINDS)
def model(request):
    return KINDS[request.param]


def opened(model, count, expected=100, prefixes=None):
    """A reader with its sources read."""
    encoder = SlotEncoder(model) if model.source else None
    decoder = SlotDecoder(model)
    reader = GraphReader(decoder, model.spec, encoder, expected=expected, prefixes=prefixes)
    if model.source:
        reader.begin(SOURCES[:count])
    return reader


def expected(model, texts, sentence):
    """Logits after the last token of each of a sentence's texts, from scratch."""
    source = SOURCES[sentence] if model.source else None
    return np.stack([model.read(text, source)[-1] for text in texts])


def check(model, scores, texts, present):
    for found, rows, sentence in zip(scores.logits, texts, present, strict=True):
        np.testing.assert_allclose(found, expected(model, rows, sentence), atol=2e-5)


def go_on(reader, model, texts, present, rows, rng, rounds=1):
    """Steps with random tokens and parents, each checked."""
    for _ in range(rounds):
        tokens = rng.integers(0, WORDS, (len(texts), rows))
        parents = rng.integers(0, len(texts[0]), (len(texts), rows))
        texts = [
            [[*old[parent], token] for parent, token in zip(p, t, strict=True)]
            for old, p, t in zip(texts, parents, tokens, strict=True)
        ]
        check(model, reader.step(tokens, parents), texts, present)
    return texts


def begun(reader, model, prompts):
    scores = reader.prompt(prompts)
    texts = [[prompt.tolist()] for prompt in prompts]
    assert scores.logits.shape == (len(prompts), 1, WORDS)
    check(model, scores, texts, range(len(prompts)))
    return texts


@pytest.mark.parametrize("expected_tokens", [0, 3, 100])
@pytest.mark.parametrize("rows", [1, 3])
def test_ragged_prompts_go_on_as_each_would_alone(model, rows, expected_tokens):
    reader = opened(model, 4, expected_tokens)
    texts = begun(reader, model, PROMPTS)
    go_on(reader, model, texts, range(4), rows, np.random.default_rng(1), rounds=6)
    seen_by_the_loop: Reader = reader  # mypy compares the two
    assert (seen_by_the_loop.sentences, reader.words, reader.room) == (4, WORDS, 64)


def test_dead_beams_are_dropped_from_long_texts(model):
    reader = opened(model, 2)
    texts = begun(reader, model, PROMPTS[:2])
    go_on(reader, model, texts, range(2), 4, np.random.default_rng(2), rounds=50)
    read = 4 * 50 + len(PROMPTS[0])
    assert reader._slots.filled < read - 64
    assert reader._slots.memory.slots < read


def test_rows_change_their_number(model):
    reader = opened(model, 2)
    texts = begun(reader, model, PROMPTS[:2])
    for rows in (1, 2, 4, 1):
        texts = go_on(reader, model, texts, range(2), rows, np.random.default_rng(rows), 2)


@pytest.mark.parametrize("leaving", [(0, 1), (1, 3), (0, 2, 3), (3,), (0, 1, 2)])
def test_sentences_leave_in_any_order(model, leaving):
    reader, rng = opened(model, 4), np.random.default_rng(3)
    texts, present = begun(reader, model, PROMPTS), list(range(4))
    texts = go_on(reader, model, texts, present, 2, rng, rounds=2)
    for sentence in leaving:
        kept = [place for place, other in enumerate(present) if other != sentence]
        reader.keep(kept)
        texts, present = [texts[place] for place in kept], [present[place] for place in kept]
        assert reader.sentences == len(present)
        texts = go_on(reader, model, texts, present, 2, rng, rounds=2)


def test_several_sentences_leave_at_once(model):
    reader = opened(model, 4)
    texts = begun(reader, model, PROMPTS)
    reader.keep([0, 1, 2, 3])
    reader.keep([1, 3])
    go_on(reader, model, [texts[1], texts[3]], [1, 3], 2, np.random.default_rng(4), rounds=2)
    reader.keep([])
    assert reader.sentences == 0
    reader.close()


def test_a_chain_is_read_at_once_and_partly_forgotten(model):
    reader = opened(model, 1)
    [[text]] = begun(reader, model, PROMPTS[:1])
    source = SOURCES[0] if model.source else None
    for tokens, wrong in (([1, 2, 3, 4], 2), ([5, 6, 7], 3), ([8], 0), ([9, 9], 1)):
        scores = reader.chain(np.array(tokens)).logits
        whole = model.read(np.array(text + tokens), source)
        np.testing.assert_allclose(scores[0], whole[len(text) :], atol=2e-5)
        reader.forget(wrong)
        text = text + tokens[: len(tokens) - wrong]
    go_on(reader, model, [[text]], [0], 2, np.random.default_rng(5), rounds=2)


def test_the_best_are_asked_for_alone(model):
    reader = opened(model, 2)
    first = reader.prompt(PROMPTS[:2], top=3)
    assert first.logits is None
    texts = [[prompt.tolist()] for prompt in PROMPTS[:2]]
    step = reader.step(np.array([[1, 2], [3, 4]]), np.zeros((2, 2), np.int64), top=4)
    longer = [[[*texts[0][0], 1], [*texts[0][0], 2]], [[*texts[1][0], 3], [*texts[1][0], 4]]]
    for scores, rows, k in ((first, texts, 3), (step, longer, 4)):
        for sentence in range(2):
            logits = expected(model, rows[sentence], sentence)
            best = np.argsort(-logits, -1)[:, :k]
            total = np.log(np.exp(logits).sum(-1, keepdims=True))
            assert (scores.top_ids[sentence] == best).all()
            assert scores.top_scores.shape == (2, len(rows[0]), k)
            want = np.take_along_axis(logits - total, best, -1)
            np.testing.assert_allclose(scores.top_scores[sentence], want, atol=2e-5)


def test_the_best_of_sentences_that_moved_are_in_their_order():
    model = KINDS["plain"]
    reader = opened(model, 3)
    reader.prompt(PROMPTS[:3])
    reader.keep([1, 2])
    tokens, parents = np.array([[4], [7]]), np.zeros((2, 1), np.int64)
    ids = reader.step(tokens, parents, top=1).top_ids[:, 0, 0].tolist()
    texts = [[*PROMPTS[1], 4], [*PROMPTS[2], 7]]
    assert ids == [int(model.read(np.array(text))[-1].argmax()) for text in texts]


def test_scores_may_be_written_into_by_the_caller():
    reader = opened(KINDS["plain"], 1)
    texts = begun(reader, KINDS["plain"], PROMPTS[:1])
    texts = go_on(reader, KINDS["plain"], texts, [0], 1, np.random.default_rng(6))
    reader.step(np.array([[1]]), np.array([[0]])).logits[:] = np.nan
    texts = [[[*texts[0][0], 1]]]
    go_on(reader, KINDS["plain"], texts, [0], 1, np.random.default_rng(7), rounds=2)


def test_a_reader_is_used_again_for_other_prompts(model):
    reader = opened(model, 2)
    for count in (2, 1):
        if model.source:
            reader.begin(SOURCES[:count])
        texts = begun(reader, model, PROMPTS[:count])
        go_on(reader, model, texts, range(count), 2, np.random.default_rng(8))


def test_what_a_reader_refuses():
    plain, source = KINDS["plain"], KINDS["source"]
    reader = opened(plain, 2)
    with pytest.raises(TypeError, match="no prompt, or was closed"):
        reader.step(np.array([[1]]), np.array([[0]]))
    with pytest.raises(TypeError, match="without an encoder has no sources"):
        reader.begin(SOURCES)
    reader.prompt(PROMPTS[:2])
    with pytest.raises(TypeError, match="present are 2 sentences of 1 rows"):
        reader.chain(np.array([1, 2]))
    with pytest.raises(TypeError, match="reads its sources"):
        GraphReader(SlotDecoder(source), source.spec, SlotEncoder(source), expected=1).prompt(
            PROMPTS[:1]
        )


def test_closing_gives_everything_back(model):
    reader = opened(model, 1, prefixes=None)
    reader.prompt(PROMPTS[:1])
    reader.close()
    reader.close()
    assert reader.sentences == 0
    assert not [
        value for value in vars(reader).values() if isinstance(value, np.ndarray) and value.size
    ]
    assert (reader._slots, reader._source, reader._binding, reader._bound) == (None,) * 4


def test_what_a_failed_run_left_is_not_kept(monkeypatch):
    model, prefixes = KINDS["plain"], Prefixes(10**6)
    reader = opened(model, 1, prefixes=prefixes)
    reader.prompt(PROMPTS[:1])

    def fail(*_):
        raise GraphError("no")

    monkeypatch.setattr(reader._binding, "compute", fail)
    with pytest.raises(GraphError):
        reader.step(np.array([[1]]), np.array([[0]]))
    reader.close()
    assert prefixes.bytes == 0
