"""A loaded task answers from many threads at once as it answers alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import onnxtasks
from onnxtasks_export.pipeline import load_checkpoint


@pytest.mark.filterwarnings("ignore::onnxtasks.TruncationWarning")
@pytest.mark.parametrize("name", ["bert", "vit", "wav2vec2-layer"])
def test_threads_share_a_task(name, exported, checkpoint_folder):
    checkpoint, export = load_checkpoint(str(checkpoint_folder(name)), None)
    items = list(export.comparison(checkpoint).samples(np.random.default_rng(5)))
    with onnxtasks.load(exported(name)[0]) as task:
        alone = [task(item) for item in items]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(task, items * 6))
            batches = list(pool.map(lambda _: list(task.map(items)), range(8)))
    assert together == alone * 6
    for answers in batches:
        assert [key(answer) for answer in answers] == [key(answer) for answer in alone]


def key(answer):
    if isinstance(answer, onnxtasks.Transcript):
        return answer.to_dict()["text"]
    return [(label.index, pytest.approx(label.score, abs=1e-5)) for label in answer]
