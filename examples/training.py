"""What the training scripts share: options, seeds, the training loop, metrics.json."""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

EXAMPLES = Path(__file__).resolve().parent
CHECKPOINTS = EXAMPLES / "checkpoints"
INPUTS = EXAMPLES / "inputs"

WARMUP = 0.1  # share of all steps

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Options:
    """The command line of a training script."""

    out: Path
    epochs: int
    threads: int
    seed: int
    start: Path | None = None  # checkpoint to go on from


def parse_options(description: str, out: Path, epochs: int, can_continue: bool = False) -> Options:
    """Read the command line; `out` and `epochs` are the defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=out, help="folder to write")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--threads", type=int, default=2, help="torch CPU threads")
    parser.add_argument("--seed", type=int, default=0)
    if can_continue:
        parser.add_argument("--start", type=Path, help="checkpoint to go on from")
    return Options(**vars(parser.parse_args()))


def seed_everything(options: Options) -> None:
    """Fix every random generator the scripts use, and the thread count."""
    random.seed(options.seed)
    np.random.seed(options.seed)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)


def prepare_attention(
    positions: nn.Embedding, heads: Iterable[tuple[nn.Linear, nn.Linear]]
) -> None:
    """Start attention at equal and at near words, which small models are slow to find.

    Keys start equal to queries (idea: Trockman and Kolter, arXiv 2305.09828), positions as waves
    (Vaswani et al., arXiv 1706.03762) about as large as the other embeddings.

    Args:
        positions: The position embeddings, `[position, dim]`.
        heads: The projection to queries and the projection to keys of each layer.
    """
    count, width = positions.weight.shape
    dims = torch.arange(width)
    # 500 and not 10000: texts here have at most some hundred tokens.
    angles = torch.arange(count)[:, None] / 500 ** (2 * (dims // 2) / width)
    waves = torch.where(dims % 2 == 0, angles.sin(), angles.cos())
    with torch.no_grad():
        positions.weight.copy_(waves * positions.weight.std() / waves.std())
        for query, key in heads:
            key.weight.copy_(query.weight)


def learning_rate(step: int, steps: int) -> float:
    """Factor on the peak rate: linear warm-up, then a cosine down to zero."""
    start = max(1, round(steps * WARMUP))
    if step < start:
        return (step + 1) / start
    done = (step - start) / max(1, steps - start)
    return 0.5 * (1.0 + float(np.cos(np.pi * min(1.0, done))))


def fit(
    model: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    *,
    epochs: int,
    steps_per_epoch: int,
    peak_rate: float,
    weight_decay: float = 0.01,
    after_epoch: Callable[[int], str] | None = None,
) -> float:
    """Train with AdamW on the loss the model itself returns.

    Args:
        model: A Transformers model that returns `.loss` when a batch holds labels.
        batches: Gives the batches of one epoch, from the epoch's number.
        epochs: How often to go over the data.
        steps_per_epoch: Number of batches in one epoch, for the schedule.
        peak_rate: Learning rate at the end of the warm-up.
        weight_decay: As in AdamW.
        after_epoch: Text to print beside the loss, for instance a score.

    Returns:
        The training time in seconds.
    """
    started = time.perf_counter()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=peak_rate, weight_decay=weight_decay, betas=(0.9, 0.98)
    )
    steps = epochs * steps_per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, steps))
    for epoch in range(epochs):
        model.train()
        losses = []
        for batch in batches(epoch):
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        model.eval()
        note = after_epoch(epoch) if after_epoch else ""
        spent = time.perf_counter() - started
        line = f"epoch {epoch + 1}/{epochs} loss {np.mean(losses):.4f} {spent:.0f} s {note}"
        print(line, flush=True)
    model.eval()
    return time.perf_counter() - started


def write_metrics(folder: Path, metrics: Mapping[str, object]) -> None:
    """Print the metrics and write them beside the checkpoint."""
    text = json.dumps(metrics, indent=2)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB")
