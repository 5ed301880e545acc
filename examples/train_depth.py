"""Train a tiny GLPN to estimate depth on rendered rooms."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from depth_data import HELD_OUT_SEED, MAX_DEPTH, TRAIN_SEED, Room, room
from PIL import Image
from training import CHECKPOINTS, Batch, fit, parse_options, seed_everything, write_metrics
from transformers import GLPNConfig, GLPNForDepthEstimation

# The processor on PIL: torchvision is not needed.
from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil

BATCH = 16
TRAIN_SIZE, HELD_OUT_SIZE = 2400, 200
WITHIN = 1.25  # a depth is right if it is off by less than this factor, as is usual


def make_model() -> GLPNForDepthEstimation:
    """Build the model with random weights."""
    config = GLPNConfig(
        hidden_sizes=[16, 32, 48, 64],
        depths=[1, 1, 2, 2],
        num_attention_heads=[1, 2, 3, 4],
        mlp_ratios=[3, 3, 3, 3],
        decoder_hidden_size=24,
        drop_path_rate=0.0,
        max_depth=int(MAX_DEPTH),
    )
    return GLPNForDepthEstimation(config)


def vary(example: Room, rng: np.random.Generator) -> Room:
    """Mirror the room and swap its colours, at random: its depth stays true."""
    pixels = np.asarray(example.image)[..., rng.permutation(3)]
    step = int(rng.choice([-1, 1]))
    image = Image.fromarray(np.ascontiguousarray(pixels[:, ::step]))
    return Room(image, np.ascontiguousarray(example.depth[:, ::step]))


def estimate(
    model: GLPNForDepthEstimation, processor: GLPNImageProcessorPil, images: Sequence[Image.Image]
) -> list[np.ndarray]:
    """Depth of each picture at its size: `[height, width]` in metres."""
    found: list[np.ndarray] = []
    for start in range(0, len(images), BATCH):
        group = images[start : start + BATCH]
        with torch.inference_mode():
            outputs = model(**processor(list(group), return_tensors="pt"))
        sizes = [(image.height, image.width) for image in group]
        maps = processor.post_process_depth_estimation(outputs, target_sizes=sizes)
        found += [item["predicted_depth"].numpy() for item in maps]
    return found


def share_within(found: Sequence[np.ndarray], rooms: Sequence[Room]) -> float:
    """Share of the pixels whose depth is off by a factor of less than `WITHIN`."""
    pairs = list(zip(found, (example.depth for example in rooms), strict=True))
    factors = np.stack([np.maximum(depth / true, true / depth) for depth, true in pairs])
    return float((factors < WITHIN).mean())


def relative_error(found: Sequence[np.ndarray], rooms: Sequence[Room]) -> float:
    """Mean of |depth - true depth| / true depth."""
    pairs = zip(found, (example.depth for example in rooms), strict=True)
    return float(np.mean([np.abs(depth - true) / true for depth, true in pairs]))


def main() -> None:
    """Train, score on the held-out rooms, save."""
    options = parse_options("Train the depth estimator.", CHECKPOINTS / "depth", epochs=14)
    seed_everything(options)
    train = [room(TRAIN_SEED + index) for index in range(TRAIN_SIZE)]
    test = [room(HELD_OUT_SEED + index) for index in range(HELD_OUT_SIZE)]
    test_images = [example.image for example in test]
    processor = GLPNImageProcessorPil()
    model = make_model()

    def batches(epoch: int) -> Iterable[Batch]:
        rng = np.random.default_rng([options.seed, epoch])
        order = rng.permutation(len(train))
        for start in range(0, len(order), BATCH):
            chosen = [vary(train[index], rng) for index in order[start : start + BATCH]]
            pixels = processor([example.image for example in chosen], return_tensors="pt")
            depths = np.stack([example.depth for example in chosen])
            yield {"pixel_values": pixels["pixel_values"], "labels": torch.from_numpy(depths)}

    def score(epoch: int) -> str:
        if epoch % 5 != 4:
            return ""
        return f"held-out share {share_within(estimate(model, processor, test_images), test):.4f}"

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-len(train) // BATCH),
        peak_rate=2e-3,
        after_epoch=score,
    )
    model.save_pretrained(options.out)
    processor.save_pretrained(options.out)
    saved = GLPNForDepthEstimation.from_pretrained(options.out).eval()
    found = estimate(saved, GLPNImageProcessorPil.from_pretrained(options.out), test_images)
    metrics = {
        "metric": f"share of pixels within a factor of {WITHIN} of the true depth",
        "value": round(share_within(found, test), 4),
        "mean_relative_error": round(relative_error(found, test), 4),
        "held_out": "rendered rooms with seeds not used in training",
        "held_out_size": len(test),
        "train_size": len(train),
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
