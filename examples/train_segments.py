"""Train a tiny Mask2Former on generated scenes of shapes and digits."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from scene_data import (
    LABELS,
    SIDE,
    STUFF,
    THINGS,
    Scene,
    held_out_scene,
    scene,
    training_generator,
)
from scores import Segmentation, mean_iou, panoptic_quality
from training import CHECKPOINTS, Batch, fit, parse_options, seed_everything, write_metrics
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

# The processor on PIL: torchvision is not needed.
from transformers.models.mask2former.image_processing_pil_mask2former import (
    Mask2FormerImageProcessorPil,
)

BATCH = 8
STEPS = 100  # in an epoch
HELD_OUT = 60
SHAPES = ((SIDE, SIDE), (SIDE, 128), (SIDE, SIDE), (128, SIDE))  # height, width
STUFF_IDS = set(range(len(THINGS), len(LABELS)))


def make_processor() -> Mask2FormerImageProcessorPil:
    """Scale the shorter side to 96 pixels; both sides become multiples of 32."""
    return Mask2FormerImageProcessorPil(size={"shortest_edge": SIDE, "longest_edge": 160})


def make_model() -> Mask2FormerForUniversalSegmentation:
    """Build the model with random weights: masks of a quarter of the picture's height and width."""
    backbone = SwinConfig(
        image_size=SIDE,
        embed_dim=24,
        depths=[1, 1, 2, 1],
        num_heads=[2, 4, 8, 16],
        window_size=6,
        mlp_ratio=2.0,
        drop_path_rate=0.0,
        initializer_range=0.1,  # 0.02 is for layers ten times as wide
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=64,
        mask_feature_size=64,
        hidden_dim=64,
        encoder_feedforward_dim=128,
        encoder_layers=1,
        decoder_layers=4,  # three layers: the learned queries count as one
        dim_feedforward=128,
        num_attention_heads=4,
        num_queries=12,
        no_object_weight=0.2,  # 0.1 is for the usual 100 queries
        class_weight=4.0,  # shapes are harder to name here than to outline
        train_num_points=400,
        id2label=dict(enumerate(LABELS)),
        label2id={name: index for index, name in enumerate(LABELS)},
    )
    return Mask2FormerForUniversalSegmentation(config)


def make_batch(processor: Mask2FormerImageProcessorPil, scenes: Sequence[Scene]) -> Batch:
    """Prepare pictures, one mask `[height, width]` per segment, and the segments' classes."""
    prepared = processor(
        [one.image for one in scenes],
        segmentation_maps=[one.label_map.astype(np.uint8) for one in scenes],
        instance_id_to_semantic_id=[dict(enumerate(one.classes)) for one in scenes],
        return_tensors="pt",
    )
    return {
        "pixel_values": prepared["pixel_values"],
        "mask_labels": prepared["mask_labels"],
        "class_labels": prepared["class_labels"],
    }


def training_batches(
    processor: Mask2FormerImageProcessorPil, seed: int, epoch: int
) -> Iterable[Batch]:
    """New scenes; those of a batch share their shape, those of an epoch do not."""
    rng = training_generator(seed, epoch)
    for _ in range(STEPS):
        scale = rng.uniform(0.8, 1.3)
        height, width = (round(scale * side) for side in SHAPES[rng.integers(len(SHAPES))])
        yield make_batch(processor, [scene(rng, height, width) for _ in range(BATCH)])


def held_out_scenes(start: int, count: int) -> list[Scene]:
    """Held-out scenes of every shape."""
    return [
        held_out_scene(index, *SHAPES[index % len(SHAPES)]) for index in range(start, start + count)
    ]


def measure(
    model: Mask2FormerForUniversalSegmentation,
    processor: Mask2FormerImageProcessorPil,
    scenes: Sequence[Scene],
) -> tuple[np.ndarray, float]:
    """Panoptic quality of each label, and the mean intersection over union."""
    segments, areas = [], []
    for one in scenes:
        sizes = [one.label_map.shape]
        with torch.inference_mode():
            outputs = model(**processor(one.image, return_tensors="pt"))
        panoptic = processor.post_process_panoptic_segmentation(
            outputs, label_ids_to_fuse=STUFF_IDS, target_sizes=sizes
        )[0]
        classes = {item["id"]: item["label_id"] for item in panoptic["segments_info"]}
        ids = panoptic["segmentation"].numpy().astype(int)
        # Where there is no segment, transformers writes 0, or -1 if the picture has none at all.
        places = np.searchsorted(sorted(classes), ids)
        predicted = Segmentation(
            np.where(ids > 0, places, -1), np.array([classes[key] for key in sorted(classes)], int)
        )
        segments.append((Segmentation(one.label_map, one.classes), predicted))
        best = processor.post_process_semantic_segmentation(outputs, target_sizes=sizes)[0]
        areas.append((one.classes[one.label_map], best.numpy()))
    return panoptic_quality(segments, len(LABELS)), mean_iou(areas, len(LABELS))


def main() -> None:
    """Train, score on the held-out scenes, save."""
    options = parse_options("Train the segmenter.", CHECKPOINTS / "segments", epochs=14)
    seed_everything(options)
    processor = make_processor()
    model = make_model()
    print(f"{sum(weight.numel() for weight in model.parameters())} weights")
    watched = held_out_scenes(1000, 18)  # not among those of the result

    def score(epoch: int) -> str:
        if epoch % 2 == 0:
            return ""
        model.save_pretrained(options.out)  # so that a run cut short is not lost
        qualities, overlap = measure(model, processor, watched)
        each = " ".join(
            f"{name} {quality:.2f}" for name, quality in zip(LABELS, qualities, strict=True)
        )
        return f"panoptic quality {np.nanmean(qualities):.3f} ({each}) mean IoU {overlap:.3f}"

    seconds = fit(
        model,
        lambda epoch: training_batches(processor, options.seed, epoch),
        epochs=options.epochs,
        steps_per_epoch=STEPS,
        peak_rate=8e-4,
        after_epoch=score,
    )
    model.save_pretrained(options.out)
    processor.save_pretrained(options.out)
    # What was saved is measured, not what is in memory.
    saved = Mask2FormerForUniversalSegmentation.from_pretrained(options.out).eval()
    restored = Mask2FormerImageProcessorPil.from_pretrained(options.out)
    qualities, overlap = measure(saved, restored, held_out_scenes(0, HELD_OUT))
    metrics = {
        "metric": "panoptic quality",
        "value": round(float(np.nanmean(qualities)), 4),
        "per_label": {
            name: round(float(quality), 4) for name, quality in zip(LABELS, qualities, strict=True)
        },
        "mean_iou": round(overlap, 4),
        "stuff": list(STUFF),
        "held_out": "generated scenes with other seeds and with digits not used in training",
        "held_out_size": HELD_OUT,
        "train_size": options.epochs * STEPS * BATCH,
        "epochs": options.epochs,
        "train_seconds": round(seconds),
    }
    write_metrics(options.out, metrics)


if __name__ == "__main__":
    main()
