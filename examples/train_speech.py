"""Train a tiny Wav2Vec2 with CTC, from scratch, on words spoken by espeak-ng."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from speech_data import HELD_OUT_VOICE, RATE, WORDS, Speech, augment, plan, record
from training import CHECKPOINTS, Batch, fit, parse_options, seed_everything, write_metrics
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

TRAIN_SIZE = 5000
TEST_SIZE = 300
BATCH = 16
SYMBOLS = ("<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz")


def make_processor(folder: Path) -> Wav2Vec2Processor:
    """Build the processor; the tokenizer reads its symbols from a file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.json"
    symbols = {symbol: index for index, symbol in enumerate(SYMBOLS)}
    vocabulary.write_text(json.dumps(symbols), encoding="utf-8")
    return Wav2Vec2Processor(
        feature_extractor=Wav2Vec2FeatureExtractor(
            sampling_rate=RATE, do_normalize=True, return_attention_mask=True
        ),
        tokenizer=Wav2Vec2CTCTokenizer(str(vocabulary)),
    )


def make_model() -> Wav2Vec2ForCTC:
    """Build the recogniser with random weights; 320 samples make one frame, as usual."""
    config = Wav2Vec2Config(
        vocab_size=len(SYMBOLS),
        pad_token_id=SYMBOLS.index("<pad>"),
        bos_token_id=SYMBOLS.index("<s>"),
        eos_token_id=SYMBOLS.index("</s>"),
        conv_dim=(16, 32, 48, 64, 64, 64, 64),
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        hidden_size=96,
        intermediate_size=320,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        activation_dropout=0.0,
        feat_proj_dropout=0.1,
        final_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.06,
        mask_time_length=4,
        mask_feature_prob=0.05,
        mask_feature_length=6,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
    )
    return Wav2Vec2ForCTC(config)


def transcribe(
    model: Wav2Vec2ForCTC, processor: Wav2Vec2Processor, waves: list[np.ndarray]
) -> list[str]:
    """Decode greedily: the best symbol per frame, repeats and blanks removed.

    Frames of padding count as blanks; the model, which never learnt them, hears letters there.
    """
    blank = processor.tokenizer.pad_token_id
    model.eval()
    texts: list[str] = []
    with torch.inference_mode():
        for start in range(0, len(waves), 20):
            inputs = processor(
                waves[start : start + 20], sampling_rate=RATE, padding=True, return_tensors="pt"
            )
            best = model(**inputs).logits.argmax(-1)
            lengths = model._get_feat_extract_output_lengths(inputs["attention_mask"].sum(-1))
            padded = torch.arange(best.shape[1]) >= lengths[:, None]
            texts += processor.batch_decode(best.masked_fill(padded, blank))
    return texts


def word_errors(said: str, heard: str) -> int:
    """Least number of words to insert, drop or replace to turn one text into the other."""
    heard_words = heard.split()
    row = list(range(len(heard_words) + 1))
    for count, word in enumerate(said.split(), 1):
        before, row = row, [count]
        for place, other in enumerate(heard_words, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (word != other)))
    return row[-1]


def word_error_rate(model: Wav2Vec2ForCTC, processor: Wav2Vec2Processor, test: Speech) -> float:
    """Word errors divided by the number of words said."""
    heard = transcribe(model, processor, test.waves)
    errors = sum(word_errors(*pair) for pair in zip(test.texts, heard, strict=True))
    return errors / sum(len(text.split()) for text in test.texts)


def group(speech: Speech, epoch: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Choose the batches of an epoch as indices: recordings of like length go together."""
    lengths = np.array([len(wave) for wave in speech.waves])
    if epoch == 0:  # short ones first: CTC finds the alignment sooner
        order = np.argsort(lengths, kind="stable")
        return np.array_split(order, range(BATCH, len(order), BATCH))
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), 20 * BATCH):
        part = order[start : start + 20 * BATCH]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += np.array_split(part, range(BATCH, len(part), BATCH))
    rng.shuffle(batches)
    return batches


def encode(
    processor: Wav2Vec2Processor, waves: list[np.ndarray], texts: list[str]
) -> dict[str, torch.Tensor]:
    """Turn recordings and their words into a padded batch with labels."""
    inputs = processor(waves, sampling_rate=RATE, padding=True, return_tensors="pt")
    labels = processor.tokenizer(texts, padding=True, return_tensors="pt")
    ignored = labels["attention_mask"] == 0
    return {**inputs, "labels": labels["input_ids"].masked_fill(ignored, -100)}


def load_or_make(start: Path | None) -> tuple[Wav2Vec2ForCTC, dict[str, int]]:
    """Take the model to go on from with its epochs and seconds so far, or a new one."""
    if start is None:
        return make_model(), {"epochs": 0, "train_seconds": 0}
    # Two masked spans in every utterance hide much of a short one: no least number any more.
    model = Wav2Vec2ForCTC.from_pretrained(start, mask_time_min_masks=0)
    return model, json.loads((start / "metrics.json").read_text(encoding="utf-8"))


def main() -> None:
    """Train, score on the held-out voice, save."""
    options = parse_options(
        "Train the word recogniser.", CHECKPOINTS / "speech", epochs=8, can_continue=True
    )
    seed_everything(options)
    train = record(plan(TRAIN_SIZE, options.seed))
    test = record(plan(TEST_SIZE, 1000, HELD_OUT_VOICE))
    known = record(plan(100, 2000))  # new utterances of the training voices, to compare
    processor = make_processor(options.out)
    model, before = load_or_make(options.start)

    def batches(epoch: int) -> Iterable[Batch]:
        rng = np.random.default_rng([options.seed, epoch])
        for chosen in group(train, epoch, rng):
            waves = [augment(train.waves[index], rng) for index in chosen]
            yield encode(processor, waves, [train.texts[index] for index in chosen])

    def score(epoch: int) -> str:
        errors = [word_error_rate(model, processor, speech) for speech in (known, test)]
        return f"WER {errors[0]:.4f} known voices, {errors[1]:.4f} held-out voice"

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-TRAIN_SIZE // BATCH),
        peak_rate=1.5e-3,
        after_epoch=score,
    )
    model.save_pretrained(options.out)
    processor.save_pretrained(options.out)
    metrics = {
        "metric": "word error rate",
        "value": round(word_error_rate(model, processor, test), 4),
        "held_out": f"espeak-ng voice {HELD_OUT_VOICE}, not heard in training",
        "held_out_size": len(test.waves),
        "train_size": len(train.waves),
        "words": WORDS,
        "epochs": before["epochs"] + options.epochs,
        "train_seconds": round(seconds + before["train_seconds"]),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
