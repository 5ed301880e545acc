"""Fill-mask against transformers' FillMaskPipeline, on awkward texts of every family."""

import warnings

import msgspec
import numpy as np
import pytest
import torch
import transformers

import onnxtasks
from onnxtasks import InputError, TruncationWarning
from tests.awkward import awkward_texts
from tests.text_checkpoints import CONFIGS, POSITIONS

TEXTS = 36  # of a family: 324 in all
CUT = {"truncation": True, "max_length": POSITIONS}


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small are slower with more."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.fixture
def asked(exported, checkpoint_folder):
    """Family -> the original pipeline and the bundle's task."""
    opened = []

    def both(family):
        folder = checkpoint_folder(f"{family}-masks")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForMaskedLM.from_pretrained(folder)
        pipeline = transformers.FillMaskPipeline(model=model, tokenizer=tokenizer, device="cpu")
        opened.append(onnxtasks.MaskFiller.load(exported(f"{family}-masks")[0], threads=1))
        return pipeline, opened[-1]

    yield both
    for task in opened:
        task.close()


def masked(text, mask, rng):
    """One to three masks anywhere: between words, inside of them, at both ends."""
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        at = int(rng.integers(0, len(text) + 1))
        text = text[:at] + mask + text[at:]
    return text


def originals(pipeline, text, **options):
    """The pipeline's answer, one list a mask, or None where the cut takes a mask."""
    tokenizer = pipeline.tokenizer
    counts = [
        tokenizer(text, **cut)["input_ids"].count(tokenizer.mask_token_id) for cut in ({}, CUT)
    ]
    if counts[0] != counts[1]:
        return None
    found = pipeline(text, tokenizer_kwargs=CUT, **options)
    return found if isinstance(found[0], list) else [found]


def compare(found, expected):
    """The same fills; two that the original scores within 1e-5 of each other may be exchanged."""
    assert len(found) == len(expected)
    for fills, wanted in zip(found, expected, strict=True):
        ours = [fill.to_dict() for fill in fills]
        assert [list(fill) for fill in ours] == [list(fill) for fill in wanted]
        scores = [fill["score"] for fill in wanted]
        np.testing.assert_allclose([fill["score"] for fill in ours], scores, atol=1e-4)
        for one, other in zip(ours, wanted, strict=True):
            if one["token"] != other["token"]:
                assert abs(one["score"] - other["score"]) < 1e-5
                continue
            assert {**one, "score": 0} == {**other, "score": 0}
            assert [type(value) for value in one.values()] == [float, int, str, str]


@pytest.mark.parametrize("family", CONFIGS)
def test_awkward_texts(family, asked):
    pipeline, task = asked(family)
    rng = np.random.default_rng(sorted(CONFIGS).index(family))
    made = awkward_texts(90, seed=sorted(CONFIGS).index(family), longest=60)
    chosen = rng.choice(len(made), TEXTS, replace=False)
    texts = [masked(made[index], task.spec.mask_token, rng) for index in chosen]
    expected = [originals(pipeline, text) for text in texts]
    kept = [(text, one) for text, one in zip(texts, expected, strict=True) if one is not None]
    assert len(kept) > 0.8 * TEXTS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        for found, (_, one) in zip(task.predict([text for text, _ in kept]), kept, strict=True):
            compare(found, one)
        for text in {text for text, one in zip(texts, expected, strict=True) if one is None}:
            with pytest.raises(InputError, match="loses . of its . masks"):
                task(text)


@pytest.mark.parametrize("family", CONFIGS)
def test_targets_several_masks_and_every_token(family, asked):
    pipeline, task = asked(family)
    mask = task.spec.mask_token
    size = task.spec.vocabulary
    texts = [mask, f"the {mask} was not {mask}", f"{mask}{mask} good film {mask}."]
    names = [
        "film",
        "good",
        "film",
        "\u2581good",
        "\u0120film",
        "xylophone",
        "New York",
        "Caf\u00e9",
    ]
    for text in texts:
        compare(task(text, top_k=1), originals(pipeline, text, top_k=1))
        compare(task(text, top_k=None), originals(pipeline, text, top_k=size))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            for targets in (names, "film", ["xylophone"], names[:2]):
                expected = originals(pipeline, text, targets=targets)
                compare(task(text, targets=targets), expected)
                expected = originals(pipeline, text, targets=targets, top_k=1)
                compare(task(text, targets=targets, top_k=1), expected)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_long_text_is_cut_as_the_original_cuts(family, asked):
    pipeline, task = asked(family)
    text = (
        f"the {task.spec.mask_token} was not good, very bad. " + "about politics and sports " * 60
    )
    with pytest.warns(TruncationWarning):
        found = task(text)
    compare(found, originals(pipeline, text))


def test_spaces_are_cleaned_up_where_the_tokenizer_says_so(asked):
    pipeline, task = asked("albert")
    spec = task.spec
    text = f"it {spec.mask_token} n't good , the film 's end ?"
    assert task(text)[0][0].text.endswith("film 's end ?")
    pipeline.tokenizer.clean_up_tokenization_spaces = True
    spec = msgspec.structs.replace(spec, clean_up=True)
    cleaned = onnxtasks.MaskFiller(task.session, spec, task.text)
    compare(cleaned(text), originals(pipeline, text))
    assert cleaned(text)[0][0].text.endswith("n't good, the film's end?")
