"""CTC in chunks and live, against transformers' AutomaticSpeechRecognitionPipeline."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers.pipelines import AutomaticSpeechRecognitionPipeline

from onnxtasks.ops.scores import Float
from onnxtasks.session import Feeds, Outputs
from onnxtasks.tasks.speech_recognition import SpeechRecognizer, Transcript
from onnxtasks_export.graphs.ctc import ctc_graph
from onnxtasks_export.originals.speech_recognition import recordings, spec_of
from onnxtasks_export.pipeline import load_checkpoint

RATE, STEP = 16000, 320
CHUNKS = [(1.0, None), (1.5, 0.1), (2.0, (0.5, 0.2)), (0.7, (0.0, 0.1)), (9.0, None)]
"""Seconds of a chunk and its strides; the last one is longer than any recording."""
REMAINDERS = (0, 1, 79, 81, 159, 160, 161, 241, 319)
"""Samples beyond the last whole frame step: where rounding and the receptive field part."""


class Pair:
    """The same checkpoint as a pipeline and as our task; its graph runs in torch."""

    def __init__(self, folder: str) -> None:
        checkpoint, _ = load_checkpoint(folder, None)
        self.spec = spec_of(checkpoint)
        self.graph = ctc_graph(checkpoint, self.spec)
        self.pipeline = AutomaticSpeechRecognitionPipeline(
            model=checkpoint.model,
            tokenizer=checkpoint.processors["tokenizer"],
            feature_extractor=checkpoint.processors["feature_extractor"],
            device="cpu",
        )
        self.task = SpeechRecognizer(self, self.spec)

    def run(self, feeds: Feeds, outputs: object = None) -> Outputs:
        with torch.inference_mode():
            logits = self.graph.module(*(torch.from_numpy(feeds[n]) for n in self.graph.inputs))
        return {"logits": logits.numpy()}

    def original(self, sound: Float, **options: Any) -> list[Any]:
        answers = [
            self.pipeline({"raw": sound, "sampling_rate": RATE}, return_timestamps=kind, **options)
            for kind in ("word", "char")
        ]
        return [answers[0]["text"], *([plain(part) for part in one["chunks"]] for one in answers)]


def plain(chunk) -> tuple[str, float, float]:
    start, end = chunk["timestamp"]
    return chunk["text"], float(start), float(end)


def answer(heard: Transcript) -> list[Any]:
    kinds = (heard.words, heard.characters)
    return [heard.text, *([(span.text, span.start, span.end) for span in kind] for kind in kinds)]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.fixture(scope="module")
def pairs(checkpoint_folder) -> dict[str, Pair]:
    names = ("wav2vec2-group", "wav2vec2-layer")
    return {name: Pair(str(checkpoint_folder(name))) for name in names}


def sounds() -> list[Float]:
    """Chirps and noise of 2 to 5 seconds, of every remainder."""
    rng = np.random.default_rng(11)
    parts: list[Any] = recordings(RATE, rng)
    long = np.concatenate([samples for samples, _ in reversed(parts)])
    lengths = [(100 + 20 * index) * STEP + rest for index, rest in enumerate(REMAINDERS)]
    return [long[2000 * index :][:length] for index, length in enumerate(lengths)]


@pytest.mark.parametrize("name", ["wav2vec2-group", "wav2vec2-layer"])
@pytest.mark.parametrize(("chunk", "stride"), CHUNKS)
@pytest.mark.parametrize("budget", [0.1, 5.0])
def test_chunks_are_transcribed_as_the_pipeline_does(pairs, name, chunk, stride, budget):
    pair = pairs[name]
    items = sounds()
    expected = [pair.original(item, chunk_length_s=chunk, stride_length_s=stride) for item in items]

    heard = pair.task.predict(
        [(item, RATE) for item in items],
        chunk_seconds=chunk,
        stride_seconds=stride,
        budget=budget,
    )

    assert [answer(one) for one in heard] == expected
    assert min(len(one[0]) for one in expected) > 20
    assert len({one[0] for one in expected}) == len(expected)


@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_batches_of_the_pipeline_say_the_same(pairs, batch_size):
    # Where it batches a shorter last chunk the pipeline keeps a frame of padding; with these
    # remainders there is none.
    pair = pairs["wav2vec2-layer"]
    rests = {80, 81, 100, 159}
    items = [sounds()[-1][: 140 * STEP + rest] for rest in sorted(rests)]
    options = {"chunk_length_s": 1.0, "batch_size": batch_size}

    heard = pair.task.predict([(item, RATE) for item in items], chunk_seconds=1.0)

    assert [answer(one) for one in heard] == [pair.original(item, **options) for item in items]


@pytest.mark.parametrize("name", ["wav2vec2-group", "wav2vec2-layer"])
@pytest.mark.parametrize(("chunk", "stride"), CHUNKS[:4])
def test_live_words_are_those_of_the_pipeline(pairs, name, chunk, stride):
    pair = pairs[name]
    for item in sounds()[::3]:
        words = pair.task.stream(
            np.array_split(item, 7), RATE, chunk_seconds=chunk, stride_seconds=stride
        )
        original = pair.original(item, chunk_length_s=chunk, stride_length_s=stride)
        assert [(word.text, word.start, word.end) for word in words] == original[1]


def test_a_recording_beyond_the_limit_is_cut_as_the_pipeline_cuts(pairs):
    pair = pairs["wav2vec2-group"]
    sound = np.tile(np.concatenate(sounds()), 5)[: 121 * RATE]

    heard = pair.task((sound, RATE))

    assert answer(heard) == pair.original(sound, chunk_length_s=7)
