"""Train a tiny RT-DETR to find the things of generated scenes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from detection_scores import Found, Truth, average_precisions
from PIL import Image
from scene_data import SIDE, THINGS, Scene, held_out_scene, scene, training_generator
from torch import Tensor, nn
from training import CHECKPOINTS, fit, parse_options, seed_everything, write_metrics
from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

# The processor on PIL: torchvision is not needed.
from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

BATCH = 16
TRAIN_SIZE, HELD_OUT_SIZE = 4000, 300
LEAST_SCORE = 0.01  # average precision needs the doubtful detections too
WIDTH = 64  # of all hidden states
CHANNELS = [16, 32, 64, 96]  # of the backbone's stages


def make_model() -> RTDetrForObjectDetection:
    """Build the detector with random weights."""
    config = RTDetrConfig(
        backbone_config=RTDetrResNetConfig(
            embedding_size=16,
            hidden_sizes=CHANNELS,
            depths=[1, 1, 1, 1],
            layer_type="basic",
            out_indices=[2, 3, 4],
        ),
        # Frozen ones would keep the statistics of no data at all.
        freeze_backbone_batch_norms=False,
        encoder_hidden_dim=WIDTH,
        encoder_in_channels=CHANNELS[1:],
        encoder_ffn_dim=2 * WIDTH,
        encoder_attention_heads=4,
        hidden_expansion=0.5,
        d_model=WIDTH,
        decoder_in_channels=[WIDTH] * 3,
        decoder_ffn_dim=2 * WIDTH,
        decoder_layers=2,
        decoder_attention_heads=4,
        num_queries=20,
        num_denoising=8,
        # As a normal distribution's deviation for 64 inputs; 0.01 is for pretrained ones.
        initializer_range=WIDTH**-0.5,
        id2label=dict(enumerate(THINGS)),
        label2id={name: index for index, name in enumerate(THINGS)},
    )
    model = RTDetrForObjectDetection(config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)  # the family starts them near zero
    return model


def make_target(example: Scene, mirrored: bool) -> dict[str, Tensor]:
    """What the loss wants: boxes as centre and size in shares of the picture, and classes."""
    boxes = example.boxes / np.tile(example.image.size, 2)
    if mirrored:
        boxes = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1)
    low, high = boxes[:, :2], boxes[:, 2:]
    centred = np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32)
    return {
        "class_labels": torch.from_numpy(example.thing_classes),
        "boxes": torch.from_numpy(centred),
    }


def find(
    model: RTDetrForObjectDetection,
    processor: RTDetrImageProcessorPil,
    images: Sequence[Image.Image],
) -> list[Found]:
    """Detections of each picture, in its pixels, the doubtful ones too."""
    found = []
    for start in range(0, len(images), BATCH):
        group = list(images[start : start + BATCH])
        with torch.inference_mode():
            outputs = model(pixel_values=processor(group, return_tensors="pt")["pixel_values"])
        sizes = [(image.height, image.width) for image in group]
        results = processor.post_process_object_detection(outputs, LEAST_SCORE, sizes)
        names = ("labels", "boxes", "scores")
        found += [Found(*(result[name].numpy() for name in names)) for result in results]
    return found


def precisions(found: Sequence[Found], scenes: Sequence[Scene]) -> dict[str, float]:
    """Average precision of each class by name."""
    truths = [Truth(example.thing_classes, example.boxes) for example in scenes]
    scores = average_precisions(found, truths)
    return {name: round(scores[index], 4) for index, name in enumerate(THINGS)}


def training_scenes(seed: int) -> list[Scene]:
    """Scenes of various shapes, because the processor stretches all to a square."""
    scenes = []
    for index in range(TRAIN_SIZE):
        rng = training_generator(seed, index)
        longer = SIDE + int(rng.integers(0, SIDE // 2))
        height, width = (SIDE, longer) if rng.random() < 0.5 else (longer, SIDE)
        scenes.append(scene(rng, height, width))
    return scenes


def main() -> None:
    """Train, score on the held-out scenes, save."""
    options = parse_options("Train the detector.", CHECKPOINTS / "detector", epochs=5)
    seed_everything(options)
    train = training_scenes(options.seed)
    test = [held_out_scene(index) for index in range(HELD_OUT_SIZE)]
    test_images = [example.image for example in test]
    processor = RTDetrImageProcessorPil(size={"height": SIDE, "width": SIDE})
    model = make_model()

    def batches(epoch: int) -> Iterable[Mapping[str, Any]]:
        rng = np.random.default_rng([options.seed, epoch])
        order = rng.permutation(len(train))
        for start in range(0, len(order), BATCH):
            chosen = [train[index] for index in order[start : start + BATCH]]
            mirrored = rng.random(len(chosen)) < 0.5
            images = [example.image for example in chosen]
            pixels = processor(images, return_tensors="pt")["pixel_values"]
            flips = torch.from_numpy(mirrored)[:, None, None, None]
            pixels = torch.where(flips, pixels.flip(-1), pixels)
            labels = [make_target(*pair) for pair in zip(chosen, mirrored, strict=True)]
            yield {"pixel_values": pixels, "labels": labels}

    def score(epoch: int) -> str:
        found = find(model, processor, test_images)
        return f"held-out precisions {precisions(found, test)}"

    seconds = fit(
        model,
        batches,
        epochs=options.epochs,
        steps_per_epoch=-(-len(train) // BATCH),
        peak_rate=1e-3,
        after_epoch=score,
    )
    model.save_pretrained(options.out)
    processor.save_pretrained(options.out)
    saved = RTDetrForObjectDetection.from_pretrained(options.out).eval()
    found = find(saved, RTDetrImageProcessorPil.from_pretrained(options.out), test_images)
    by_class = precisions(found, test)
    metrics = {
        "metric": "mean average precision at an overlap of 0.5",
        "value": round(float(np.mean(list(by_class.values()))), 4),
        "by_class": by_class,
        "held_out": "generated scenes with seeds and digits not used in training",
        "held_out_size": len(test),
        "train_size": len(train),
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
