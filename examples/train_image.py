"""Train a tiny ViT on the handwritten digits of scikit-learn."""

from collections.abc import Iterable

import numpy as np
import torch
from digit_data import SIDE, Digits, augment, load_split
from training import CHECKPOINTS, Batch, fit, parse_options, seed_everything, write_metrics
from transformers import ViTConfig, ViTForImageClassification

# The processor on PIL: torchvision is not needed.
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

BATCH = 64


def make_model() -> ViTForImageClassification:
    """Build the classifier with random weights: 64 patches of 4 x 4 pixels."""
    names = [str(digit) for digit in range(10)]
    config = ViTConfig(
        image_size=SIDE,
        patch_size=4,
        num_channels=3,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=4,
        num_attention_heads=4,
        hidden_dropout_prob=0.05,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    return ViTForImageClassification(config)


def accuracy(
    model: ViTForImageClassification, processor: ViTImageProcessorPil, digits: Digits
) -> float:
    """Share of pictures whose best-scored label is the true one."""
    pixels = processor(digits.images, return_tensors="pt")["pixel_values"]  # [count, 3, 32, 32]
    with torch.inference_mode():
        best = model(pixel_values=pixels).logits.argmax(-1)
    return float((best.numpy() == digits.labels).mean())


def main() -> None:
    """Train, score on the held-out digits, save."""
    options = parse_options("Train the digit classifier.", CHECKPOINTS / "digits", epochs=50)
    seed_everything(options)
    train, test = load_split()
    processor = ViTImageProcessorPil(size={"height": SIDE, "width": SIDE})
    model = make_model()

    def batches(epoch: int) -> Iterable[Batch]:
        rng = np.random.default_rng([options.seed, epoch])
        order = rng.permutation(len(train.images))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            images = [augment(train.images[index], rng) for index in chosen]
            pixels = processor(images, return_tensors="pt")["pixel_values"]
            yield {"pixel_values": pixels, "labels": torch.from_numpy(train.labels[chosen])}

    def score(epoch: int) -> str:
        if epoch % 5 != 4:
            return ""
        return f"held-out accuracy {accuracy(model, processor, test):.4f}"

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-len(train.images) // BATCH),
        peak_rate=1.5e-3,
        weight_decay=0.05,
        after_epoch=score,
    )
    model.save_pretrained(options.out)
    processor.save_pretrained(options.out)
    metrics = {
        "metric": "accuracy",
        "value": round(accuracy(model, processor, test), 4),
        "held_out": "a quarter of scikit-learn's load_digits, each digit in proportion",
        "held_out_size": len(test.images),
        "train_size": len(train.images),
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
