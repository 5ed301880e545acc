"""Train a tiny T5 that translates numbers, dates and times into French, with its own tokenizer."""

import math
import random
from collections import Counter
from collections.abc import Iterable

import torch
from tokenizers import Regex, pre_tokenizers
from training import CHECKPOINTS, Batch, fit, parse_options, seed_everything, write_metrics
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer
from translation_data import Pair, make_pairs

TRAIN_SIZE = 24000
TEST_SIZE = 2000
PROGRESS_SIZE = 300  # held-out inputs translated after an epoch
BATCH = 48
PREFIX = "translate English to French: "
MAX_INPUT = 128  # tokens
MAX_LENGTH = 60  # tokens of a translation
BEAMS = 4
IGNORED = -100  # a label that does not count
NEAR = 5.0  # added to the logit of an attended word: it gets most of the attention
RARE = -20.0  # log-probability of a letter by itself: words are in letters only where they must


def make_tokenizer(texts: list[str]) -> T5Tokenizer:
    """A Unigram vocabulary of the words of the texts, and of letters for all others.

    Digits, hyphens and marks are pieces by themselves, so that years and numbers that were never
    seen are made of known pieces. The pieces are counted and not learnt with `UnigramTrainer`,
    which cuts words at random places where a text has few different ones.
    """
    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Split(Regex(r"[^\p{L}▁]"), "isolated"),
        ]
    )
    counts = Counter(piece for text in texts for piece, _ in split.pre_tokenize_str(text))
    total = sum(counts.values())
    scores = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0}
    scores |= {piece: math.log(count / total) for piece, count in counts.most_common()}
    for letter in sorted({letter for piece in counts for letter in piece}):
        scores.setdefault(letter, RARE)
    return T5Tokenizer(vocab=list(scores.items()), extra_ids=0, model_max_length=MAX_INPUT)


def make_model(tokenizer: T5Tokenizer) -> T5ForConditionalGeneration:
    """Build the model with random weights."""
    task = {
        "prefix": PREFIX,
        "max_length": MAX_LENGTH,
        "num_beams": BEAMS,
        "early_stopping": True,
    }
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=128,
        d_kv=32,
        num_heads=4,
        d_ff=256,
        num_layers=3,
        num_decoder_layers=2,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
        task_specific_params={"translation_en_to_fr": task},
    )
    model = T5ForConditionalGeneration(config)
    prefer_near_words(model)
    return model


def prefer_near_words(model: T5ForConditionalGeneration) -> None:
    """Start some heads at a word's neighbours; T5 is slow to find the order of words by itself.

    The other heads keep their random start. Row n of a bias is for the word n places before, row
    16 + n of the encoder's for the word n places after (Raffel et al., arXiv 1910.10683).
    """
    encoder = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias
    decoder = model.decoder.block[0].layer[0].SelfAttention.relative_attention_bias
    with torch.no_grad():
        for head, row in enumerate((1, 2, 16 + 1)):
            encoder.weight[row, head] = NEAR
        for head, row in enumerate((1, 2)):
            decoder.weight[row, head] = NEAR


def encode(tokenizer: T5Tokenizer, pairs: list[Pair]) -> Batch:
    """Turn pairs into a padded batch with labels."""
    source = tokenizer([PREFIX + pair.english for pair in pairs], padding=True, return_tensors="pt")
    target = tokenizer([pair.french for pair in pairs], padding=True, return_tensors="pt")
    labels = target["input_ids"].masked_fill(target["attention_mask"] == 0, IGNORED)
    return {**source, "labels": labels}


def batches_by_length(pairs: list[Pair], seed: int) -> list[list[Pair]]:
    """Batches in random order, each of pairs of about one length: there is less padding."""
    rng = random.Random(seed)
    order = rng.sample(pairs, len(pairs))
    batches = []
    for start in range(0, len(order), 40 * BATCH):
        part = sorted(order[start : start + 40 * BATCH], key=lambda pair: len(pair.french))
        batches += [part[place : place + BATCH] for place in range(0, len(part), BATCH)]
    return rng.sample(batches, len(batches))


def translate(
    model: T5ForConditionalGeneration, tokenizer: T5Tokenizer, texts: list[str], beams: int
) -> list[str]:
    """Translate English texts, without the prefix."""
    found: list[str] = []
    for start in range(0, len(texts), 100):
        part = [PREFIX + text for text in texts[start : start + 100]]
        tokens = tokenizer(part, padding=True, return_tensors="pt")
        output = model.generate(
            **tokens, max_length=MAX_LENGTH, num_beams=beams, early_stopping=beams > 1
        )
        found += tokenizer.batch_decode(output, skip_special_tokens=True)
    return found


def exact_match(
    model: T5ForConditionalGeneration, tokenizer: T5Tokenizer, pairs: list[Pair], beams: int = 1
) -> float:
    """Share of texts whose translation is exactly the true one."""
    model.eval()
    found = translate(model, tokenizer, [pair.english for pair in pairs], beams)
    right = sum(text == pair.french for text, pair in zip(found, pairs, strict=True))
    return right / len(pairs)


def main() -> None:
    """Train, score on the held-out values, save."""
    options = parse_options("Train the translator.", CHECKPOINTS / "translator", epochs=10)
    seed_everything(options)
    train = make_pairs(TRAIN_SIZE, options.seed)
    test = make_pairs(TEST_SIZE, 1000, test=True)
    texts = [text for pair in train for text in (PREFIX + pair.english, pair.french)]
    tokenizer = make_tokenizer(texts)
    model = make_model(tokenizer)

    def batches(epoch: int) -> Iterable[Batch]:
        # New pairs in every epoch: there is no end of them, and none to learn by heart.
        pairs = make_pairs(TRAIN_SIZE, options.seed + epoch)
        return (encode(tokenizer, part) for part in batches_by_length(pairs, epoch))

    def progress(epoch: int) -> str:
        model.save_pretrained(options.out)
        tokenizer.save_pretrained(options.out)
        score = exact_match(model, tokenizer, test[:PROGRESS_SIZE])
        return f"exact match on {PROGRESS_SIZE} held out {score:.4f}"

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-TRAIN_SIZE // BATCH),
        peak_rate=2e-3,
        after_epoch=progress,
    )
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    metrics = {
        "metric": "exact match",
        "value": round(exact_match(model, tokenizer, test), 4),
        f"value_beam_{BEAMS}": round(exact_match(model, tokenizer, test, BEAMS), 4),
        "held_out": "generated texts with numbers, dates, times and prices not used in training",
        "held_out_size": len(test),
        "train_size": TRAIN_SIZE * options.epochs,
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
