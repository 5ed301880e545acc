"""The arithmetic of `onnxtasks bench`, on written-out times, and one real measurement."""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from onnxtasks.benchmark import Sample, in_turns, measure, outside_share, peak_memory, spread
from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.session import open_sessions
from onnxtasks.tasks.base import Task
from onnxtasks.timing import count_padding, stage
from tests.runtime.tiny_graph import tiny_bundle


class Doubler(Task[float, float]):
    """Runs the tiny graph."""

    name = "doubling"
    unit = "numbers"
    budget = 8.0

    def __init__(self, session):
        self.session = session
        self.sizes = []

    @classmethod
    def from_bundle(cls, bundle, sessions):
        return cls(sessions["model"])

    def predict(self, items: Sequence[float], *, padding: int = 0) -> list[float]:
        self.sizes.append(len(items))
        if padding:
            count_padding(3 * padding, padding)
        with stage("preprocess"):
            feeds = {"x": np.array(items, np.float32)}
        with stage("run"):
            outputs = self.session.run(feeds)
        return [float(y) for y in outputs["y"]]

    def measure(self, item):
        return 1.0

    def example(self):
        return 1.5


def test_percentiles_by_hand():
    found = spread([0.4, 0.1, 0.2, 0.3, 0.5])
    assert found.median == 0.3
    assert found.p95 == pytest.approx(0.48)  # position 3.8 of 0..4
    assert found.p99 == pytest.approx(0.496)


def test_no_times_are_an_error():
    with pytest.raises(InputError, match="no call was measured"):
        spread([])


def test_the_share_outside_the_run_by_hand():
    samples = [
        Sample(1.0, {"preprocess": 0.1, "run": 0.8}),
        Sample(2.0, {"preprocess": 0.1, "run": 1.0}),
        Sample(4.0, {"run": 3.6}),
    ]
    assert outside_share(samples) == pytest.approx(0.2)


def test_rounds_alternate_their_direction():
    order: list[str] = []

    def call(name: str) -> Sample:
        order.append(name)
        return Sample(1.0, {})

    samples = in_turns({name: partial(call, name) for name in "abc"}, runs=3, seconds=60)
    assert "".join(order) == "abccbaabc"
    assert [len(found) for found in samples.values()] == [3, 3, 3]


def test_time_ends_the_rounds_but_never_before_three():
    now = iter(range(0, 1000, 10))
    calls = {"a": lambda: Sample(1.0, {}), "b": lambda: Sample(1.0, {})}
    # Read at the start (0: the end is 2 * 20) and before rounds 4 (10), 5 (20), 6 (30), 7 (40).
    samples = in_turns(calls, runs=50, seconds=20, clock=lambda: next(now))
    assert len(samples["a"]) == 6
    late = in_turns(calls, runs=50, seconds=0, clock=time.perf_counter)
    assert len(late["b"]) == 3


def test_variants_are_measured_loaded_and_closed(tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0, "cpu-int8": 2.0}))
    tasks: dict[str, Doubler] = {}

    def load(name: str) -> Doubler:
        tasks[name] = Doubler.from_opened(bundle, variant=name, threads=1)
        return tasks[name]

    rows = measure(
        {name: partial(load, name) for name in ("cpu-fp32", "cpu-int8")}, batch=3, runs=4
    )
    assert [row.variant for row in rows] == ["cpu-fp32", "cpu-int8"]
    for row in rows:
        assert (row.calls, row.batch, row.threads, row.device) == (4, 3, 1, "cpu")
        assert set(row.stages) == {"preprocess", "run"}
        assert 0 < row.stages["run"].median < row.total.median <= row.total.p99
        assert 0 < row.outside_share < 1
        assert row.items_per_second == pytest.approx(3 / row.total.median)
        assert row.load_seconds > 0 and row.first_seconds > 0
        assert row.to_dict()["total"] == {
            "median": row.total.median,
            "p95": row.total.p95,
            "p99": row.total.p99,
        }
    assert tasks["cpu-fp32"].sizes == [3] * 6  # the first call, a warm one, 4 measured
    with pytest.raises(Exception, match="closed"):
        tasks["cpu-int8"].predict([1.0])


def test_an_own_input_is_used(tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0}))
    seen: list[float] = []

    class Watching(Doubler):
        def predict(self, items: Sequence[float], *, padding: int = 0) -> list[float]:
            seen.extend(items)
            return super().predict(items, padding=padding)

    load = {"cpu-fp32": lambda: Watching.from_opened(bundle)}
    measure(load, 7.0, runs=1)
    assert set(seen) == {7.0}


def test_options_reach_the_task_and_padding_is_a_share(tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0}))
    load = {"cpu-fp32": lambda: Doubler.from_opened(bundle)}
    (row,) = measure(load, options={"padding": 5}, runs=2)
    assert row.padding_share == 0.25
    (row,) = measure(load, runs=2)
    assert row.padding_share is None


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"runs": 0}])
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(InputError, match="is 0; it is a number of at least 1"):
        measure({}, **wrong)


def test_a_failed_load_closes_what_was_loaded(tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0}))
    kept = []

    def good():
        kept.append(Doubler.from_opened(bundle))
        return kept[0]

    def bad():
        open_sessions(bundle, variant="cpu-w4")

    with pytest.raises(Exception, match="no variant 'cpu-w4'"):
        measure({"cpu-fp32": good, "cpu-w4": bad})
    with pytest.raises(Exception, match="closed"):
        kept[0].predict([1.0])


def test_peak_memory_is_in_bytes():
    before = peak_memory()
    block = np.ones(2**23)  # 64 MiB
    after = peak_memory()
    assert before is not None and after is not None
    assert after >= block.nbytes
    assert 10 * 2**20 < after < 2**40
