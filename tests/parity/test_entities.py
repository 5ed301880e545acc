"""Entities of awkward and of long texts against transformers' TokenClassificationPipeline."""

import warnings
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    TokenClassificationPipeline,
)
from transformers.pipelines.token_classification import AggregationStrategy

import onnxtasks
from onnxtasks import TokenClassifier, TruncationWarning
from tests.awkward import awkward_text, awkward_texts

# The original warns of every word that it finds by spaces.
pytestmark = pytest.mark.filterwarnings("ignore:Tokenizer does not support real words:UserWarning")

COUNTS = {"bert": 300, "roberta": 120, "albert": 120, "deberta-v2": 120, "modernbert": 120}
COUNTS |= dict.fromkeys(("distilbert", "electra", "mpnet", "xlm-roberta"), 90)
"""Texts of each family."""
GROUPING = ("simple", "first", "average", "max")
IGNORED: tuple[tuple[str, ...], ...] = ((), ("PER", "I-LOC", "O", "unknown"))


@dataclass
class Original:
    """A pipeline that runs the model once a text, and then answers for all options."""

    pipeline: TokenClassificationPipeline

    @classmethod
    def load(cls, folder):
        model = AutoModelForTokenClassification.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return cls(TokenClassificationPipeline(model=model, tokenizer=tokenizer, device="cpu"))

    def run(self, item, stride=None):
        split = not isinstance(item, str)
        options: dict[str, Any] = {}
        if stride is not None:
            options = {"return_overflowing_tokens": True, "padding": True, "stride": stride}
        inputs = self.pipeline.preprocess(
            list(item) if split else item,
            is_split_into_words=split,
            delimiter=" ",
            tokenizer_params=options,
        )
        return [self.pipeline.forward(window) for window in inputs]

    def answer(self, runs, aggregation, ignored):
        strategy = AggregationStrategy(aggregation)
        # It adds the places of words to these in place, each time that it is asked.
        fresh = [run | {"offset_mapping": run["offset_mapping"].clone()} for run in runs]
        return self.pipeline.postprocess(fresh, strategy, list(ignored))


@pytest.fixture(autouse=True)
def one_thread():
    """These models are so small that a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def places(entity):
    return {name: value for name, value in entity.items() if name != "score"}


def check_same(found, expected):
    """The same entities in the same order, with the same keys in the same order, and scores."""
    assert [list(places(one).items()) for one in found] == [
        list(places(one).items()) for one in expected
    ]
    assert [list(one) for one in found] == [list(one) for one in expected]
    scores = [one["score"] for one in found]
    np.testing.assert_allclose(scores, [one["score"] for one in expected], atol=1e-4)


def check_texts(entities):
    for item, found in entities:
        text = item if isinstance(item, str) else " ".join(item)
        for entity in found:
            assert text[entity.start : entity.end] == entity.text


@pytest.fixture
def pair(exported, checkpoint_folder):
    """Family -> the bundle's task and the original."""

    def load(family):
        name = f"{family}-entities"
        task = onnxtasks.load(exported(name)[0])
        return task, Original.load(checkpoint_folder(name))

    return load


@pytest.mark.parametrize("split", [False, True], ids=["texts", "words"])
@pytest.mark.parametrize("family", COUNTS)
def test_awkward_texts_have_the_same_entities(family, split, pair):
    task, original = pair(family)
    items: list[Any] = list(awkward_texts(COUNTS[family], seed=5))
    if split:  # with empty words, and words with spaces in them
        items = [tuple(text.split(" ")) for text in items]
    runs = [original.run(item) for item in items]
    labels = set()
    for aggregation, ignored in product(("none", *GROUPING), IGNORED):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)
            answers = task.predict(
                items, aggregation=aggregation, ignore_labels=ignored, long_text="truncate"
            )
        check_texts(zip(items, answers, strict=True))
        for run, answer in zip(runs, answers, strict=True):
            expected = original.answer(run, aggregation, ignored)
            check_same([entity.to_dict() for entity in answer], expected)
            labels |= {entity.label for entity in answer}
    assert labels >= {"B-PER", "I-PER", "PER", "LOC", "MISC", "O"}  # else one class would do


def test_the_pipeline_itself_answers_what_its_parts_answer(pair):
    task, original = pair("bert")
    for item, aggregation in product(awkward_texts(70, seed=8)[-10:], ("none", *GROUPING)):
        expected = original.pipeline(item, aggregation_strategy=aggregation)
        check_same([entity.to_dict() for entity in task(item, aggregation=aggregation)], expected)
        words = item.split()
        expected = original.pipeline(
            [words], aggregation_strategy=aggregation, is_split_into_words=True
        )[0]
        found = task(tuple(words), aggregation=aggregation)
        check_same([entity.to_dict() for entity in found], expected)
    text = awkward_text(np.random.default_rng(1), 60)
    expected = original.pipeline(text, aggregation_strategy="first", stride=16)
    check_same([e.to_dict() for e in task(text, aggregation="first", stride=16)], expected)


def cuts(runs):
    """For each two windows the characters at which the second starts and the first ends."""
    bounds = []
    for run in runs:
        own = np.flatnonzero(run["special_tokens_mask"][0].numpy() == 0)[[0, -1]]
        start, end = run["offset_mapping"][0].numpy()[own, [0, 1]]
        words, chars = run["word_ids"], run["word_to_chars_map"]
        if words is not None:
            start, end = start + chars[words[own[0]]][0], end + chars[words[own[1]]][0]
        bounds.append((int(start), int(end)))
    return [(after[0], before[1]) for before, after in pairwise(bounds)]


def without_repeats(entities, found):
    """The original gives an entity without characters once for each window that holds it."""
    kept: list[dict[str, Any]] = []
    for entity in entities:
        place = (entity["start"], entity["end"])
        known = [(one["start"], one["end"]) for one in kept]
        if place[0] < place[1] or place not in known:
            kept.append(entity)
        else:  # only what is given once here may be a repeat
            assert [(one["start"], one["end"]) for one in found].count(place) == 1
    return kept


def check_windows(found, expected, edges):
    """The same, but near entities that two windows cut; returns how many those are."""
    expected = without_repeats(expected, found)
    known, given = [places(one) for one in expected], [places(one) for one in found]
    ours = [one for one in found if places(one) not in known]
    theirs = [one for one in expected if places(one) not in given]
    # Of two windows each has tokens that the other lacks: it holds all that both have.
    joined = [
        one
        for one in ours
        if any(one["start"] <= start and end <= one["end"] for start, end in edges)
    ]
    near, before = list(joined), 0
    while len(near) > before:  # what is longer now also wins over other neighbours
        before = len(near)
        near += [
            one
            for one in (*ours, *theirs)
            if one not in near
            and any(one["start"] <= two["end"] and two["start"] <= one["end"] for two in near)
        ]
    assert [one for one in (*ours, *theirs) if one not in near] == []
    assert len(near) <= 4 * len(joined)
    check_same(
        [one for one in found if one not in ours], [one for one in expected if one not in theirs]
    )
    return len(joined)


LONGEST = {"bert": 1400, "roberta": 560, "albert": 1050}
"""Pieces of about 3000 tokens, for the three kinds of tokenizers."""


def long_texts(family):
    """From one window up to dozens."""
    rng = np.random.default_rng(17)
    sizes = [20, 60, 200, *([LONGEST[family]] if family in LONGEST else [])]
    return [awkward_text(rng, size) for size in sizes]


@pytest.mark.parametrize("family", COUNTS)
def test_windows_of_long_texts_have_the_same_entities(family, pair):
    task, original = pair(family)
    texts = long_texts(family)
    items: list[Any] = [*texts, tuple(texts[1].split(" ")), tuple(texts[2].split(" "))]
    joined = given = windows = 0
    for stride, item in product((16, 32), items):
        runs = original.run(item, stride)
        windows = max(windows, len(runs))
        ignored = ("O",) if stride == 16 else ()
        for aggregation in GROUPING:
            expected = original.answer(runs, aggregation, ignored)
            answer = task(item, aggregation=aggregation, ignore_labels=ignored, stride=stride)
            check_texts([(item, answer)])
            found = [entity.to_dict() for entity in answer]
            joined += check_windows(found, expected, cuts(runs))
            given += len(found)
    assert windows > 5
    assert joined < given / 50


@pytest.mark.parametrize("family", COUNTS)
def test_in_windows_every_token_is_given_once(family, pair):
    task, original = pair(family)
    tokenizer = original.pipeline.tokenizer
    for text in long_texts(family)[:3]:
        whole = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
        found = task(text, ignore_labels=())
        expected = [
            (index, *whole["offset_mapping"][index])
            for index, of_text in enumerate(whole.sequence_ids())
            if of_text is not None
        ]
        assert [(entity.index, entity.start, entity.end) for entity in found] == expected


class TorchSession:
    """Runs the original model where a task has its graph."""

    def __init__(self, model):
        self.model = model

    def run(self, feeds, outputs=None):
        with torch.no_grad():
            found = self.model(**{name: torch.from_numpy(value) for name, value in feeds.items()})
        return {"logits": found.logits.numpy()}


def test_the_original_loses_parts_of_an_entity_that_windows_cut_and_we_do_not(pair):
    task, original = pair("bert")
    model = original.pipeline.model
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0, 0.0, 5.0, 0.0, 0.0, 0.0]))  # always I-PER
    always = TokenClassifier(TorchSession(model), task.spec, task.text)
    text = " ".join(["anna"] * 300)
    for stride in (0, 16, 32):
        expected = original.pipeline(text, aggregation_strategy="simple", stride=stride)
        found = always(text, aggregation="simple", stride=stride)
        assert [(one.label, one.start, one.end) for one in found] == [("PER", 0, len(text))]
        assert found[0].word == text
        assert max(one["end"] - one["start"] for one in expected) < len(text) / 3
