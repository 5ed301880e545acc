"""Train a tiny DistilBERT that marks names and dates, with its own WordPiece tokenizer."""

import random
from collections.abc import Iterable

import torch
from entity_data import LABELS, TEST, TRAIN, Entity, Sentence, make_sentences
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
    BertTokenizer,
    DistilBertConfig,
    DistilBertForTokenClassification,
    PreTrainedTokenizerBase,
)

TRAIN_SIZE = 30000
TEST_SIZE = 2000
BATCH = 48
MAX_LENGTH = 128
IGNORED = -100  # the label that the loss leaves out


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    """Learn a cased WordPiece vocabulary; it is small, so that most names stay in pieces."""
    trainer = BertWordPieceTokenizer(lowercase=False)
    trainer.train_from_iterator(texts, vocab_size=1000, min_frequency=2, show_progress=False)
    return BertTokenizer(
        vocab=trainer.get_vocab(), do_lower_case=False, model_max_length=MAX_LENGTH
    )


def make_model(tokenizer: PreTrainedTokenizerBase) -> DistilBertForTokenClassification:
    """Build the tagger with random weights."""
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=MAX_LENGTH,
        dim=96,
        hidden_dim=288,
        n_layers=3,
        n_heads=4,
        initializer_range=0.06,  # BERT's 0.02 is meant for layers 768 wide
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    model = DistilBertForTokenClassification(config)
    layers = [layer.attention for layer in model.distilbert.transformer.layer]
    prepare_attention(
        model.distilbert.embeddings.position_embeddings,
        [(layer.q_lin, layer.k_lin) for layer in layers],
    )
    return model


def encode(tokenizer: PreTrainedTokenizerBase, sentences: list[Sentence]) -> BatchEncoding:
    """Turn sentences into a padded batch."""
    texts = [sentence.text for sentence in sentences]
    return tokenizer(texts, padding=True, truncation=True, return_tensors="pt")


def training_batch(tokenizer: PreTrainedTokenizerBase, sentences: list[Sentence]) -> Batch:
    """A batch with a label for each token; the later pieces of a word have one too."""
    tokens = encode(tokenizer, sentences)
    labels = torch.full_like(tokens["input_ids"], IGNORED)
    for row, sentence in enumerate(sentences):
        labels[row, [word is not None for word in tokens.word_ids(row)]] = LABELS.index("O")
        for entity in sentence.entities:
            first = tokens.char_to_token(row, entity.start)
            last = tokens.char_to_token(row, entity.end - 1)
            labels[row, first : last + 1] = LABELS.index(f"I-{entity.kind}")
            labels[row, first] = LABELS.index(f"B-{entity.kind}")
    return {**tokens, "labels": labels}


def read_entities(tokens: BatchEncoding, row: int, best: list[int]) -> list[Entity]:
    """Join words to entities; the first piece of a word decides for the word.

    Args:
        tokens: The batch.
        row: Which of its sentences.
        best: The best-scored label of each token.
    """
    entities: list[Entity] = []
    inside = None  # the kind that the next word may go on with
    seen = None
    for place, word in enumerate(tokens.word_ids(row)):
        if word is None or word == seen:
            continue
        seen = word
        span = tokens.word_to_chars(row, word)
        part, _, kind = LABELS[best[place]].partition("-")
        if part == "I" and kind == inside:
            entities[-1] = Entity(kind, entities[-1].start, span.end)
        elif part != "O":
            entities.append(Entity(kind, span.start, span.end))
        inside = kind or None
    return entities


def entity_f1(
    model: DistilBertForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    sentences: list[Sentence],
) -> float:
    """Harmonic mean of precision and recall; an entity counts if its span and kind are right."""
    model.eval()
    right = found = wanted = 0
    with torch.inference_mode():
        for start in range(0, len(sentences), 100):
            part = sentences[start : start + 100]
            tokens = encode(tokenizer, part)
            best = model(**tokens).logits.argmax(-1).tolist()
            for row, sentence in enumerate(part):
                entities = set(read_entities(tokens, row, best[row]))
                right += len(entities & set(sentence.entities))
                found += len(entities)
                wanted += len(sentence.entities)
    return 2 * right / (found + wanted)


def main() -> None:
    """Train, score on the held-out sentences, save."""
    options = parse_options("Train the entity tagger.", CHECKPOINTS / "entities", epochs=4)
    seed_everything(options)
    train = make_sentences(TRAIN, TRAIN_SIZE, options.seed)
    test = make_sentences(TEST, TEST_SIZE, 1000)
    tokenizer = make_tokenizer([sentence.text for sentence in train])
    model = make_model(tokenizer)

    def batches(epoch: int) -> Iterable[Batch]:
        order = random.Random(epoch).sample(train, len(train))
        for start in range(0, len(order), BATCH):
            yield training_batch(tokenizer, order[start : start + BATCH])

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-len(train) // BATCH),
        peak_rate=1e-3,
        after_epoch=lambda epoch: f"held-out entity F1 {entity_f1(model, tokenizer, test):.4f}",
    )
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    metrics = {
        "metric": "entity F1",
        "value": round(entity_f1(model, tokenizer, test), 4),
        "held_out": "generated sentences with clauses and names not used in training",
        "held_out_size": len(test),
        "train_size": len(train),
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
