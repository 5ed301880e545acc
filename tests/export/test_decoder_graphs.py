"""Decoder graphs against transformers: prompts of several lengths, beams and drafts over slots.

Every text is also read by the original, alone and whole; its scores are what must come out.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import transformers

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import Array
from onnxtasks_export.capture import capture, module_outputs
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.causal_decoder import causal_graphs
from onnxtasks_export.graphs.decoder_parts import RmsNorm, plain_parts
from onnxtasks_export.graphs.relative_positions import RelativeBias
from onnxtasks_export.graphs.sequence_decoder import sequence_graphs
from tests.generation_checkpoints import CAUSAL, GENERATORS

LOWEST = np.finfo(np.float32).min
CAPACITY = 90
LONG, SHORT = 66, 4  # tokens of two prompts that are read together
Run = Callable[[dict[str, Array]], dict[str, Array]]


SCORES = ("logits", "log_probs", "top_scores", "top_ids")


@dataclass
class Written:
    """A random checkpoint and its graphs."""

    name: str
    model: Any
    graphs: dict[str, Graph]
    window: int | None
    files: dict[str, Path] = field(default_factory=dict)


@pytest.fixture(autouse=True)
def one_thread():
    """Products of this size are done before a second thread has begun."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    made: dict[str, Written] = {}

    def find(name: str) -> Written:
        if name not in made:
            made[name] = write(name, tmp_path_factory.mktemp(name))
        return made[name]

    return find


def write(name: str, folder: Path) -> Written:
    torch.manual_seed(zlib.crc32(name.encode()))
    GENERATORS[name](folder)
    kind = "CausalLM" if name in CAUSAL else "Seq2SeqLM"
    model = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(folder).eval()
    make = causal_graphs if name in CAUSAL else sequence_graphs
    graphs = make(Checkpoint(str(folder), "text-generation", model.config, model), None)
    window = getattr(model.config, "sliding_window", None)
    return Written(name, model, graphs, window)


@dataclass
class Texts:
    """Texts of two sentences whose tokens take slots; what each new token sees is written out."""

    run: Run
    original: Any
    inputs: tuple[str, ...]
    window: int | None
    fixed: dict[str, Array]
    slots: list[list[tuple[int, int]]] = field(default_factory=lambda: [[], []])
    """A sentence: (token, position) of each slot."""

    def read(
        self, tokens: list[list[int]], pasts: list[list[list[int]]], rows: list[list[int]]
    ) -> list[list[list[int]]]:
        """Read a run of tokens and compare rows' scores with the original's.

        Args:
            tokens: A sentence: new tokens, as many in each.
            pasts: A sentence: for each new token the slots that it sees beside its own.
            rows: A sentence: the new tokens whose scores are compared.

        Returns:
            For each new token the slots that a follower of it sees.
        """
        filled, row = len(self.slots[0]), len(tokens[0])
        followers = [
            [[*seen, filled + at] for at, seen in enumerate(sentence)] for sentence in pasts
        ]
        positions = np.array([[len(seen) for seen in sentence] for sentence in pasts])
        for slots, new, places in zip(self.slots, tokens, positions.tolist(), strict=True):
            slots += zip(new, places, strict=True)
        bias = np.full((2, 1, row, filled + row), LOWEST, np.float32)
        near = bias.copy()
        for sentence, at in np.ndindex(2, row):
            seen = followers[sentence][at]
            bias[sentence, 0, at, seen] = 0
            near[sentence, 0, at, seen[-(self.window or len(seen)) :]] = 0
        self.fixed |= {
            "input_ids": np.array(tokens),
            "positions": positions,
            "slot_positions": np.array([[at for _, at in slots] for slots in self.slots]),
            "attention_bias": bias,
            "window_bias": near,
            "filled": np.array([filled], np.int32),
            "read": np.array(rows),
            "top": np.array([3]),
        }
        outputs = self.run({name: self.fixed[name] for name in self.inputs})
        self.fixed |= {
            name.removeprefix("new_"): outputs[name] for name in outputs if name.startswith("new_")
        }
        self.compare(outputs, followers, rows)
        return followers

    def compare(
        self,
        outputs: dict[str, Array],
        followers: list[list[list[int]]],
        rows: list[list[int]],
    ) -> None:
        for sentence, compared in enumerate(rows):
            for at, row in enumerate(compared):
                text = [self.slots[sentence][slot][0] for slot in followers[sentence][row]]
                expected = self.original(sentence, text)
                got = outputs["logits"][sentence, at]
                far = np.abs(got - expected).max() / max(1.0, np.abs(expected).max())
                assert far < 1e-4, (sentence, at, far)
                scores = torch.log_softmax(torch.from_numpy(expected), -1)
                best, ids = scores.topk(3)
                np.testing.assert_allclose(outputs["top_scores"][sentence, at], best, atol=1e-3)
                assert outputs["top_ids"][sentence, at].tolist() == ids.tolist()


def texts(made: Written, run: Run, encode: Run | None) -> Texts:
    """Two sentences with nothing read yet; of an encoder-decoder, with two sources."""
    graph, model = made.graphs["decoder"], made.model
    axes = graph.inputs["keys.0"]
    layers = sum(name.startswith("keys.") for name in graph.inputs)
    empty = np.zeros((2, int(axes[1]), CAPACITY, int(axes[3])), np.float32)
    fixed: dict[str, Array] = {
        f"{name}.{layer}": empty.copy() for name in ("keys", "values") for layer in range(layers)
    }
    sources: list[list[int]] = [[], []]
    if encode is not None:
        pad = model.config.pad_token_id
        sources = [[5, 9, 31, 7, 44, 8, 12, 2], [90, 17, 6]]
        mask = np.array([[1] * 8, [1] * 3 + [0] * 5])
        ids = np.array([sources[0], [*sources[1], *[pad] * 5]])
        fixed |= encode({"input_ids": ids, "attention_mask": mask})
        fixed["source_bias"] = np.where(mask == 1, np.float32(0), LOWEST)[:, None, None]

    def original(sentence: int, text: list[int]) -> Array:
        given = {"input_ids": torch.tensor([text])}
        if encode is not None:
            given = {
                "input_ids": torch.tensor([sources[sentence]]),
                "decoder_input_ids": torch.tensor([text]),
            }
        with torch.no_grad():
            found: Array = model(**given).logits[0, -1].numpy()
        return found

    return Texts(run, original, tuple(graph.inputs), made.window, fixed)


def read_beams_and_drafts(started: Texts) -> None:
    """A prompt of each length; three rows a sentence; rows that change parents; a chain."""
    rng = np.random.default_rng(4)
    words = 150

    def tokens(count: int) -> list[list[int]]:
        return [[int(token) for token in row] for row in rng.integers(3, words, (2, count))]

    lengths = (LONG, SHORT)
    # Padding after the shorter text sees that text, and nothing else sees the padding.
    chains = [[list(range(min(at, length))) for at in range(LONG)] for length in lengths]
    after = started.read(tokens(LONG), chains, [[length - 1] for length in lengths])
    ends = [after[sentence][length - 1] for sentence, length in enumerate(lengths)]
    beams = started.read(tokens(3), [[end] * 3 for end in ends], [[0, 2]] * 2)
    beams = started.read(
        tokens(3), [[beams[0][i] for i in (1, 1, 0)], beams[1]], [[0, 1, 2], [2, 1, 0]]
    )
    beams = started.read(
        tokens(2), [[beams[0][i] for i in (2, 0)], [beams[1][i] for i in (1, 1)]], [[0, 1]] * 2
    )
    filled = len(started.slots[0])
    drafts = [[[*rows[0], *range(filled, filled + at)] for at in range(4)] for rows in beams]
    started.read(tokens(4), drafts, [[0, 3]] * 2)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_family_reads_its_slots_as_the_original_reads_whole_texts(written, name):
    made = written(name)
    graphs = made.graphs
    encode = partial(module_outputs, graphs["encoder"]) if "encoder" in graphs else None
    read_beams_and_drafts(texts(made, partial(module_outputs, graphs["decoder"]), encode))


class SharedBuffers:
    """Runs a captured decoder as the runtime does: new slots are written where the old ones are."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.buffers: dict[str, Any] = {}

    def __call__(self, feeds: dict[str, Array]) -> dict[str, Array]:
        binding = self.session.io_binding()
        for name, array in feeds.items():
            if name.startswith(("keys.", "values.")):
                value = self.buffers.setdefault(
                    name, onnxruntime.OrtValue.ortvalue_from_numpy(array)
                )
                binding.bind_ortvalue_input(name, value)
                binding.bind_ortvalue_output(f"new_{name}", value)
            else:
                binding.bind_cpu_input(name, array)
        for name in SCORES:
            binding.bind_output(name)
        self.session.run_with_iobinding(binding)
        values = zip(self.order(feeds), binding.get_outputs(), strict=True)
        return {name: value.numpy() for name, value in values}

    def order(self, feeds: dict[str, Array]) -> list[str]:
        slots = [f"new_{name}" for name in feeds if name.startswith(("keys.", "values."))]
        return [*slots, *SCORES]


def captured(made: Written, role: str, folder: Path) -> Path:
    if role not in made.files:
        made.files[role] = folder / f"{made.name}-{role}.onnx"
        capture(made.graphs[role], made.files[role])  # which also checks it at several sizes
    return made.files[role]


@pytest.mark.parametrize("name", ["gpt2-text", "qwen2-sliding-text", "t5-rewriter"])
def test_captured_graphs_read_beams_and_drafts_in_place(written, name, tmp_path):
    made = written(name)
    encode = None
    if "encoder" in made.graphs:
        encoder = onnxruntime.InferenceSession(captured(made, "encoder", tmp_path))
        names = list(made.graphs["encoder"].outputs)

        def encode(feeds):
            return dict(zip(names, encoder.run(names, feeds), strict=True))

    path = captured(made, "decoder", tmp_path)
    read_beams_and_drafts(texts(made, SharedBuffers(path), encode))
    check_weights(made, path)
    check_step(path)


def check_weights(made: Written, path: Path) -> None:
    """A head that is tied to the embedding is one array in the file."""
    model = ir.load(path)
    tables = [
        value.name
        for value in model.graph.initializers.values()
        if value.shape is not None
        and made.model.get_output_embeddings().weight.shape[0] in value.shape
    ]
    tied = bool(made.model.config.tie_word_embeddings)
    assert len(tables) == (1 if tied else 2), tables


def check_step(path: Path) -> None:
    """No weight is turned round at run time, and the engine finds what it can fuse."""
    model = ir.load(path)
    turned = [
        node.name
        for node in model.graph
        if node.op_type == "Transpose" and node.inputs[0] in model.graph.initializers.values()
    ]
    assert not turned
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".fused.onnx"))
    options.log_severity_level = 3  # it says that such a file fits one machine
    onnxruntime.InferenceSession(path, options)
    left = {node.op_type for node in ir.load(options.optimized_model_filepath).graph}
    assert "MultiHeadAttention" in left
    assert not left & {"Pow", "Tanh", "Erf", "Sqrt", "Log"}


def tiny(kind: str, **changes: Any) -> Any:
    settings = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2} | changes
    config = transformers.AutoConfig.for_model(kind, **settings)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def refusal(model: Any) -> str:
    with pytest.raises(UnsupportedModelError) as refused:
        causal_graphs(Checkpoint("x", "text-generation", model.config, model), None)
    return str(refused.value)


LLAMA = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}


def test_softcapping_is_refused():
    message = refusal(tiny("gemma2", head_dim=8, attn_logit_softcapping=30.0, **LLAMA))
    assert message == (
        "gemma2 limits its attention scores (softcapping), which the attention operator of "
        "decoders cannot do"
    )


def test_attention_of_its_own_is_refused():
    assert refusal(tiny("bloom", n_head=4)) == (
        "bloom computes its attention itself, not through the attention interface of transformers; "
        "it cannot be exported"
    )


def test_rotary_positions_that_change_with_the_length_are_refused():
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    message = refusal(tiny("llama", rope_parameters=rope, **LLAMA))
    assert "llama has rotary positions of the kind dynamic, which change with the length" in message


def test_layers_of_other_kinds_are_refused():
    model = tiny("qwen2", **LLAMA)
    model.config.layer_types = ["full_attention", "linear_attention"]
    assert "qwen2 has layers of the kind linear_attention" in refusal(model)


def test_a_decoder_that_differs_is_refused():
    """A family whose code does more than what is read of it: here, something after its head."""
    model = tiny("llama", **LLAMA)
    head = model.get_output_embeddings()
    head.register_forward_hook(lambda module, inputs, logits: logits + 1)
    assert "its logits are" in refusal(model)


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize(("buckets", "far"), [(32, 128), (8, 20)])
def test_relative_positions_are_t5s_at_any_distance(decoder, buckets, far):
    config = transformers.T5Config(
        d_model=16,
        d_kv=4,
        num_heads=3,
        relative_attention_num_buckets=buckets,
        relative_attention_max_distance=far,
        is_decoder=decoder,
    )
    attention = transformers.models.t5.modeling_t5.T5Attention(config, True, layer_idx=0)
    torch.nn.init.normal_(attention.relative_attention_bias.weight)
    with torch.no_grad():
        expected = attention.compute_bias(300, 300)
        places = torch.arange(300)[None]
        found = RelativeBias(attention)(places, places)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("family", ["llama", "gemma", "t5"])
def test_norms_keep_their_values(family):
    if family == "t5":
        config = transformers.T5Config(d_model=24, d_ff=32, num_layers=1, num_heads=2, d_kv=8)
        model = transformers.T5EncoderModel(config)
    else:
        model = tiny(family, **LLAMA, head_dim=8)
    norms = [part for part in model.modules() if "Norm" in type(part).__name__]
    for norm in norms:
        torch.nn.init.normal_(norm.weight)
    hidden = torch.randn(3, 5, norms[0].weight.shape[0])
    expected = [norm(hidden) for norm in norms]
    plain_parts(model)
    plain = [part for part in model.modules() if isinstance(part, RmsNorm)]
    assert len(plain) == len(norms)
    for norm, value in zip(plain, expected, strict=True):
        torch.testing.assert_close(norm(hidden), value, atol=1e-5, rtol=1e-5)
