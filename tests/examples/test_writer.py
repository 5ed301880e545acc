"""The shipped story writer, as transformers loads it."""

import json
import random

import pytest
import torch
from story_data import chat, make_stories, mistakes, request, sample_stories
from training import CHECKPOINTS, INPUTS
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = CHECKPOINTS / "writer"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER).eval()


@pytest.fixture(scope="module")
def write_on(model, tokenizer):
    """Prompts -> their greedy continuations."""

    def write(prompts):
        tokens = tokenizer(prompts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(**tokens)
        new = output[:, tokens["input_ids"].shape[1] :]
        return tokenizer.batch_decode(new, skip_special_tokens=True)

    return write


def test_the_checkpoint_is_a_small_gpt2_with_tied_embeddings(model, tokenizer):
    assert model.config.model_type == "gpt2"
    assert model.num_parameters() <= 1_200_000
    assert model.lm_head.weight is model.transformer.wte.weight
    assert (FOLDER / "model.safetensors").stat().st_size <= 5_000_000
    assert len(tokenizer) == model.config.vocab_size
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id


@pytest.mark.parametrize("text", ["Mira lost a lantern.", "Zoë & Jürgen: 12 €\n", "猫 🐈", " a  b"])
def test_the_tokenizer_gives_every_text_back(tokenizer, text):
    assert tokenizer.is_fast
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_roles_are_single_tokens(tokenizer):
    messages = [{"role": "user", "content": "Hello"}]

    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    assert text == "<|user|>\nHello\n<|assistant|>\n"
    tokens = tokenizer.tokenize(text)
    assert tokens[0] == "<|user|>"
    assert tokens[-2] == "<|assistant|>"


def test_the_sample_prompts_become_right_stories(write_on):
    stories = sample_stories()
    openings = (INPUTS / "stories.txt").read_text(encoding="utf-8").splitlines()
    assert openings == [story.sentences[0] for story in stories]
    expected = json.loads((INPUTS / "expected.json").read_text(encoding="utf-8"))
    wanted = [[story.name, story.thing] for story in stories]
    assert expected["writer"] == {"stories.txt": wanted}

    told = write_on(openings)

    wrong = [
        (opening + end, mistakes(story.name, story.thing, opening + end))
        for story, opening, end in zip(stories, openings, told, strict=True)
    ]
    assert [found for _, found in wrong] == [[]] * len(stories), wrong


def test_most_other_held_out_stories_are_right(write_on):
    stories = make_stories(50, 3000, held_out=True)
    openings = [story.sentences[0] for story in stories]

    told = write_on(openings)

    right = [
        not mistakes(story.name, story.thing, opening + end)
        for story, opening, end in zip(stories, openings, told, strict=True)
    ]
    assert sum(right) >= 40


def test_it_tells_a_story_on_request_and_answers(write_on, tokenizer):
    rng = random.Random(4)
    stories = make_stories(50, 4000, held_out=True)
    requests = [[{"role": "user", "content": request(story, rng)}] for story in stories]
    chats = [chat(story, rng, 1) for story in stories]
    prompts = [
        tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        for messages in [*requests, *(messages[:-1] for messages in chats)]
    ]

    told = write_on(prompts)

    pairs = zip(stories, told[:50], strict=True)
    assert sum(not mistakes(story.name, story.thing, text) for story, text in pairs) >= 40
    wanted = [messages[-1]["content"] for messages in chats]
    assert sum(got == want for got, want in zip(told[50:], wanted, strict=True)) >= 40


def test_its_scores_are_written_down():
    metrics = json.loads((FOLDER / "metrics.json").read_text(encoding="utf-8"))

    assert {"value", "chat_stories", "chat_answers", "perplexity"} <= set(metrics)
    assert min(metrics["value"], metrics["chat_stories"], metrics["chat_answers"]) >= 0.9
