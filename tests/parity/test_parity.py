"""Every exported family against transformers itself, on inputs that its export did not see."""

import warnings

import numpy as np
import pytest

from onnxtasks_export import verify
from onnxtasks_export.pipeline import load_checkpoint
from tests.checkpoints import CHECKPOINTS, TASK_OF

BOTH = (
    *("bert", "bert-multi-label", "bert-regression", "convnext", "distilbert", "vit"),
    *("wav2vec2-group", "wav2vec2-layer"),
)
"""Checkpoints whose int8 form is replayed here."""


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_fp32_agrees_with_the_original(name, exported, checkpoint_folder, ran, request):
    folder, report = exported(name)
    checkpoint, export = load_checkpoint(str(checkpoint_folder(name)), TASK_OF.get(name))
    comparison = export.comparison(checkpoint)
    graphs = tuple(export.graphs(checkpoint, export.spec(checkpoint)).values())
    seeds = range(100, 120) if request.config.getoption("--exhaustive") else [100]
    for seed in seeds:
        samples = comparison.samples(np.random.default_rng(seed))
        expected = verify.ask_original(comparison, graphs, samples)
        found = verify.compare(folder, "cpu-fp32", comparison, expected)
        verify.check("cpu-fp32", found, exact=True, tolerance=verify.SCORE_TOLERANCE)
        assert found.same == 1
        outputs = [array for case in expected.cases for array in case.outputs.values()]
        scale = max(1.0, *(float(np.abs(array).max()) for array in outputs))
        assert found.reference_difference <= 1e-4 * scale
        best = [answer.scores.max() for answer in expected.answers]
        assert np.ptp(best) > 1e-3  # else a constant would agree
    ran(name, report, graphs[0])


@pytest.mark.parametrize("name", BOTH)
def test_int8_stays_within_its_stated_divergence(name, exported):
    folder, report = exported(name)
    from onnxtasks.verification import verify_bundle

    int8 = report.variants["cpu-int8"]
    assert 0 < int8.divergence <= int8.tolerance
    assert int8.bytes < report.variants["cpu-fp32"].bytes
    checks = {check.variant: check for check in verify_bundle(folder)}
    assert {name: check.ok for name, check in checks.items()} == dict.fromkeys(checks, True)
    assert list(checks) == ["cpu-fp32", "cpu-int8"]


def test_a_long_text_is_cut_as_the_original_cuts(exported, checkpoint_folder):
    import onnxtasks

    checkpoint, export = load_checkpoint(str(checkpoint_folder("bert")), None)
    original = export.comparison(checkpoint).original
    text = "the film was not good, very slow ending. " * 30
    task = onnxtasks.load(exported("bert")[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", onnxtasks.TruncationWarning)
        answers = [task(item, top_k=None) for item in (text, (text, "good"), (text, text))]
    for found, item in zip(answers, (text, (text, "good"), (text, text)), strict=True):
        scores = [label.score for label in sorted(found, key=lambda label: label.index)]
        np.testing.assert_allclose(scores, original(item).scores[0], atol=1e-4)
