"""Whisper's graphs against transformers: texts, times, probabilities and what heads look at."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from tokenizers import Tokenizer

from onnxtasks.devices import resolve
from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import OrtSession
from onnxtasks.speech.whisper_spec import WhisperSpec
from onnxtasks.tasks.whisper_speech import WhisperRecognizer
from onnxtasks_export.capture import capture, module_outputs
from onnxtasks_export.checkpoint import (
    Checkpoint,
    load_config,
    load_feature_extractor,
    load_model,
    load_tokenizer,
)
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.decoder import alignment_weights
from onnxtasks_export.originals import whisper
from onnxtasks_export.originals.base import Answer, total_variation
from onnxtasks_export.precision import convert
from onnxtasks_export.quiet import quiet
from onnxtasks_export.speech import (
    speech_comparison,
    speech_graphs,
    speech_spec,
    write_speech_files,
)
from tests.speech_checkpoints import WHISPER_CHECKPOINTS

CAPTURED = ("whisper", "whisper-en", "whisper-turbo", "whisper-old")


@dataclass
class Made:
    """A random checkpoint, its graphs, and a bundle's folder."""

    checkpoint: Checkpoint
    spec: WhisperSpec
    graphs: dict[str, Graph]
    folder: Path

    def task(self, precision: str = "fp32") -> WhisperRecognizer:
        """The runtime's task on the graphs of a precision."""
        cpu = resolve("cpu", ("CPUExecutionProvider",))
        sessions = {}
        for role in self.graphs:
            path, exact = (self.folder / f"{kind}.{role}.onnx" for kind in (precision, "fp32"))
            if not exact.exists():
                capture(self.graphs[role], exact)  # which also checks it at several sizes
            if not path.exists():
                convert(exact, path, precision, role)
            sessions[role] = OrtSession(path, cpu, 1)
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        return WhisperRecognizer(sessions["encoder"], sessions["decoder"], self.spec, tokenizer)


@pytest.fixture(autouse=True)
def one_thread():
    """Products of this size are done before a second thread has begun."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    found: dict[str, Made] = {}

    def find(name: str) -> Made:
        if name not in found:
            found[name] = make(name, tmp_path_factory.mktemp(name))
        return found[name]

    return find


def make(name: str, folder: Path) -> Made:
    torch.manual_seed(zlib.crc32(name.encode()))
    source = folder / "checkpoint"
    source.mkdir()
    WHISPER_CHECKPOINTS[name](source)
    processors = {
        "feature_extractor": load_feature_extractor(str(source)),
        "tokenizer": load_tokenizer(str(source)),
    }
    model, _ = load_model(str(source), "AutoModelForSpeechSeq2Seq")
    config = load_config(str(source))
    checkpoint = Checkpoint(str(source), "automatic-speech-recognition", config, model, processors)
    spec = speech_spec(checkpoint)
    assert isinstance(spec, WhisperSpec)
    write_speech_files(checkpoint, folder)
    return Made(checkpoint, spec, speech_graphs(checkpoint, spec), folder)


def asked(found: Made, count: int) -> tuple[list[Any], list[Answer], Any]:
    """Some recordings, the original's answers, and how to ask a bundle."""
    comparison = speech_comparison(found.checkpoint)
    items = list(comparison.samples(np.random.default_rng(5)))[:count]
    with quiet():
        return items, [comparison.original(item) for item in items], comparison


@pytest.mark.parametrize("name", CAPTURED)
def test_a_bundle_writes_what_the_original_writes(made, name):
    found = made(name)
    items, expected, comparison = asked(found, 6)
    assert len({answer.key for answer in expected}) > 3  # texts depend on what is heard
    task = found.task()
    for size in (1, 4):
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        answers = [answer for batch in batches for answer in comparison.bundle(task, batch)]
        for one, other in zip(expected, answers, strict=True):
            assert one.key == other.key
            assert comparison.far(one, other) < 1e-4


def test_alignment_is_the_attention_of_the_named_heads(made):
    found = made("whisper")
    _, expected, _ = asked(found, 1)
    weights = expected[0].detail
    assert weights.shape[0] == len(found.spec.alignment_heads) == 3
    assert weights.shape[2] == found.spec.max_source_positions
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert np.abs(weights[0] - weights[1]).max() > 1e-3  # heads differ
    assert np.abs(np.diff(weights, axis=1)).max() > 1e-3  # and tokens


def test_alignment_of_beams_has_a_row_for_each(made):
    graph = made("whisper").graphs["decoder"]
    feeds = graph.feeds(graph.sizes[0], np.random.default_rng(1))
    found = module_outputs(graph, feeds)["alignment"]
    assert found.shape == (2, 3, 5, 7)  # sentences, heads, rows, positions of the source
    turned = dict(feeds)
    for name in [name for name in feeds if name.startswith(("keys", "values", "source"))]:
        turned[name] = np.ascontiguousarray(feeds[name][::-1])
    for name in ("input_ids", "positions", "attention_bias", "read"):
        turned[name] = np.ascontiguousarray(feeds[name][::-1])
    again = module_outputs(graph, turned)["alignment"]
    np.testing.assert_allclose(again[::-1], found, atol=1e-5)


def test_heads_come_in_their_order():
    weights = [torch.tensor([[[[10.0 * layer + head]] for head in range(3)]]) for layer in range(2)]
    found = alignment_weights(weights, [(1, 2), (1, 0), (0, 1), (1, 1)])
    assert found.flatten().tolist() == [12, 10, 1, 11]


def test_alignment_adds_no_attention_of_its_own(made):
    """Only what picks heads out of weights that are there: one operator a layer, and a join."""

    def operators(name: str) -> dict[str, int]:
        found = made(name)
        found.task()
        nodes = ir.load(found.folder / "fp32.decoder.onnx").graph
        kinds = [node.op_type for node in nodes]
        return {kind: kinds.count(kind) for kind in set(kinds)}

    with_it, without = operators("whisper"), operators("whisper-old")  # the same sizes
    more = {kind: count - without.get(kind, 0) for kind, count in with_it.items()}
    assert {kind: count for kind, count in more.items() if count} == {"Gather": 3, "Concat": 1}


def test_a_checkpoint_without_alignment_heads_has_no_such_output(made):
    assert "alignment" not in made("whisper-old").graphs["decoder"].outputs


def test_nothing_hides_the_source(made):
    """The bias of the source is an input of every decoder; Whisper's has no use for it."""
    graph = made("whisper-turbo").graphs["decoder"]
    feeds = graph.feeds(graph.sizes[0], np.random.default_rng(1))
    plain = feeds | {"source_bias": np.zeros_like(feeds["source_bias"])}
    expected, got = module_outputs(graph, plain), module_outputs(graph, feeds)
    np.testing.assert_array_equal(got["logits"], expected["logits"])


def test_the_encoder_has_as_many_frames_as_it_has_positions_for(made):
    graph = made("whisper-turbo").graphs["encoder"]
    assert graph.inputs == {"input_features": ("batch", 128, 200)}
    assert graph.outputs["source_keys.0"] == ("batch", 4, 8, 100)
    assert graph.outputs["source_values.0"] == ("batch", 4, 100, 8)
    assert list(graph.outputs) == ["source_keys.0", "source_values.0"]  # one layer decodes


@pytest.mark.parametrize("precision", ["int8", "w8"])
def test_other_precisions_stay_near(made, precision):
    found = made("whisper")
    items, expected, comparison = asked(found, 3)
    answers = comparison.bundle(found.task(precision), items)
    moved = [total_variation(one, other) for one, other in zip(expected, answers, strict=True)]
    assert 0 < max(moved) < 0.1


def test_the_original_stays_as_it_was(made):
    found = made("whisper")
    before = found.checkpoint.model.config._attn_implementation
    asked(found, 1)
    assert found.checkpoint.model.config._attn_implementation == before
    assert type(found.checkpoint.model.model.decoder).__name__ == "WhisperDecoder"


def test_marks_and_times_are_no_text(made):
    found = made("whisper")
    tokenizer = Tokenizer.from_file(str(found.folder / "tokenizer.json"))
    text = " my sister found the river"
    ids = tokenizer.encode(text).ids
    assert max(ids) < found.spec.end_token  # nothing is added
    spec = found.spec
    marked = [spec.start_token, spec.languages["en"], spec.timestamp_begin, *ids]
    marked += [spec.timestamp_begin + 7, spec.end_token]
    assert tokenizer.decode(marked, skip_special_tokens=True) == text
    assert "<|0.14|>" in tokenizer.decode(marked, skip_special_tokens=False)


def test_a_tokenizer_without_a_fast_form_is_refused(made, tmp_path):
    found = made("whisper")

    class Slow:
        is_fast = False

    slow = Checkpoint(
        "x",
        "automatic-speech-recognition",
        found.checkpoint.config,
        found.checkpoint.model,
        {"tokenizer": Slow()},
    )
    with pytest.raises(UnsupportedModelError) as refused:
        write_speech_files(slow, tmp_path)
    assert str(refused.value) == ("Slow has no fast form (tokenizer.json), which a bundle needs")


def test_another_task_is_no_whisper(made):
    comparison = whisper.comparison(made("whisper").checkpoint)
    with pytest.raises(TypeError, match="not a WhisperRecognizer: object"):
        comparison.bundle(object(), [])  # type: ignore[arg-type]  # what it refuses
