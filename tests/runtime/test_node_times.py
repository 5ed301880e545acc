"""Times of nodes from a trace of a few events, with the answers written out."""

import json
from pathlib import Path

import pytest

from onnxtasks.errors import GraphError
from onnxtasks.node_times import (
    Event,
    NodeArguments,
    covered,
    graph_times,
    own_times,
    precision,
    read_trace,
)

FLOAT = [{"float": [1, 4]}]


def run(start, length, thread=1):
    return Event("model_run", start, length, "Session", 9, thread)


def node(name, start, length, kind="MatMul", thread=1, made=FLOAT, index="0"):
    about = NodeArguments(kind, "CPUExecutionProvider", index, FLOAT, made)
    return Event(f"{name}_kernel_time", start, length, "Node", 9, thread, about)


def written(folder: Path, events: list[Event]) -> Path:
    """A file as ONNX Runtime writes it, with what nobody reads."""
    rows = []
    for one in events:
        arguments = {
            "op_name": one.args.op_name,
            "provider": one.args.provider,
            "node_index": one.args.node_index,
            "input_type_shape": one.args.input_type_shape,
            "output_type_shape": one.args.output_type_shape,
            "thread_scheduling_stats": {"main_thread": {"core": -1}, "sub_threads": {}},
        }
        row = {"cat": one.cat, "pid": one.pid, "tid": one.tid, "dur": one.dur, "ts": one.ts}
        rows.append({**row, "ph": "X", "name": one.name, "args": arguments})
    (folder / "trace.json").write_text(json.dumps(rows))
    return folder / "trace.json"


def test_a_trace_is_read(tmp_path):
    events = [node("a", 12, 5), run(10, 10)]
    assert read_trace(written(tmp_path, events)) == events


@pytest.mark.parametrize("text", ["", '[{"name": "a"', '{"name": "a"}', '[{"name": 1}]'])
def test_what_is_no_trace_is_refused(tmp_path, text):
    (tmp_path / "trace.json").write_text(text)
    with pytest.raises(GraphError, match=r"ONNX Runtime's profile trace\.json cannot be read"):
        read_trace(tmp_path / "trace.json")


def test_two_calls_by_hand():
    events = [
        # Loading and the first call, which does not count.
        Event("session_initialization", 0, 50, "Session", 9, 1),
        *(node("a", 61, 30), run(60, 40)),
        # One call of two runs: 2 + 1 and 3 + 1 at work, of 5 + 6.
        *(node("a", 101, 2), node("b", 103, 1, "Add"), run(100, 5)),
        *(node("a", 111, 3), node("b", 114, 1, "Add"), run(110, 6)),
        # Another one: 10 + 3 and 5 + 3, of 15 + 10.
        *(node("a", 200, 10), node("b", 210, 3, "Add"), run(200, 15)),
        *(node("a", 220, 5), node("b", 225, 3, "Add"), run(220, 10)),
    ]
    found = graph_times(events, [2, 2], skipped=1)
    assert (found.calls, found.runs) == (2, 2)
    assert found.seconds == pytest.approx(18e-6)  # the median of 11 and 25
    assert found.outside == pytest.approx(4e-6)  # of 11 - 7 and 25 - 21
    a, b = found.nodes
    assert (a.name, a.type, a.provider) == ("a", "MatMul", "CPUExecutionProvider")
    assert (a.runs, b.name, b.runs) == (2, "b", 2)
    assert a.seconds == pytest.approx(10e-6)  # of 2 + 3 and 10 + 5
    assert b.seconds == pytest.approx(4e-6)  # of 1 + 1 and 3 + 3
    assert (a.output_shapes, a.other_shapes, a.precision) == (((1, 4),), 0, "float32")


def test_a_hiccup_of_one_call_moves_no_median():
    starts = (100, 200, 300)
    events = [node("a", at, 90 if at == 200 else 4) for at in starts]
    events += [run(at, 95 if at == 200 else 6) for at in starts]
    found = graph_times(events, [1, 1, 1])
    assert found.seconds == pytest.approx(6e-6)
    assert found.nodes[0].seconds == pytest.approx(4e-6)


def test_a_node_that_holds_a_graph_does_not_count_it_twice():
    events = [
        *(node("inner", 12, 3), node("inner", 16, 4), node("loop", 11, 10, "Loop")),
        *(node("after", 21, 2), run(10, 15)),
    ]
    assert own_times(events) == [3, 4, 3, 2, 15 - 10 - 2]
    found = {one.name: one for one in graph_times(events, [1]).nodes}
    assert found["inner"].runs == 2 and found["inner"].seconds == pytest.approx(7e-6)
    assert found["loop"].seconds == pytest.approx(3e-6)
    assert graph_times(events, [1]).outside == pytest.approx(3e-6)


def test_events_of_several_threads_are_not_inside_each_other():
    events = [node("a", 11, 8), node("b", 12, 6, thread=2), run(10, 10)]
    found = graph_times(events, [1])
    assert sorted(one.seconds for one in found.nodes) == pytest.approx([6e-6, 8e-6])
    assert found.outside == pytest.approx(2e-6)  # of the clock: a covers b


def test_two_runs_at_once_count_once():
    events = [node("a", 10, 8), run(10, 10), node("a", 15, 8, thread=2), run(15, 10, thread=2)]
    found = graph_times(events, [2])
    assert found.seconds == pytest.approx(15e-6)
    assert found.nodes[0].seconds == pytest.approx(16e-6)


def test_events_that_start_or_end_together():
    outer, inner, empty = node("o", 5, 4), node("i", 5, 4), node("e", 9, 0)
    assert own_times([inner, outer, empty]) == [4, 0, 0]  # the outer one ends, and is written, last


def test_a_call_whose_runs_were_not_all_recorded_is_left_out():
    events = [node("a", 10, 4), run(10, 5), node("a", 20, 6), run(20, 7), node("a", 30, 99)]
    found = graph_times(events, [1, 2])
    assert (found.calls, found.runs) == (1, 1)
    assert found.seconds == pytest.approx(5e-6)
    assert found.nodes[0].seconds == pytest.approx(4e-6)
    assert graph_times(events, [3]).calls == 0
    assert graph_times(events, [3]).nodes == ()


def test_a_graph_that_did_not_run():
    found = graph_times([run(10, 5)], [0, 0], skipped=1)
    assert (found.calls, found.runs, found.seconds, found.nodes) == (2, 0, 0, ())


def test_a_node_of_some_calls_only():
    events = [run(at, 9) for at in (10, 20, 30)]
    found = graph_times([node("a", 11, 6), *events], [1, 1, 1])
    assert found.nodes[0].runs == pytest.approx(1 / 3)
    assert found.nodes[0].seconds == 0  # the median of 6, 0 and 0


def test_fused_nodes_of_one_name_are_told_apart():
    events = [node("Gelu", 11, 3, index="4"), node("Gelu", 15, 2, index="9"), run(10, 10)]
    assert [one.seconds for one in graph_times(events, [1]).nodes] == pytest.approx([3e-6, 2e-6])


def test_the_shapes_that_took_most():
    shapes = [[{"float": [1, 7]}], [{"float": [1, 8]}], [{"float": []}, {"int64": [2, 0]}]]
    nodes = [node("a", 10 + 10 * i, 2 + i, made=shape) for i, shape in enumerate(shapes)]
    (found,) = graph_times([*nodes, run(10, 40)], [1]).nodes
    assert (found.output_shapes, found.other_shapes) == (((), (2, 0)), 2)


@pytest.mark.parametrize(
    ("read", "made", "said"),
    [
        ([{"float": [1]}, {"float": [1]}], [], "float32"),
        ([{"float": [1]}, {"int64": [1]}], [], "float32"),  # an index beside numbers
        ([{"float": [1]}, {"int8": [1]}, {"float": []}], [], "float32, int8"),
        ([{"int64": [1]}], [{"float": [1]}], "int64"),
        ([], [{"double": [1]}], "float64"),
        ([], [], ""),
    ],
)
def test_precision(read, made, said):
    about = NodeArguments(input_type_shape=read, output_type_shape=made)
    assert precision(about) == said


def test_the_union_of_intervals():
    assert covered([(5, 7), (0, 3), (1, 2), (2, 4), (7, 7)]) == 6
    assert covered([]) == 0
