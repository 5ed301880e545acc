"""What `onnxtasks tune` tries, measured with a clock of its own, and one real run."""

import json
from typing import Any

import msgspec
import pytest

from onnxtasks import host, tuning
from onnxtasks.bundle import MANIFEST, Bundle
from onnxtasks.choosing import Candidate, Figures, Row
from onnxtasks.devices import CPU, CUDA, OPENVINO
from onnxtasks.errors import BundleError, DeviceError, InputError
from onnxtasks.parity import read_parity, write_parity
from onnxtasks.tuning import Meter, Trial, candidates_of, gain, measure, present, tune
from tests.runtime.test_benchmark import Doubler
from tests.runtime.tiny_graph import tiny_bundle


class Clock:
    """Seconds that pass only where somebody says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Taking(Doubler):
    """Takes a written-out number of seconds for each input; no session."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.sizes = clock, seconds, []

    def predict(self, items, *, padding=0):
        self.sizes.append(len(items))
        self.clock.sleep(self.seconds * len(items))
        return [2 * item for item in items]


def candidate(variant="cpu-fp32", budget=None, *, default=False):
    return Candidate(variant, "cpu", 1, budget, variant.endswith("fp32"), 0.0, default)


def meter(clock, goal="latency", *, limited=False, items=(1.0, 2.0)):
    return Meter(items, {}, goal, limited, clock, clock.sleep)


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("ONNXTASKS_CACHE", "off")
    monkeypatch.setattr(tuning, "bundle_class", lambda _: Doubler)
    monkeypatch.setattr(tuning, "available_threads", lambda: 4)
    return tiny_bundle(tmp_path / "tiny", {"cpu-fp32": 2.0, "cpu-int8": 2.0, "cuda-fp16": 2.0})


class TestMeasuring:
    @pytest.fixture(autouse=True)
    def pause(self, monkeypatch):
        monkeypatch.setattr(tuning, "PAUSE", 1 / 16)  # so that sums of it are exact

    def test_a_round_is_the_mean_of_the_calls_with_each_input(self):
        clock = Clock()
        trial = Trial(candidate(), Taking(clock, 0.25))
        found = measure([trial], meter(clock), rounds=2, seconds=9.0)
        assert found == [Figures(candidate(), (0.25, 0.25), 0.25)]
        assert clock.now == 2 * (1 / 16 + 0.25 + 2 * 0.25)  # one call is not counted

    def test_short_calls_are_repeated_for_a_tenth_of_a_second(self):
        clock = Clock()
        trial = Trial(candidate(), Taking(clock, 1 / 64))
        measure([trial], meter(clock), rounds=1, seconds=9.0)
        assert len(trial.calls) == 8  # passes over two inputs: 4 / 32 s are the first above 0.1 s

    def test_throughput_is_that_of_map_under_the_budget(self):
        clock = Clock()
        task = Taking(clock, 0.125)
        trial = Trial(candidate(budget=4.0), task)
        found = measure([trial], meter(clock, "throughput"), rounds=1, seconds=9.0)
        assert found == [Figures(candidate(budget=4.0), (0.125,), None)]
        assert task.sizes == [1, 4, 4]  # two inputs, repeated to eight

    def test_under_a_limit_throughput_takes_the_latency_too(self):
        clock = Clock()
        trial = Trial(candidate(), Taking(clock, 0.25))
        found = measure([trial], meter(clock, "throughput", limited=True), rounds=1, seconds=9.0)
        assert found[0].p95 == 0.25

    @pytest.mark.parametrize(("limited", "rounds"), [(False, 3), (True, 5)])
    def test_the_clearly_slower_are_measured_no_more(self, limited, rounds):
        clock = Clock()
        taken = (0.25, 0.5, 0.265625)
        trials = [Trial(candidate(), Taking(clock, seconds)) for seconds in taken]
        found = measure(trials, meter(clock, limited=limited), rounds=5, seconds=9.0)
        assert [len(row.rounds) for row in found] == [5, rounds, 5]

    def test_time_ends_the_rounds_but_not_the_first_three(self):
        clock = Clock()
        trials = [Trial(candidate(), Taking(clock, 0.25)) for _ in range(2)]
        found = measure(trials, meter(clock), rounds=9, seconds=0.01)
        assert [len(row.rounds) for row in found] == [3, 3]


class TestCandidates:
    @pytest.fixture(autouse=True)
    def opened(self, bundle, monkeypatch):
        monkeypatch.setattr(tuning, "present", lambda _: {"cpu": "cpu"})
        self.bundle = Bundle.open(bundle)

    def found(self, **asked):
        self.left_out: dict[str, str] = {}
        usual: dict[str, Any] = {"goal": "latency", "exact": False, "max_divergence": None}
        usual |= {"variants": None, "devices": None, "threads": None, "left_out": self.left_out}
        return candidates_of(self.bundle, **(usual | asked))

    def test_every_variant_of_the_device_with_some_numbers_of_threads(self):
        found = [(one.variant, one.threads) for one in self.found()]
        counts = (1, 2, 4)
        assert found == [(v, n) for v in ("cpu-fp32", "cpu-int8") for n in counts]

    def test_the_default_is_what_load_takes(self):
        assert [(c.variant, c.threads) for c in self.found() if c.default] == [("cpu-fp32", 4)]

    def test_throughput_tries_budgets_too(self):
        found = self.found(goal="throughput", threads=[2], variants=["cpu-fp32"])
        assert [one.budget for one in found] == [4.0, None, 16.0]  # the task's own is 8

    def test_exact_leaves_int8_out(self):
        assert {one.variant for one in self.found(exact=True)} == {"cpu-fp32"}
        assert self.left_out == {"cpu-int8 on cpu": "it is not exact"}

    def test_a_divergence_above_the_limit_leaves_a_variant_out(self):
        parity = read_parity(self.bundle)
        far = msgspec.structs.replace(parity.variants["cpu-int8"], divergence=0.25)
        write_parity(
            self.bundle.folder, msgspec.structs.replace(parity, variants={"cpu-int8": far})
        )
        with pytest.raises(InputError, match="no variant is left to try"):
            self.found(max_divergence=0.1)
        assert self.left_out == {
            "cpu-fp32 on cpu": "its divergence is unknown; the limit is 0.1",
            "cpu-int8 on cpu": "its divergence is 0.25; the limit is 0.1",
        }
        assert {one.variant for one in self.found(max_divergence=0.25)} == {"cpu-int8"}

    def test_an_unknown_variant_is_an_error(self):
        with pytest.raises(BundleError, match="no variant 'cpu-w4'; it has: cpu-fp32, cpu-int8"):
            self.found(variants=["cpu-w4"])

    def test_bfloat16_is_neither_exact_nor_compared(self, monkeypatch):
        monkeypatch.setattr(tuning, "present", lambda _: {"openvino:bf16": "cpu"})
        for asked in ({"exact": True}, {"max_divergence": 1.0}):
            with pytest.raises(InputError, match="no variant is left to try"):
                self.found(**asked)
        assert {(one.exact, one.divergence) for one in self.found()} == {(False, float("inf"))}


class TestDevices:
    @pytest.fixture(autouse=True)
    def engine(self, monkeypatch):
        class Engine:
            @staticmethod
            def get_available_providers():
                return [CUDA, CPU]

        monkeypatch.setattr(tuning, "engine", lambda: Engine)

    def test_those_that_are_installed_are_tried(self):
        assert present(None) == {"cpu": "cpu", "cuda": "cuda"}
        assert present(["cuda:1"]) == {"cuda:1": "cuda"}

    def test_a_named_one_has_to_be_there(self):
        with pytest.raises(DeviceError, match=OPENVINO):
            present(["cpu", "openvino"])
        with pytest.raises(DeviceError, match="tuning finds out what 'auto' is"):
            present(["auto"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"samples": "text"}, "samples is one str"),
        ({"samples": []}, "samples is empty"),
        ({"goal": "memory"}, "goal is 'memory'; it is 'latency' or 'throughput'"),
        ({"max_latency": 0.0}, "max_latency is 0.0; it is seconds above 0"),
        ({"max_divergence": 1.5}, "max_divergence is 1.5; it is a share between 0 and 1"),
        ({"rounds": 0}, "rounds is 0"),
        ({"seconds": 0.0}, "seconds is 0.0"),
        ({"threads": [0]}, "threads is 0"),
        ({"threads": []}, "threads is empty"),
    ],
)
def test_wrong_arguments_are_refused(bundle, asked, message):
    with pytest.raises(InputError, match=message):
        tune(bundle, **asked)


def test_a_real_run_is_kept_and_loaded(bundle, monkeypatch):
    monkeypatch.setattr(tuning, "TURN", 0.001)
    monkeypatch.setattr(tuning, "PAUSE", 0.0)
    found = tune(bundle, [1.0, 2.0], threads=[1, 2], devices=["cpu"], rounds=3, seconds=0.1)
    assert {row.figures.candidate.variant for row in found.rows} == {"cpu-fp32", "cpu-int8"}
    assert len(found.rows) == 4
    assert found.saved == bundle / "tuned.json"
    kept = json.loads((bundle / "tuned.json").read_text(encoding="utf-8"))["hosts"][
        host.fingerprint()
    ]
    assert kept["variant"] == found.choice.variant == found.rows[0].figures.candidate.variant
    with Doubler.from_opened(Bundle.open(bundle), device="auto") as task:
        assert task.describe().tuned == found.choice.reason
    assert json.loads(json.dumps(found.to_dict()))["choice"] == kept


def test_without_saving_nothing_is_written(bundle, monkeypatch):
    monkeypatch.setattr(tuning, "TURN", 0.001)
    before = sorted(path.name for path in bundle.iterdir())
    found = tune(bundle, threads=[1], variants=["cpu-fp32"], rounds=1, save=False)
    assert found.saved is None
    assert sorted(path.name for path in bundle.iterdir()) == before


def test_a_bundle_only_for_another_device_says_so(bundle):
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    manifest["variants"] = {"cuda-fp16": manifest["variants"]["cuda-fp16"]}
    manifest["default_variant"] = {"cuda": "cuda-fp16"}
    (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(InputError, match="no variant is left to try"):
        tune(bundle, devices=["cpu"])


def test_the_gain_is_told_where_the_default_was_not_chosen():
    fast, slow = Figures(candidate(), (2.0,)), Figures(candidate(default=True), (3.0,))
    assert gain([Row(fast, None, "", chosen=True), Row(slow, None, "")]) == (
        "; 1.50x as fast as the default"
    )
    assert gain([Row(slow, None, "", chosen=True), Row(fast, None, "")]) == ""
