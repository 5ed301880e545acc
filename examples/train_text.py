"""Train a tiny DistilBERT review classifier with its own WordPiece tokenizer."""

import random
from collections.abc import Iterable

import torch
from text_data import LABELS, TEST, TRAIN, make_reviews
from tokenizers import BertWordPieceTokenizer
from training import CHECKPOINTS, Batch, fit, parse_options, seed_everything, write_metrics
from transformers import (
    BertTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedTokenizerBase,
)

TRAIN_SIZE = 24000
TEST_SIZE = 2000
BATCH = 48
MAX_LENGTH = 256
Review = tuple[str, int]


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    """Learn a lowercase WordPiece vocabulary from the training reviews."""
    trainer = BertWordPieceTokenizer(lowercase=True)
    trainer.train_from_iterator(texts, vocab_size=1200, min_frequency=2, show_progress=False)
    return BertTokenizer(vocab=trainer.get_vocab(), do_lower_case=True, model_max_length=MAX_LENGTH)


def make_model(tokenizer: PreTrainedTokenizerBase) -> DistilBertForSequenceClassification:
    """Build the classifier with random weights."""
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=MAX_LENGTH,
        dim=96,
        hidden_dim=384,
        n_layers=3,
        n_heads=4,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    return DistilBertForSequenceClassification(config)


def encode(tokenizer: PreTrainedTokenizerBase, reviews: list[Review]) -> dict[str, torch.Tensor]:
    """Turn reviews into a padded batch with labels."""
    batch = tokenizer([text for text, _ in reviews], padding=True, return_tensors="pt")
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "labels": torch.tensor([label for _, label in reviews]),
    }


def accuracy(
    model: DistilBertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    reviews: list[Review],
) -> float:
    """Share of reviews whose best-scored label is the true one."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(reviews), 100):
            batch = encode(tokenizer, reviews[start : start + 100])
            labels = batch.pop("labels")
            right += int((model(**batch).logits.argmax(-1) == labels).sum())
    return right / len(reviews)


def main() -> None:
    """Train, score on the held-out reviews, save."""
    options = parse_options("Train the review classifier.", CHECKPOINTS / "text", epochs=5)
    seed_everything(options)
    train = make_reviews(TRAIN, TRAIN_SIZE, options.seed)
    seen = {text for text, _ in train}
    test = [review for review in make_reviews(TEST, TEST_SIZE, 1000) if review[0] not in seen]
    tokenizer = make_tokenizer([text for text, _ in train])
    model = make_model(tokenizer)

    def batches(epoch: int) -> Iterable[Batch]:
        order = random.Random(epoch).sample(train, len(train))
        for start in range(0, len(order), BATCH):
            yield encode(tokenizer, order[start : start + BATCH])

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-len(train) // BATCH),
        peak_rate=1e-3,
        after_epoch=lambda epoch: f"held-out accuracy {accuracy(model, tokenizer, test):.4f}",
    )
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    metrics = {
        "metric": "accuracy",
        "value": round(accuracy(model, tokenizer, test), 4),
        "held_out": "generated reviews with sentence frames and nouns not used in training",
        "held_out_size": len(test),
        "train_size": len(train),
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
