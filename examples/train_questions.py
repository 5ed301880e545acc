"""Train a tiny BERT that finds answers in a passage, with its own WordPiece tokenizer."""

import random
from collections.abc import Iterable

import torch
from question_data import TEST, TRAIN, Example, make_questions
from tokenizers import BertWordPieceTokenizer
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
    BatchEncoding,
    BertConfig,
    BertForQuestionAnswering,
    BertTokenizer,
    PreTrainedTokenizerBase,
)

TRAIN_SIZE = 24000
TEST_SIZE = 2000
BATCH = 32
MAX_LENGTH = 256
MAX_ANSWER = 15  # tokens


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    """Learn a cased WordPiece vocabulary; it is small, so that most names stay in pieces."""
    trainer = BertWordPieceTokenizer(lowercase=False)
    trainer.train_from_iterator(texts, vocab_size=1200, min_frequency=2, show_progress=False)
    return BertTokenizer(
        vocab=trainer.get_vocab(), do_lower_case=False, model_max_length=MAX_LENGTH
    )


def make_model(tokenizer: PreTrainedTokenizerBase) -> BertForQuestionAnswering:
    """Build the model with random weights."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=MAX_LENGTH,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.06,  # BERT's 0.02 is meant for layers 768 wide
        pad_token_id=tokenizer.pad_token_id,
    )
    model = BertForQuestionAnswering(config)
    layers = [layer.attention.self for layer in model.bert.encoder.layer]
    prepare_attention(
        model.bert.embeddings.position_embeddings, [(layer.query, layer.key) for layer in layers]
    )
    return model


def encode(tokenizer: PreTrainedTokenizerBase, examples: list[Example]) -> BatchEncoding:
    """Turn questions and passages into a padded batch."""
    return tokenizer(
        [example.question for example in examples],
        [example.context for example in examples],
        padding=True,
        truncation="only_second",
        return_tensors="pt",
    )


def training_batch(tokenizer: PreTrainedTokenizerBase, examples: list[Example]) -> Batch:
    """A batch with the tokens where the answers begin and end."""
    tokens = encode(tokenizer, examples)
    spans = [
        [tokens.char_to_token(row, place, sequence_index=1) for row, place in enumerate(places)]
        for places in (
            [example.start for example in examples],
            [example.end - 1 for example in examples],
        )
    ]
    return {
        **tokens,
        "start_positions": torch.tensor(spans[0]),
        "end_positions": torch.tensor(spans[1]),
    }


def batches_by_length(examples: list[Example], seed: int) -> Iterable[list[Example]]:
    """Batches in random order, each of examples of about one length: there is less padding."""
    rng = random.Random(seed)
    order = rng.sample(examples, len(examples))
    batches = []
    for start in range(0, len(order), 40 * BATCH):
        part = sorted(order[start : start + 40 * BATCH], key=lambda example: len(example.context))
        batches += [part[place : place + BATCH] for place in range(0, len(part), BATCH)]
    return rng.sample(batches, len(batches))


def find_answers(
    model: BertForQuestionAnswering, tokenizer: PreTrainedTokenizerBase, examples: list[Example]
) -> list[str]:
    """The text of the best span of each passage."""
    tokens = encode(tokenizer, examples)
    output = model(**tokens)
    answers = []
    for row, example in enumerate(examples):
        inside = torch.tensor([part == 1 for part in tokens.sequence_ids(row)])
        begin = output.start_logits[row].masked_fill(~inside, -torch.inf)
        stop = output.end_logits[row].masked_fill(~inside, -torch.inf)
        # [begin, end]; a span has 1 to MAX_ANSWER tokens
        allowed = torch.ones(len(begin), len(begin)).triu().tril(MAX_ANSWER - 1).bool()
        scores = (begin[:, None] + stop[None, :]).masked_fill(~allowed, -torch.inf)
        first, last = divmod(int(scores.argmax()), len(begin))
        start = tokens.token_to_chars(row, first).start
        answers.append(example.context[start : tokens.token_to_chars(row, last).end])
    return answers


def exact_match(
    model: BertForQuestionAnswering, tokenizer: PreTrainedTokenizerBase, examples: list[Example]
) -> float:
    """Share of questions answered with exactly the true text."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(examples), 100):
            part = examples[start : start + 100]
            found = find_answers(model, tokenizer, part)
            right += sum(text == example.answer for text, example in zip(found, part, strict=True))
    return right / len(examples)


def main() -> None:
    """Train, score on the held-out questions, save."""
    options = parse_options("Train the answer finder.", CHECKPOINTS / "questions", epochs=5)
    seed_everything(options)
    train = make_questions(TRAIN, TRAIN_SIZE, options.seed)
    test = make_questions(TEST, TEST_SIZE, 1000)
    tokenizer = make_tokenizer([f"{item.question} {item.context}" for item in train[:20000]])
    model = make_model(tokenizer)

    def batches(epoch: int) -> Iterable[Batch]:
        # New questions in every epoch: there is no end of them, and none to learn by heart.
        examples = make_questions(TRAIN, TRAIN_SIZE, options.seed + epoch)
        return (training_batch(tokenizer, part) for part in batches_by_length(examples, epoch))

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-TRAIN_SIZE // BATCH),
        peak_rate=1e-3,
        after_epoch=lambda epoch: f"held-out exact match {exact_match(model, tokenizer, test):.4f}",
    )
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    metrics = {
        "metric": "exact match",
        "value": round(exact_match(model, tokenizer, test), 4),
        "held_out": "generated passages with wordings, names and values not used in training",
        "held_out_size": len(test),
        "train_size": TRAIN_SIZE * options.epochs,
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
