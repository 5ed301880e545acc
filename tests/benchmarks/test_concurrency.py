"""The benchmark of callers at once: its queue, its turns and its table."""

import threading
import time

import numpy as np
import pytest

from benchmarks import concurrency
from benchmarks.concurrency import BATCHES, CALLERS, InLine, best_batch, one_turn, table, targets
from onnxtasks.concurrency import Together


class Slow:
    """Notes in which order it is run, and how many runs there are at once."""

    def __init__(self):
        self.order, self.inside, self.most = [], 0, 0
        self.gate = threading.Event()

    def run(self, feeds, outputs=None):
        self.inside += 1
        self.most = max(self.most, self.inside)
        assert self.gate.wait(20)
        self.order.append(int(feeds["x"][0]))
        self.inside -= 1
        return {"y": feeds["x"]}


def test_one_run_at_a_time_first_come_first_served():
    slow = Slow()
    line = InLine(slow)
    threads = []
    for number in range(4):
        feeds = {"x": np.array([number])}
        threads.append(threading.Thread(target=line.run, args=(feeds,)))
        threads[-1].start()
        while slow.inside + len(line._waiting) <= number:  # until this one runs or waits
            time.sleep(0.001)
    slow.gate.set()
    for thread in threads:
        thread.join(20)
    assert (slow.order, slow.most) == ([0, 1, 2, 3], 1)


def test_an_error_gives_the_turn_on():
    class Broken:
        def run(self, feeds, outputs=None):
            raise ValueError

    line = InLine(Broken())
    for _ in range(2):
        with pytest.raises(ValueError):
            line.run({})


def test_batches_are_neighbours():
    seen: list[list[str]] = []
    one_turn(seen.append, 2, 1, ["a", "b", "c"], 0.0)
    one_turn(seen.append, 4, 1, ["a", "b", "c"], 0.0)
    assert seen == [["a", "b"], ["a", "b", "c", "a"]]


@pytest.mark.parametrize(("size", "inputs"), [(0, 1), (4, 4)])
def test_a_batch_counts_its_inputs(monkeypatch, size, inputs):
    seen = Together(latencies=(0.25, 0.5), per_second=3.0, calls=6)
    monkeypatch.setattr(concurrency, "call_together", lambda *_, **__: seen)
    clock = iter([10.0, 12.0])  # two seconds of a processor
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    assert one_turn(print, size, 1, ["a"], 1.0) == {
        "per_second": 3.0 * inputs,
        "per_cpu_second": 3.0 * inputs,
        "latencies": [0.25, 0.5],
    }


def written(speed, latencies):
    part = {"per_second": speed, "per_cpu_second": speed / 2, "latencies": latencies}
    return [part, part]


def test_the_table_by_hand():
    found = {f"batches of {n}": written(10.0 * n if n < 8 else 20.0, [0.1]) for n in BATCHES}
    kinds = ("threads", "in line", "Batcher", "Batcher of two runs")
    found |= {f"{kind}, {n}": written(20.0, [0.1, 0.1, 0.4]) for kind in kinds for n in CALLERS}
    found["Batcher, 8"] = written(50.0, [0.1, 0.1, 0.1])
    assert best_batch(found) == "batches of 4"
    rows = table("graph", found).splitlines()
    assert [row.split(" | ")[0] for row in rows[2:5]] == [
        "| batches of 1",
        "| batches of 4",
        "| threads, 1",
    ]
    assert rows[-1 - len(CALLERS)] == (
        "| Batcher, 8 | 50 | 2.50 (2.50-2.50) | 1.25 (1.25-1.25) | 1.25 (1.25-1.25) "
        "| 100 | 100 | 100 | 1.00 |"
    )
    goals = targets("graph", found)
    assert goals[0].startswith("| graph, threads | 3.94 (3.94-3.94) | missed by 97% | 0.50")
    assert goals[0].endswith("| missed by 50% |")
    assert goals[-2].endswith("| 1.00 (1.00-1.00) | met | 1.25 (1.25-1.25) | met |")
