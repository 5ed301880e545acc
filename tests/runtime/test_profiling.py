"""Profiles: the arithmetic by hand, watched sessions, and one real session of ONNX Runtime."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from onnxtasks import profiling
from onnxtasks.errors import BundleError, DeviceError, GraphError, InputError
from onnxtasks.node_times import GraphTimes, NodeTimes, read_trace
from onnxtasks.profile_chart import profile_chart
from onnxtasks.profiling import (
    GraphProfile,
    Profile,
    StageProfile,
    nodes_of,
    operators_of,
    profile_bundle,
    stages_of,
)
from onnxtasks.tasks.base import Task
from onnxtasks.timing import stage
from onnxtasks.watched_calls import Calls, WatchedSession, measured
from tests.runtime.tiny_graph import tiny_bundle


class Doubler(Task[float, float]):
    """Runs the tiny graph twice an input."""

    name = "doubling"
    unit = "numbers"
    budget = 8.0

    def __init__(self, session):
        self.session = session

    @classmethod
    def from_bundle(cls, bundle, sessions):
        return cls(sessions["model"])

    def predict(self, items: Sequence[float], *, times: int = 1) -> list[float]:
        with stage("preprocess"):
            feeds = {"x": np.array(items, np.float32)}
        if any(item < 0 for item in items):
            raise InputError("it is below 0")
        for _ in range(2 * times):
            with stage("run"):
                outputs = self.session.run(feeds)
        return [float(y) for y in outputs["y"]]

    def measure(self, item):
        return 1.0

    def example(self):
        return 1.5


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setattr("onnxtasks.watched_calls.bundle_class", lambda bundle: Doubler)
    return tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0, "cpu-int8": 3.0})


def node(name, kind, seconds, precision="float32", runs=1.0):
    return NodeTimes(name, kind, "CPU", precision, ((1,),), 0, runs, seconds)


def graph(*nodes):
    return GraphTimes(3, 1.0, sum(one.seconds for one in nodes), 0.0, nodes)


class TestArithmetic:
    def test_stages_are_medians_and_the_rest(self):
        calls = Calls(
            seconds=[1.0, 2.0, 9.0],
            stages=[
                {"preprocess": 0.25, "run": 0.5},
                {"preprocess": 0.5, "run": 1.0},
                {"preprocess": 0.75, "run": 8.0, "postprocess": 0.125},
            ],
        )
        found = stages_of(calls)
        assert [(one.name, one.seconds) for one in found] == [
            *(("preprocess", 0.5), ("run", 1.0), ("postprocess", 0.0)),
            ("other", 0.25),  # of 0.25, 0.5 and 0.125
        ]
        assert [one.share for one in found] == pytest.approx([2 / 7, 4 / 7, 0, 1 / 7])

    def test_operators_and_nodes_of_two_graphs(self):
        graphs = {
            "encoder": graph(node("a", "MatMul", 4.0), node("b", "Add", 1.0)),
            "decoder": graph(
                node("c", "MatMul", 2.0, runs=5.0),
                node("d", "MatMul", 2.5, "float32, int8"),
                node("e", "MatMul", 0.5, runs=5.0),
            ),
        }
        nodes = nodes_of(graphs)
        assert [(one.graph, one.name) for one in nodes] == [
            *(("encoder", "a"), ("decoder", "d"), ("decoder", "c")),
            *(("encoder", "b"), ("decoder", "e")),
        ]
        assert [one.share for one in nodes] == [0.4, 0.25, 0.2, 0.1, 0.05]
        assert nodes[2].seconds_per_run == 0.4
        rows = operators_of(graphs)
        assert [(one.graph, one.type, one.precision, one.nodes, one.runs) for one in rows] == [
            ("encoder", "MatMul", "float32", 1, 1),
            ("decoder", "MatMul", "float32, int8", 1, 1),
            ("decoder", "MatMul", "float32", 2, 10),
            ("encoder", "Add", "float32", 1, 1),
        ]
        assert [one.seconds for one in rows] == [4.0, 2.5, 2.5, 1.0]
        assert sum(one.share for one in rows) == pytest.approx(1)

    def test_a_graph_without_nodes(self):
        assert operators_of({"model": graph()}) == ()

    @pytest.mark.parametrize(("recorded", "cut"), [(2, False), (1, True)])
    def test_what_is_between_the_graphs(self, recorded, cut):
        parts = [
            GraphProfile(role, 1, seconds, 0.1, recorded, 2 * seconds, 0.0)
            for role, seconds in (("encoder", 0.5), ("decoder", 0.25))
        ]
        profile = made(graphs=tuple(parts), stages=(StageProfile("run", 1.0, 0.5),))
        assert profile.outside_graphs == 0.25
        assert profile.is_cut is cut
        assert profile.seconds == 2.5


def made(graphs=(), stages=(), operators=(), nodes=()):
    calls = ((2.0, 3.0), (4.0, 5.0))
    about = ("bundle", "doubling", "Tiny", "cpu-fp32", "cpu", 1, 1)
    return Profile(*about, *calls, stages, graphs, operators, nodes)


class TestWatching:
    class Fake:
        name = "fake"

        def run(self, feeds, outputs=None):
            return {"y": feeds["x"]}

        def bind(self):
            return Binding()

    def test_runs_are_noted(self):
        session = WatchedSession(self.Fake())
        assert session.run({"x": np.array([1])}) == {"y": np.array([1])}
        binding = session.bind()
        binding.run(["y"])
        binding.set("x", 2)
        assert len(session.seconds) == 2 and min(session.seconds) >= 0
        assert session.name == "fake" and binding.given == ("x", 2)

    def test_the_first_call_is_left_out(self):
        session = WatchedSession(self.Fake())
        task = Repeating(session)
        calls = measured(
            task, {"model": session}, [3, 1], {}, names=["a", "b"], repeats=2, seconds=60
        )
        # Two items of one call share no run: 3 + 1 each time.
        assert calls.first == {"model": 4}
        assert calls.runs == {"model": [4, 4]}
        assert len(calls.seconds) == 2 and len(session.seconds) == 12

    def test_time_ends_the_calls_but_never_before_one(self):
        session = WatchedSession(self.Fake())
        now = iter(range(0, 1000, 10))
        calls = measured(
            *(Repeating(session), {"model": session}, [1], {}),
            names=["a"],
            repeats=50,
            seconds=25,
            clock=lambda: next(now),  # read at the start (0) and before calls 2 (10), 3 (20), 4
        )
        assert len(calls.seconds) == 3


class Binding:
    """Remembers what was set."""

    def set(self, name, value):
        self.given = (name, value)

    def run(self, outputs):
        pass


class Repeating(Doubler):
    """Runs as often as each input says."""

    budget = 1.0

    def predict(self, items: Sequence[int], *, times: int = 1) -> list[int]:  # type: ignore[override]
        for item in items:
            for _ in range(item):
                self.session.run({"x": item})
        return list(items)


class TestRealSession:
    def test_a_profile(self, bundle):
        found = profile_bundle(bundle, [1.5], repeats=3, threads=1)
        assert (found.task, found.architecture) == ("doubling", "TinyModel")
        assert (found.variant, found.device, found.threads) == ("cpu-fp32", "cpu", 1)
        assert (found.inputs, len(found.calls), len(found.recorded_calls)) == (1, 3, 3)
        assert [one.name for one in found.stages] == ["preprocess", "run", "other"]
        assert sum(one.share for one in found.stages) == pytest.approx(1)
        (model,) = found.graphs
        assert (model.role, model.runs, model.recorded_calls) == ("model", 2, 3)
        assert 0 < model.seconds <= found.seconds and not found.is_cut
        assert 0 < model.overhead <= model.recorded_seconds
        (mul,) = found.nodes
        assert (mul.type, mul.provider, mul.precision) == ("Mul", "CPUExecutionProvider", "float32")
        assert (mul.output_shapes, mul.other_shapes, mul.runs, mul.share) == (((1,),), 0, 2, 1)
        assert [(one.type, one.nodes, one.runs) for one in found.operators] == [("Mul", 1, 2)]
        assert json.loads(json.dumps(found.to_dict()))["nodes"][0]["type"] == "Mul"
        assert "Mul (float32)" in profile_chart(found)

    def test_options_inputs_and_variant(self, bundle):
        found = profile_bundle(
            bundle, [1.0] * 20, options={"times": 2}, variant="cpu-int8", repeats=1
        )
        assert found.variant == "cpu-int8" and found.inputs == 20
        assert found.graphs[0].runs == 3 * 2 * 2  # three runs of at most 8, twice 2 times

    def test_no_trace_is_left_behind(self, bundle, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir()
        monkeypatch.chdir(tmp_path / "temporary")
        profile_bundle(bundle, [1.0], repeats=1)
        assert list((tmp_path / "temporary").iterdir()) == []

    def test_a_trace_is_kept(self, bundle, tmp_path):
        for _ in range(2):  # the second one replaces the first
            profile_bundle(bundle, [1.0], repeats=2, trace=tmp_path / "a/traces")
        (kept,) = (tmp_path / "a/traces").iterdir()
        events = json.loads(kept.read_text())
        assert kept.name == "model.json"
        assert sum(one["name"] == "model_run" for one in events) == 2 * (1 + 2)

    def test_a_trace_that_cannot_be_kept(self, bundle):
        place = bundle / "manifest.json" / "traces"
        with pytest.raises(InputError, match="no folder for traces at"):
            profile_bundle(bundle, [1.0], trace=place)

    def test_a_recording_that_was_full(self, bundle, monkeypatch):
        monkeypatch.setattr(profiling, "read_trace", lambda path: read_trace(path)[: 2 + 3 * 4])
        found = profile_bundle(bundle, [1.0], repeats=3, threads=1)
        assert found.is_cut and found.graphs[0].recorded_calls == 1
        monkeypatch.setattr(profiling, "read_trace", lambda path: read_trace(path)[:2])
        with pytest.raises(InputError, match="recording of the graph 'model' was full before"):
            profile_bundle(bundle, [1.0], repeats=3, threads=1)

    @pytest.mark.parametrize(
        ("items", "arguments", "error", "message"),
        [
            ([], {}, InputError, "there is no input to profile"),
            ([1.0], {"repeats": 0}, InputError, "repeats is 0; it is a number of at least 1"),
            ([1.0, -1.0], {}, InputError, "^input 2: it is below 0$"),
            ([-1.0], {"names": ["x.wav"]}, InputError, r"^x\.wav: it is below 0$"),
            ([1.0], {"options": {"top_k": 1}}, InputError, "does not take this option: .*top_k"),
            ([1.0], {"variant": "cpu-w4"}, BundleError, "no variant 'cpu-w4'"),
            ([1.0], {"device": "cuda"}, DeviceError, "cuda"),
        ],
    )
    def test_what_is_refused(self, bundle, items, arguments, error, message):
        with pytest.raises(error, match=message):
            profile_bundle(bundle, items, **arguments)

    def test_a_bundle_that_is_none(self, tmp_path):
        with pytest.raises(BundleError):
            profile_bundle(tmp_path, [1.0])

    def test_sessions_are_closed(self, bundle, monkeypatch):
        tasks = []

        def from_bundle(cls, bundle, sessions):
            tasks.append(cls(sessions["model"]))
            return tasks[-1]

        monkeypatch.setattr(Doubler, "from_bundle", classmethod(from_bundle))
        with pytest.raises(InputError):
            profile_bundle(bundle, [-1.0])
        profile_bundle(bundle, [1.0], repeats=1)
        assert len(tasks) == 3
        for task in tasks:
            with pytest.raises(GraphError, match="closed"):
                task.predict([1.0])


def test_a_chart_of_two_graphs():
    graphs = {
        "encoder": graph(*(node(str(i), f"Op{i}", 1.0) for i in range(20))),
        "decoder": graph(),
    }
    parts = tuple(GraphProfile(role, 1, 0.5, 0.25, 2, 1.0, 0.1) for role in graphs)
    stages = (StageProfile("run", 1.0, 0.5), StageProfile("other", 1.0, 0.5))
    text = profile_chart(made(parts, stages, operators_of(graphs), nodes_of(graphs)))
    assert ">encoder<" in text and ">encoder: Op0 (float32)<" in text
    assert ">5 others<" in text and ">1000.000 ms · 50.0%<" in text
