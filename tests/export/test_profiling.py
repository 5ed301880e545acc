"""Profiles of exported bundles: one graph, two graphs, and steps of a decoder."""

import numpy as np
import pytest

from onnxtasks.profiling import profile_bundle


def test_a_text_classifier(exported):
    folder, _ = exported("bert")
    found = profile_bundle(folder, ["one text", "another one"], repeats=2, threads=1)
    assert found.task == "text-classification" and found.inputs == 2
    assert [one.role for one in found.graphs] == ["model"]
    assert {"preprocess", "run", "postprocess"} <= {one.name for one in found.stages}
    assert "MatMul" in {one.type for one in found.operators}
    assert {one.provider for one in found.nodes} == {"CPUExecutionProvider"}
    assert sum(one.share for one in found.nodes) == pytest.approx(1)
    assert sum(one.seconds for one in found.nodes) == pytest.approx(
        sum(one.seconds for one in found.operators)
    )


def test_steps_of_a_decoder(exported):
    folder, _ = exported("gpt2-text")
    options = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
    found = profile_bundle(folder, ["one text"], options=options, repeats=2, threads=1)
    (decoder,) = found.graphs
    assert (decoder.role, decoder.runs, decoder.recorded_calls) == ("decoder", 5, 2)
    attention = [one for one in found.nodes if one.type == "MultiHeadAttention"]
    assert attention and all(one.runs == 5 for one in attention)


def test_whisper_has_two_graphs(exported):
    folder, _ = exported("whisper")
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    found = profile_bundle(
        *(folder, [(noise, 16000)]),
        options={"max_new_tokens": 4, "temperature": 0.0},
        repeats=2,
        threads=1,
    )
    runs = {one.role: one.runs for one in found.graphs}
    assert set(runs) == {"encoder", "decoder"} and runs["decoder"] > runs["encoder"] >= 1
    assert {one.graph for one in found.operators} == {"encoder", "decoder"}
    assert {one.recorded_calls for one in found.graphs} == {2}
