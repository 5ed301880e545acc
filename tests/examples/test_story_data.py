import random
from itertools import product

import pytest
from story_data import (
    NAMES,
    QUESTIONS,
    THINGS,
    chat,
    is_held_out,
    make_stories,
    mistakes,
    request,
    sample_stories,
    with_article,
)

STORY = (
    "Mira lived in Eastmoor and had an old lantern. One cold night she could not find the lantern "
    "anywhere. She told Tom, who came to help her. At last Mira found the lantern in the barn."
)


def mentioned(known, text):
    return {word for word in known if word in text.replace(".", " ").replace(",", " ").split()}


@pytest.mark.parametrize("held_out", [False, True])
def test_stories_are_right_and_have_three_to_six_sentences(held_out):
    for story in make_stories(500, 3, held_out=held_out):
        assert mistakes(story.name, story.thing, story.text) == []
        assert 3 <= len(story.sentences) <= 6
        assert all(part in story.sentences[0] for part in (story.name, story.place, story.thing))
        assert f"{story.name} found the {story.thing} {story.spot}" in story.text


def test_the_same_seed_gives_the_same_stories():
    first = make_stories(5, 7, held_out=False, made_up=0.5)

    assert make_stories(5, 7, held_out=False, made_up=0.5) == first
    assert make_stories(5, 8, held_out=False, made_up=0.5) != first


def test_no_training_story_has_a_held_out_name_and_thing_together():
    for story in make_stories(2000, 0, held_out=False, made_up=0.15):
        pairs = product(mentioned(NAMES, story.text), mentioned(THINGS, story.text))
        assert not any(is_held_out(name, thing) for name, thing in pairs)


def test_held_out_stories_have_held_out_heroes_and_things():
    stories = make_stories(2000, 1, held_out=True)

    assert all(is_held_out(story.name, story.thing) for story in stories)
    assert {story.name for story in stories} == set(NAMES)
    assert {story.thing for story in stories} == set(THINGS)


def test_made_up_heroes_are_not_known_names():
    stories = make_stories(50, 0, held_out=False, made_up=1.0)

    assert not {story.name for story in stories} & set(NAMES)


def test_a_right_story_has_no_mistakes():
    assert mistakes("Mira", "lantern", STORY) == []


@pytest.mark.parametrize(
    ("right", "wrong", "mistake"),
    [
        (" in the barn.", " in the barn", "has no end"),
        ("Mira found", "Tom found", "ends without the hero or the thing"),
        ("Mira found", "Tom found", "the hero does not find the thing"),
        ("the lantern anywhere", "the kite anywhere", "another thing is lost or found"),
        ("in the barn", "in Foxton", "not one place"),
        ("She told", "He told", "both he and she"),
        ("to help her", "with Otto", "more than one friend"),
        ("told Tom", "told Mira", "the hero is the friend"),
    ],
)
def test_each_mistake_is_named(right, wrong, mistake):
    assert right in STORY
    assert mistake in mistakes("Mira", "lantern", STORY.replace(right, wrong))


def test_a_chat_asks_for_the_story_and_about_it():
    story = make_stories(1, 5, held_out=True)[0]

    messages = chat(story, random.Random(0), questions=2)

    assert [message["role"] for message in messages] == ["user", "assistant"] * 3
    assert messages[1]["content"] == story.text
    known = {
        question.format(name=story.name, thing=story.thing): answer.format(
            name=story.name, thing=story.thing, spot=story.spot
        )
        for question, answer in QUESTIONS
    }
    for ask, tell in ((messages[2], messages[3]), (messages[4], messages[5])):
        assert known[ask["content"]] == tell["content"]


def test_a_request_names_the_hero_and_the_thing():
    story = make_stories(1, 5, held_out=True)[0]

    text = request(story, random.Random(0))

    assert story.name in text
    assert story.thing in text


def test_articles():
    assert with_article("umbrella") == "an umbrella"
    assert with_article("kite") == "a kite"


def test_samples_have_different_heroes():
    stories = sample_stories()

    assert 8 <= len(stories) <= 10
    assert len({story.name for story in stories}) == len(stories)
