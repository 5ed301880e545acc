"""`onnxtasks run` for audio classification."""

import json

import numpy as np
import pytest
import soundfile

from onnxtasks.ops.labels import Label
from onnxtasks.tasks.audio_classification import AudioClassifier
from tests.runtime.answering import Telling, fake, run
from tests.runtime.tasks.test_audio_classification import Mean, spec_of
from tests.runtime.tiny_graph import tiny_bundle


@pytest.fixture
def sounds(tmp_path, monkeypatch):
    for name in ("bark.wav", "deep/meow.flac", "notes.txt"):
        path = tmp_path / "sounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    labels = [Label("dog", 0.75, 1), Label("cat", 0.25, 0)]
    return fake(tmp_path, monkeypatch, "audio-classification", Telling(lambda _: labels)).task


def test_labels_stand_below_each_file(sounds):
    ran = run("sounds")
    assert ran.stdout == (
        "sounds/bark.wav\n  dog  0.7500\n  cat  0.2500\n"
        "sounds/deep/meow.flac\n  dog  0.7500\n  cat  0.2500\n"
    )
    assert ran.exit_code == 0 and sounds.options == {}


def test_json_lines_hold_labels_and_scores(sounds):
    ran = run("sounds/bark.wav", "--jsonl")
    labels = [{"label": "dog", "score": 0.75}, {"label": "cat", "score": 0.25}]
    assert json.loads(ran.stdout) == {"input": "sounds/bark.wav", "result": labels}


def test_options_reach_the_task(sounds):
    run("sounds", "--top-k", "3", "--function", "sigmoid", "--window-seconds", "2.5")
    assert sounds.options == {"top_k": 3, "function_to_apply": "sigmoid", "window_seconds": 2.5}
    run("sounds", "--top-k", "all", "--window-seconds", "2", "--step-seconds", "0.5")
    assert sounds.options == {"top_k": None, "window_seconds": 2.0, "step_seconds": 0.5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--timestamps"], "--timestamps is for automatic-speech-recognition; this bundle is for "),
        (["--labels", "a"], "--labels is for zero-shot-classification; this bundle is for audio-"),
        (["--text-pair", "a"], "--text-pair is for next-sentence-prediction and text-classificat"),
    ],
)
def test_options_of_other_tasks_are_refused(sounds, arguments, message):
    ran = run("sounds", *arguments)
    assert ran.exit_code == 2 and message in ran.stderr


@pytest.mark.parametrize("option", ["--window-seconds", "--step-seconds"])
def test_windows_are_for_sounds(tmp_path, monkeypatch, option):
    fake(tmp_path, monkeypatch, "text-classification", Telling(lambda _: []))
    ran = run("a text", option, "2")
    assert ran.exit_code == 2
    assert f"{option} is for audio-classification; this bundle is for text-classif" in ran.stderr


def test_a_wrong_window_is_told_once(tmp_path, monkeypatch):
    tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0}, "audio-classification")
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav"):
        soundfile.write(name, np.full(8, 0.5, np.float32), 10)
    task = AudioClassifier(Mean(), spec_of())
    monkeypatch.setattr("onnxtasks.tasks.load", lambda *_, **__: task)
    ran = run("a.wav", "b.wav", "--top-k", "1")
    assert ran.stdout == "a.wav  high  5.0000\nb.wav  high  5.0000\n"
    ran = run("a.wav", "b.wav", "--window-seconds", "7")
    assert ran.exit_code == 1 and ran.stdout == ""
    assert ran.stderr == (
        "error: window_seconds is 7.0; it is a number of seconds from 0.2 to 1.5, the most that "
        "the model hears at once, or None for 1\n"
    )
