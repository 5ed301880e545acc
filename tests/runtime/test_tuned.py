"""`tuned.json`: written by one host, read by that host alone, trusted by nobody."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from onnxtasks import host
from onnxtasks.bundle import Bundle
from onnxtasks.errors import BundleError
from onnxtasks.tuned import Choice, choice_of, read_tuned, save_choice
from onnxtasks.verification import verify_bundle
from tests.runtime.test_benchmark import Doubler
from tests.runtime.tiny_graph import tiny_bundle

OWN = "0123456789abcdef"
CHOICE = Choice(
    variant="cpu-int8", device="cpu", threads=1, budget=32.0, goal="latency", reason="the fastest"
)


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("ONNXTASKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(host, "fingerprint", lambda: OWN)
    return Bundle.open(tiny_bundle(tmp_path / "tiny", {"cpu-fp32": 2.0, "cpu-int8": 3.0}))


def write(bundle, **fields):
    data = {"schema_version": 1, "hosts": {OWN: json.loads(json.dumps(as_dict(CHOICE) | fields))}}
    (bundle.folder / "tuned.json").write_text(json.dumps(data), encoding="utf-8")


def as_dict(choice):
    return {name: getattr(choice, name) for name in Choice.__struct_fields__}


def test_a_choice_is_kept_beside_the_manifest_and_the_bundle_stays_whole(bundle):
    assert choice_of(bundle) is None
    assert save_choice(bundle, CHOICE) == bundle.folder / "tuned.json"
    assert choice_of(bundle) == CHOICE
    assert choice_of(Bundle.open(bundle.folder, verify="full")) == CHOICE
    assert next(check.ok for check in verify_bundle(bundle.folder))
    assert not [path for path in bundle.folder.iterdir() if path.name.startswith(".")]


def test_auto_loads_what_was_chosen_and_says_so(bundle):
    save_choice(bundle, CHOICE)
    with Doubler.from_opened(bundle, device="auto") as task:
        told = task.describe()
        assert (told.variant, told.threads, told.tuned) == ("cpu-int8", 1, "the fastest")
        assert task.budget == 32.0
        assert task.predict([1.0]) == [3.0]
    assert Doubler.budget == 8.0


def test_auto_takes_the_users_threads_before_the_tuned_ones(bundle):
    save_choice(bundle, CHOICE)
    with Doubler.from_opened(bundle, device="auto", threads=3) as task:
        assert (task.describe().variant, task.describe().threads) == ("cpu-int8", 3)


@pytest.mark.parametrize("asked", [{"device": "cpu"}, {"device": "auto", "variant": "cpu-fp32"}])
def test_whoever_names_a_device_or_a_variant_gets_that(bundle, asked):
    save_choice(bundle, CHOICE)
    with Doubler.from_opened(bundle, **asked) as task:
        assert (task.describe().variant, task.describe().tuned) == ("cpu-fp32", None)
        assert task.budget == 8.0


def test_the_choice_of_another_host_or_version_is_ignored(bundle, monkeypatch):
    save_choice(bundle, CHOICE)
    monkeypatch.setattr(host, "fingerprint", lambda: "f" * 16)
    assert choice_of(bundle) is None
    save_choice(bundle, CHOICE)
    assert sorted(read_tuned(bundle.folder / "tuned.json").hosts) == [OWN, "f" * 16]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "cpu-w4"}, "names the variant 'cpu-w4'; the bundle has: cpu-fp32, cpu-int8"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"threads": 0}, "threads is 0; it is between 1 and 4096"),
        ({"threads": 1.5}, "Expected `int`"),
        ({"budget": -1.0}, "budget is -1.0; it is a finite number above 0"),
        ({"goal": "memory"}, "Invalid enum value 'memory'"),
        ({"command": "rm"}, "unknown field `command`"),
    ],
)
def test_what_cannot_be_used_is_ignored_with_a_warning(bundle, fields, message):
    write(bundle, **fields)
    with pytest.warns(UserWarning, match="tuned.json is ignored: ") as caught:
        assert choice_of(bundle) is None
    assert message in str(caught[0].message)


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 2, "hosts": {}}', "\xff", "{" * 9])
def test_a_damaged_file_is_ignored_and_written_anew(bundle, text):
    path = bundle.folder / "tuned.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.warns(UserWarning, match="`onnxtasks tune` writes it anew"):
        assert choice_of(bundle) is None
    assert save_choice(bundle, CHOICE) == path
    assert choice_of(bundle) == CHOICE


def test_a_huge_file_is_not_read(bundle):
    path = bundle.folder / "tuned.json"
    path.write_bytes(b" " * (2**20 + 1))
    with pytest.raises(BundleError, match="larger than 1048576 bytes"):
        read_tuned(path)


def test_a_symlink_is_not_followed_and_the_cache_takes_the_choice(bundle, tmp_path):
    (tmp_path / "elsewhere.json").write_text("{}", encoding="utf-8")
    (bundle.folder / "tuned.json").symlink_to(tmp_path / "elsewhere.json")
    saved = save_choice(bundle, CHOICE)
    assert saved is not None
    assert saved.parent == tmp_path / "cache" / "tuned"
    assert choice_of(bundle) == CHOICE
    assert (tmp_path / "elsewhere.json").read_text(encoding="utf-8") == "{}"


def refuse_writing(monkeypatch, *folders):
    """Root may write anywhere, so the refusal is made here."""
    import tempfile

    make = tempfile.mkstemp

    def refused(*, prefix, dir):
        if any(os.fspath(dir).startswith(os.fspath(folder)) for folder in folders):
            raise PermissionError(13, "Permission denied")
        return make(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "mkstemp", refused)


def test_a_bundle_that_is_read_only_is_tuned_in_the_cache(bundle, tmp_path, monkeypatch):
    refuse_writing(monkeypatch, bundle.folder)
    saved = save_choice(bundle, CHOICE)
    assert saved is not None
    assert saved.parent == tmp_path / "cache" / "tuned"
    assert choice_of(bundle) == CHOICE


def test_where_nothing_can_be_written_nothing_is_kept(bundle, tmp_path, monkeypatch):
    refuse_writing(monkeypatch, bundle.folder, tmp_path / "cache")
    assert save_choice(bundle, CHOICE) is None
    monkeypatch.setenv("ONNXTASKS_CACHE", "off")
    assert save_choice(bundle, CHOICE) is None
    assert choice_of(bundle) is None


def test_many_writers_leave_a_whole_file(bundle):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: save_choice(bundle, CHOICE), range(32)))
    assert choice_of(bundle) == CHOICE
