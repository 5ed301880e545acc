"""What a decoder's step costs beside its arithmetic, and what dropping dead beams' slots is worth.

`python -m benchmarks.slot_cache`; captures a graph with GPT-2's attention (12 layers of 12 heads
of 64) and little else, of random weights, first. The forms take turns in one thread, and times are
processor time. Prints two Markdown tables: the time of a reader in Python, and how long beam
searches take when slots that no row sees stay or are dropped.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from onnxtasks.devices import resolve
from onnxtasks.generation import cache
from onnxtasks.generation.decoder import GraphReader
from onnxtasks.generation.spec import DecoderSpec
from onnxtasks.session import Feeds, OrtBinding, OrtSession, Outputs, StepSession

THREADS, ROUNDS, BEAMS = 1, 3, 4
SPEC = DecoderSpec(layers=12, kv_heads=12, head_size=64, words=100, room=2048)
READERS = ((1, 1, 128), (1, 1, 1000), (8, 1, 128), (8, 1, 1000), (1, 4, 500), (8, 4, 500))
SEARCHES = ((1, 16, 64), (1, 16, 256), (1, 128, 256), (8, 64, 64))
CHANCES = (0.5, 0.25, 0.15, 0.1)
"""How often a beam goes on from the best, the second, ... of the step before."""


def make(path: Path) -> None:
    """Capture the graph."""
    import torch
    import transformers

    from onnxtasks_export.capture import capture
    from onnxtasks_export.checkpoint import Checkpoint
    from onnxtasks_export.graphs.causal_decoder import causal_graphs

    torch.manual_seed(0)
    config = transformers.GPT2Config(n_inner=64, vocab_size=SPEC.words, n_positions=SPEC.room)
    model = transformers.GPT2LMHeadModel(config).eval()
    checkpoint = Checkpoint("made here", "text-generation", config, model)
    capture(causal_graphs(checkpoint, None)["decoder"], path)


def opened(session: StepSession, batch: int, prompt: int, expected: int) -> GraphReader:
    """A reader that has read a prompt."""
    reader = GraphReader(session, SPEC, expected=expected)
    reader.prompt([np.arange(prompt) % SPEC.words] * batch)
    return reader


class IdleBinding(OrtBinding):
    """Binds, but runs nothing."""

    def run(self, outputs: Sequence[str]) -> None:
        """Do nothing."""


class IdleSession:
    """A session that runs nothing: what is left is a reader's own time."""

    def __init__(self, session: OrtSession) -> None:
        """Take the inputs and outputs of a session."""
        self._session = session

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run nothing: a decoder's reader only binds."""
        return {}

    def bind(self) -> IdleBinding:
        """Give a binding that runs nothing."""
        return IdleBinding(self._session)


def reader_seconds(session: OrtSession, batch: int, rows: int, filled: int) -> float:
    """Median seconds of a step without its run."""
    found: list[float] = []
    reader = opened(IdleSession(session), batch, filled, 60 * rows)
    tokens, parents = np.ones((batch, rows), np.int64), np.zeros((batch, rows), np.int64)
    for _ in range(50):
        start = time.process_time()
        reader.step(tokens, parents)
        found.append(time.process_time() - start)
    return median(found)


def search_seconds(session: OrtSession, batch: int, prompt: int, steps: int) -> float:
    """Seconds of a beam search's steps."""
    rng = np.random.default_rng(0)
    reader = opened(session, batch, prompt, steps * BEAMS)
    tokens, parents = np.ones((batch, BEAMS), np.int64), np.zeros((batch, BEAMS), np.int64)
    start = time.process_time()
    for _ in range(steps):
        reader.step(tokens, parents)
        parents = np.sort(rng.choice(BEAMS, parents.shape, p=CHANCES), axis=1)
    return time.process_time() - start


def searches(session: OrtSession) -> None:
    """Compare searches whose unseen slots stay with others that drop them."""
    print("\n| sentences | prompt | steps | all kept, ms a step | dropped, ms a step | ratio |")
    print("|---|---|---|---|---|---|")
    worth = cache.UNSEEN
    for batch, prompt, steps in SEARCHES:
        found: dict[int, list[float]] = {10**9: [], worth: []}
        for _ in range(ROUNDS):
            for unseen, seconds in found.items():
                cache.UNSEEN = unseen
                seconds.append(search_seconds(session, batch, prompt, steps))
        kept, dropped = (1e3 * median(seconds) / steps for seconds in found.values())
        ratio = f"{kept / dropped:.2f}"
        print(f"| {batch} | {prompt} | {steps} | {kept:.1f} | {dropped:.1f} | {ratio} |")


def main() -> None:
    """Measure, and print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.onnx"
        make(path)
        session = OrtSession(path, resolve("cpu", ("CPUExecutionProvider",)), THREADS)
        print("| sentences | rows | filled | a step in Python, ms |\n|---|---|---|---|")
        for sizes in READERS:
            seconds = median(reader_seconds(session, *sizes) for _ in range(ROUNDS))
            print(f"| {' | '.join(map(str, sizes))} | {1e3 * seconds:.3f} |")
        searches(session)


if __name__ == "__main__":
    main()
