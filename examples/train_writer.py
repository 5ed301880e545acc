"""Train a tiny GPT-2 that writes stories and chats about them, with its own byte-level BPE."""

import json
import math
import random
from collections.abc import Iterable

import torch
from story_data import Message, Story, chat, make_stories, mistakes, request
from tokenizers import ByteLevelBPETokenizer
from training import (
    CHECKPOINTS,
    Batch,
    fit,
    parse_options,
    prepare_attention,
    seed_everything,
    write_metrics,
)
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    PreTrainedTokenizerBase,
)

TRAIN_SIZE = 18000  # texts in an epoch
TEST_SIZE = 500
TEST_SEED = 1000
BATCH = 24
MAX_LENGTH = 256
NEW_TOKENS = 96  # the longest story has fewer
MADE_UP = 0.3  # share of training stories about made-up names
CHATS = 0.4  # share of training texts that are conversations
END = "<|endoftext|>"
ROLES = ("<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    """Learn a byte-level BPE vocabulary in which the known words and names are whole."""
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(
        texts, vocab_size=1600, special_tokens=[END, *ROLES], show_progress=False
    )
    vocabulary = trainer.get_vocab()
    return GPT2Tokenizer(
        vocab=vocabulary,
        merges=merges_of(trainer),
        pad_token=END,
        extra_special_tokens=list(ROLES),
        chat_template=TEMPLATE,
        model_max_length=MAX_LENGTH,
        padding_side="left",
    )


def merges_of(trainer: ByteLevelBPETokenizer) -> list[tuple[str, str]]:
    """The merges of a byte-level BPE, first learnt first."""
    merges = json.loads(trainer.to_str())["model"]["merges"]
    return [(first, second) for first, second in merges]


def make_model(tokenizer: PreTrainedTokenizerBase) -> GPT2LMHeadModel:
    """Build the model with random weights."""
    end = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=MAX_LENGTH,
        n_embd=128,
        n_layer=4,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=0.06,  # GPT-2's 0.02 is meant for layers 768 wide
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        tie_word_embeddings=True,
    )
    model = GPT2LMHeadModel(config)
    prepare_attention(model.transformer.wpe, ())
    with torch.no_grad():  # what prepare_attention does, where one matrix holds all projections
        for block in model.transformer.h:
            query, key, _ = block.attn.c_attn.weight.split(config.n_embd, dim=1)
            key.copy_(query)
    model.generation_config = GenerationConfig(
        bos_token_id=end, eos_token_id=end, pad_token_id=end, max_new_tokens=NEW_TOKENS
    )
    return model


def chat_text(tokenizer: PreTrainedTokenizerBase, messages: list[Message], ask: bool) -> str:
    """A conversation as one text; with `ask`, up to where the assistant's answer begins."""
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
    return text


def training_texts(tokenizer: PreTrainedTokenizerBase, seed: int) -> list[str]:
    """Stories and conversations in random order."""
    rng = random.Random(seed)
    texts = []
    for story in make_stories(TRAIN_SIZE, seed, held_out=False, made_up=MADE_UP):
        if rng.random() < CHATS:
            messages = chat(story, rng, questions=rng.choice((1, 2)))
            texts.append(chat_text(tokenizer, messages, ask=False))
        else:
            # The tokenizer puts nothing in front of a prompt, so half of the texts have no start.
            texts.append(rng.choice(("", END)) + story.text + END)
    return texts


def batch_of(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Batch:
    """A padded batch, with labels where there is no padding."""
    tokens = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    labels = tokens["input_ids"].masked_fill(tokens["attention_mask"] == 0, -100)
    return {**tokens, "labels": labels}


def batches_by_length(texts: list[str], seed: int) -> list[list[str]]:
    """Batches in random order, each of texts of about one length: there is less padding."""
    ordered = sorted(texts, key=len)
    batches = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    return random.Random(seed).sample(batches, len(batches))


def write_on(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str]
) -> list[str]:
    """The greedy continuation of each prompt."""
    model.eval()
    found: list[str] = []
    for start in range(0, len(prompts), 100):
        tokens = tokenizer(prompts[start : start + 100], padding=True, return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(**tokens, do_sample=False)
        new = output[:, tokens["input_ids"].shape[1] :]
        found += tokenizer.batch_decode(new, skip_special_tokens=True)
    return found


def story_consistency(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, stories: list[Story]
) -> float:
    """Share of stories that are right when the model goes on after their first sentence."""
    openings = [story.sentences[0] for story in stories]
    right = [
        not mistakes(story.name, story.thing, opening + end)
        for story, opening, end in zip(
            stories, openings, write_on(model, tokenizer, openings), strict=True
        )
    ]
    return sum(right) / len(stories)


def chat_stories(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, stories: list[Story]
) -> float:
    """Share of requests answered with a right story about their hero and thing."""
    rng = random.Random(1)
    asked = [[{"role": "user", "content": request(story, rng)}] for story in stories]
    told = write_on(model, tokenizer, [chat_text(tokenizer, part, ask=True) for part in asked])
    right = [
        not mistakes(story.name, story.thing, text)
        for story, text in zip(stories, told, strict=True)
    ]
    return sum(right) / len(stories)


def chat_answers(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, stories: list[Story]
) -> float:
    """Share of questions about a told story that are answered word for word."""
    rng = random.Random(2)
    chats = [chat(story, rng, 1) for story in stories]
    asked = [chat_text(tokenizer, messages[:-1], ask=True) for messages in chats]
    answers = write_on(model, tokenizer, asked)
    right = [
        answer == messages[-1]["content"] for answer, messages in zip(answers, chats, strict=True)
    ]
    return sum(right) / len(stories)


def perplexity(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, stories: list[Story]
) -> float:
    """Perplexity of a token of a story, its end included."""
    total, count = 0.0, 0
    for start in range(0, len(stories), BATCH):
        batch = batch_of(
            tokenizer, [END + story.text + END for story in stories[start : start + BATCH]]
        )
        predicted = int((batch["labels"][:, 1:] != -100).sum())
        with torch.inference_mode():
            total += model(**batch).loss.item() * predicted
        count += predicted
    return math.exp(total / count)


def measure(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, object]:
    """The scores that metrics.json holds."""
    test = make_stories(TEST_SIZE, TEST_SEED, held_out=True)
    unknown = make_stories(TEST_SIZE, TEST_SEED, held_out=False, made_up=1.0)
    return {
        "metric": "story consistency",
        "value": round(story_consistency(model, tokenizer, test), 4),
        "chat_stories": round(chat_stories(model, tokenizer, test), 4),
        "chat_answers": round(chat_answers(model, tokenizer, test), 4),
        "made_up_names": round(story_consistency(model, tokenizer, unknown), 4),
        "perplexity": round(perplexity(model, tokenizer, test), 3),
        "held_out": "generated stories whose name and thing are in no training story together",
        "held_out_size": len(test),
    }


def main() -> None:
    """Train, score on the held-out stories, save."""
    options = parse_options("Train the story writer.", CHECKPOINTS / "writer", epochs=7)
    seed_everything(options)
    rng = random.Random(options.seed)
    sample = make_stories(TRAIN_SIZE, options.seed, held_out=False, made_up=MADE_UP)
    contents = [message["content"] for story in sample for message in chat(story, rng, 1)]
    tokenizer = make_tokenizer(contents)
    model = make_model(tokenizer)
    few = make_stories(100, TEST_SEED, held_out=True)

    def batches(epoch: int) -> Iterable[Batch]:
        # New stories in every epoch: there is no end of them, and none to learn by heart.
        texts = training_texts(tokenizer, options.seed + epoch)
        return (batch_of(tokenizer, part) for part in batches_by_length(texts, epoch))

    def score(_: int) -> str:
        # A checkpoint after each epoch, so that a run that is cut off leaves one.
        model.save_pretrained(options.out)
        tokenizer.save_pretrained(options.out, save_jinja_files=False)
        return (
            f"held-out stories right {story_consistency(model, tokenizer, few):.2f}, "
            f"answers right {chat_answers(model, tokenizer, few):.2f}"
        )

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-TRAIN_SIZE // BATCH),
        peak_rate=2e-3,
        after_epoch=score,
    )
    metrics = {
        **measure(model, tokenizer),
        "train_size": TRAIN_SIZE * options.epochs,
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
