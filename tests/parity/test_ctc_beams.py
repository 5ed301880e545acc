"""Beam search against the frozen answers of pyctcdecode 0.5.0 with KenLM."""

import json

import pytest

from onnxtasks.speech.beam_decoder import BeamDecoder
from tests.parity.frozen.ctc_beams import make_beams

FROZEN = json.loads(make_beams.BEAMS.read_text(encoding="utf-8"))
ITEMS = make_beams.items()
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The language models' files, by order."""
    folder = tmp_path_factory.mktemp("models")
    for order in make_beams.ORDERS:
        (folder / f"{order}.arpa").write_text(make_beams.arpa(order), encoding="utf-8")
    return {order: folder / f"{order}.arpa" for order in make_beams.ORDERS}


def decoded(item, models):
    """What we read, in the frozen form."""
    settings = {name: value for name, value in item["model"].items() if name != "unigrams"}
    settings["score_boundary"] = settings.pop("lm_score_boundary", True)
    decoder = BeamDecoder(
        make_beams.VOCABULARIES[item["vocabulary"]],
        models[item["order"]] if item["order"] else None,
        unigrams=make_beams.known_words(item) if item["order"] else None,
        **settings,
    )
    beams = decoder.decode(make_beams.sound(item), n_best=make_beams.KEPT, **item["options"])
    return [
        [beam.text, beam.acoustic_score, beam.score, [[*word[1:]] for word in beam.words]]
        for beam in beams
    ]


def alone(beams, place):
    """Whether a beam's score is apart from its neighbours'."""
    neighbours = [beams[other] for other in (place - 1, place + 1) if 0 <= other < len(beams)]
    return all(abs(beams[place][2] - other[2]) > TOLERANCE for other in neighbours)


def differences(found, expected):
    """What differs in a list of beams; those with equal scores may change places."""
    wrong: list[object] = [(len(found), len(expected))] if len(found) != len(expected) else []
    for place, (one, other) in enumerate(zip(found, expected, strict=False)):
        scores = abs(one[2] - other[2]) <= TOLERANCE
        if alone(expected, place):
            same = [one[0], one[3]] == [other[0], other[3]]
            scores = scores and same and abs(one[1] - other[1]) <= TOLERANCE
        wrong += [] if scores else [(place, one, other)]
    return wrong


def test_what_is_frozen():
    assert FROZEN["versions"] == make_beams.REFERENCES
    assert len(FROZEN["beams"]) == len(ITEMS) >= 200
    best = [beams[0][0] for beams in FROZEN["beams"]]
    assert len(set(best)) > 250
    assert sum(alone(beams, 0) for beams in FROZEN["beams"]) > 280


def test_seeds_make_what_was_frozen():
    made = [make_beams.fingerprint(item) for item in ITEMS]
    assert [one for one, _ in made] == [one for one, _ in FROZEN["made"]]
    assert [one for _, one in made] == pytest.approx([one for _, one in FROZEN["made"]], abs=0.02)


@pytest.mark.parametrize("vocabulary", sorted(make_beams.VOCABULARIES))
@pytest.mark.parametrize("order", [None, *make_beams.ORDERS])
def test_beams_are_those_of_the_reference(vocabulary, order, models):
    wrong: dict[int, object] = {}
    compared = 0
    for index, (item, expected) in enumerate(zip(ITEMS, FROZEN["beams"], strict=True)):
        if (item["vocabulary"], item["order"]) != (vocabulary, order):
            continue
        different = differences(decoded(item, models), expected)
        wrong |= {index: (item, different)} if different else {}
        compared += len(expected)
    assert wrong == {}
    assert compared > 24
