"""Prepared graphs: equal answers, found again by their host alone, and nothing trusted."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from onnxtasks import graph_cache, host, preparing
from onnxtasks.bundle import MANIFEST, Bundle, record_files
from onnxtasks.errors import BundleError, InputError
from onnxtasks.graph_cache import entries, key_of, prepared_graph, read_entry
from onnxtasks.preparing import prepare
from onnxtasks.session import open_sessions
from tests.runtime import answering
from tests.runtime.tiny_graph import tiny_bundle, tiny_graph

FILE = "graphs/cpu-fp32.model.onnx"
X = np.array([1, -2], np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ONNXTASKS_CACHE", str(tmp_path / "cache"))
    return tiny_bundle(tmp_path / "tiny", {"cpu-fp32": 2.0, "cpu-int8": 3.0})


def loaded_from(bundle):
    sessions = open_sessions(bundle, threads=1)
    answer = sessions.by_role["model"].run({"x": X})["y"].tolist()
    path = sessions.by_role["model"].path
    sessions.close()
    assert answer == [2, -4]
    return path


def test_a_prepared_graph_is_loaded_and_answers_the_same(folder):
    bundle = Bundle.open(folder)
    assert loaded_from(bundle) == folder / FILE
    made = prepare(folder)
    assert list(made) == [FILE]
    assert loaded_from(bundle) == made[FILE] / "cpu-fp32.model.onnx"
    assert prepare(folder) == made  # kept


def test_loading_writes_nothing(folder, tmp_path):
    loaded_from(Bundle.open(folder))
    assert not (tmp_path / "cache").exists()


def test_variants_are_prepared_by_name(folder):
    assert list(prepare(folder, ["cpu-int8"])) == ["graphs/cpu-int8.model.onnx"]
    with pytest.raises(BundleError, match="no CPU variant 'cuda-fp16'; it has: cpu-fp32, cpu-int8"):
        prepare(folder, ["cuda-fp16"])


def test_the_key_is_of_the_host_and_of_the_bytes(folder, monkeypatch):
    bundle = Bundle.open(folder)
    keys = {key_of(bundle, "cpu-fp32", "model"), key_of(bundle, "cpu-int8", "model")}
    monkeypatch.setattr(host, "fingerprint", lambda: "another")
    keys.add(key_of(bundle, "cpu-fp32", "model"))
    tiny_graph(folder / FILE, 4.0)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"][FILE]["sha256"] = record_files(folder)[FILE].sha256
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    keys.add(key_of(Bundle.open(folder), "cpu-fp32", "model"))
    assert len(keys) == 4


def test_another_host_does_not_take_it(folder, monkeypatch):
    prepare(folder)
    monkeypatch.setattr(host, "fingerprint", lambda: "another")
    assert loaded_from(Bundle.open(folder)) == folder / FILE


def test_the_cache_can_be_turned_off(folder, monkeypatch):
    prepare(folder)
    monkeypatch.setenv("ONNXTASKS_CACHE", "off")
    assert loaded_from(Bundle.open(folder)) == folder / FILE
    with pytest.raises(InputError, match="the cache is turned off; unset ONNXTASKS_CACHE"):
        prepare(folder)


def test_a_missing_weight_of_the_bundle_is_an_error_all_the_same(folder):
    prepare(folder)
    (folder / FILE).unlink()
    with pytest.raises(BundleError, match="is missing"):
        open_sessions(Bundle.open(folder))


def damage_size(entry):
    with (entry / "cpu-fp32.model.onnx").open("ab") as file:
        file.write(b"more")


def damage_bytes(entry):
    path = entry / "cpu-fp32.model.onnx"
    path.write_bytes(b"\xff" * path.stat().st_size)


def damage_entry(entry):
    (entry / "entry.json").write_text("{}", encoding="utf-8")


def huge_entry(entry):
    (entry / "entry.json").write_bytes(b" " * (64 * 1024 + 1))


def unfinished(entry):
    (entry / "entry.json").unlink()


def links(entry):
    path = entry / "cpu-fp32.model.onnx"
    path.rename(entry.parent / "elsewhere")
    path.symlink_to(entry.parent / "elsewhere")


def leads_out(entry):
    told = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
    told["graph"], told["files"] = "../../secret", {"../../secret": 1}
    (entry / "entry.json").write_text(json.dumps(told), encoding="utf-8")


def names_another(entry):
    told = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
    (entry / "entry.json").write_text(json.dumps(told | {"graph": "x"}), encoding="utf-8")


@pytest.mark.parametrize(
    "damage",
    [
        damage_size,
        damage_bytes,
        damage_entry,
        huge_entry,
        unfinished,
        links,
        leads_out,
        names_another,
    ],
)
def test_a_damaged_entry_is_removed_and_made_anew(folder, damage):
    entry = prepare(folder)[FILE]
    damage(entry)
    assert loaded_from(Bundle.open(folder)) == folder / FILE
    assert not entry.exists()
    assert prepare(folder)[FILE] == entry
    assert loaded_from(Bundle.open(folder)).parent == entry


def test_a_graph_that_answers_otherwise_is_not_kept(folder, tmp_path, monkeypatch):
    def wrong(source, target):
        tiny_graph(target, 2.5)

    monkeypatch.setattr(preparing, "_write", wrong)
    with pytest.raises(BundleError, match="output 'y' differs once prepared; not kept"):
        prepare(folder)
    assert list((tmp_path / "cache" / "graphs").iterdir()) == []


def test_a_cache_that_cannot_be_written_to_is_told(folder, tmp_path):
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    assert loaded_from(Bundle.open(folder)) == folder / FILE
    with pytest.raises(InputError, match="cannot be written to"):
        prepare(folder)


def test_many_at_once_make_one_entry(folder, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: prepare(folder)[FILE], range(8)))
    assert len(set(made)) == 1
    assert list((tmp_path / "cache" / "graphs").iterdir()) == [made[0]]
    assert loaded_from(Bundle.open(folder)).parent == made[0]


def test_an_entry_says_what_it_is(folder):
    entry = read_entry(prepare(folder)[FILE])
    assert (entry.architecture, entry.variant, entry.role) == ("TinyModel", "cpu-fp32", "model")
    assert entry.graph == "cpu-fp32.model.onnx"


def call(*arguments):
    return answering.call("cache", *map(str, arguments))


class TestCommand:
    def test_it_adds_shows_and_clears(self, folder, tmp_path):
        where = tmp_path / "cache"
        assert call().stdout == f"{where}: 0 graphs, 0 B\n"
        lines = call("--add", folder).stdout.splitlines()
        assert lines[0].split() == ["variant", "graph", "size", "entry"]
        assert lines[2].split()[:3] == ["TinyModel", "cpu-fp32", "model"]
        assert lines[-1].startswith(f"{where}: 1 graph, ")
        (where / "graphs" / "rest").mkdir()
        assert "damaged or unfinished" in call().stdout
        assert call("--clear").stdout == f"{where}: 0 graphs, 0 B\n"
        assert list(entries()) == []

    def test_wrong_usage(self, folder, monkeypatch):
        for arguments, message in (
            (("--add", folder, "--clear"), "--add and --clear exclude each other"),
            (("--variant", "cpu-int8"), "give --add BUNDLE too"),
        ):
            ran = call(*arguments)
            assert ran.exit_code == 2
            assert message in ran.stderr
        monkeypatch.setenv("ONNXTASKS_CACHE", "0")
        ran = call()
        assert ran.exit_code == 2
        assert "the cache is turned off by ONNXTASKS_CACHE" in ran.stderr


def test_a_bundle_without_the_folder_of_entries_has_none(folder):
    assert graph_cache.entries_folder() is not None
    assert prepared_graph(Bundle.open(folder), "cpu-fp32", "model") is None
