"""The audio classifier on sessions that score a recording by its mean."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from onnxtasks.bundle import Bundle, Manifest
from onnxtasks.errors import DamagedRecordingWarning, InputError
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.ops.fbank import FbankSpec
from onnxtasks.ops.labels import Label
from onnxtasks.speech.whisper_spec import MelSpec
from onnxtasks.tasks.audio_classification import (
    AudioClassificationSpec,
    AudioClassifier,
    LogMelFeatures,
    RawSamples,
    TimedLabels,
)
from onnxtasks.timing import record_stages

LABELS = ("low", "high", "none")


def spec_of(*, mask=True, normalize=False, function="none", labels=LABELS):
    return AudioClassificationSpec(
        audio=AudioSpec(
            sampling_rate=10,
            normalize=normalize,
            padding_value=-1.0,
            min_samples=2,
            max_seconds=1.5,
        ),
        window_seconds=1.0,
        hears=RawSamples(attention_mask=mask),
        labels=labels,
        function=function,
    )


class Mean:
    """Scores "high" by ten times the mean of a recording's samples, "low" by less, "none" 0."""

    def __init__(self):
        self.feeds = []

    def run(self, feeds, outputs=None):
        self.feeds.append(feeds)
        values = feeds["input_values"]
        mask = feeds.get("attention_mask", np.ones(values.shape, np.int64))
        mean = 10 * (values * mask).sum(1) / mask.sum(1)
        return {"logits": np.stack([2 - mean, mean, 0 * mean], 1).astype(np.float32)}


def classifier(**settings):
    return AudioClassifier(Mean(), spec_of(**settings))


def recording(*parts):
    """(value, samples) ... at 10 Hz."""
    return np.concatenate([np.full(count, value, np.float32) for value, count in parts]), 10


def test_labels_come_best_first():
    task = classifier()
    assert task(recording((0.5, 4))) == [
        Label("high", 5.0, 1),
        Label("none", 0.0, 2),
        Label("low", -3.0, 0),
    ]
    assert task(recording((0.5, 4)), top_k=1)[0].to_dict() == {"label": "high", "score": 5.0}


def test_top_k_is_5_and_at_most_all():
    assert [len(classifier()(recording((0, 4)), top_k=k)) for k in (1, 2, 9, None)] == [1, 2, 3, 3]

    class Ten:
        def run(self, feeds, outputs=None):
            return {"logits": np.arange(10, dtype=np.float32)[None]}

    task = AudioClassifier(Ten(), spec_of(labels=tuple("abcdefghij")))
    assert [label.label for label in task(recording((0, 4)))] == list("jihgf")


def test_scores_by_function():
    item = recording((0.1, 4))
    softmax = classifier(function="softmax")(item)
    assert [label.label for label in softmax] == ["low", "high", "none"]
    assert softmax[0].score == pytest.approx(np.e / (2 * np.e + 1))
    sigmoid = classifier()(item, function_to_apply="sigmoid", top_k=1)
    assert sigmoid[0].score == pytest.approx(0.7310586)
    with pytest.raises(InputError, match="function_to_apply is 'relu'; it is one of softmax"):
        classifier()(item, function_to_apply="relu")


@pytest.mark.parametrize("top_k", [0, -1, 1.5, True])
def test_wrong_top_k(top_k):
    for ask in (classifier(), lambda item, top_k: classifier().over_time(item, 1.0, top_k=top_k)):
        with pytest.raises(InputError, match=f"top_k is {top_k!r}; it is a number of at least 1"):
            ask(recording((0, 4)), top_k=top_k)


def test_with_a_mask_all_lengths_share_a_run_and_padding_is_not_heard():
    task = classifier()
    found = task.predict(
        [recording((0.5, 4)), recording((0.2, 8)), recording((0.3, 2))], top_k=None
    )
    scores = [{label.label: label.score for label in labels}["high"] for labels in found]
    assert scores == pytest.approx([5, 2, 3])
    (feeds,) = task.session.feeds
    assert feeds["input_values"].dtype == np.float32
    assert feeds["attention_mask"].sum(1).tolist() == [4, 8, 2]
    assert (feeds["input_values"][feeds["attention_mask"] == 0] == -1).all()


def test_without_a_mask_only_equal_lengths_share_a_run():
    task = classifier(mask=False)
    items = [recording((0.5, 4)), recording((0.2, 8)), recording((0.3, 4))]
    assert [labels[0].score for labels in task.predict(items)] == pytest.approx([5, 2, 3])
    assert [feeds["input_values"].shape for feeds in task.session.feeds] == [(2, 4), (1, 8)]
    assert all(list(feeds) == ["input_values"] for feeds in task.session.feeds)


def test_each_window_is_normalised_where_the_model_wants_it():
    task = classifier(normalize=True)
    samples = np.tile(np.array([0.1, 0.3], np.float32), 10)
    task((samples, 10))
    (feeds,) = task.session.feeds
    assert feeds["input_values"] == pytest.approx(np.tile([-1, 1], (2, 5)), abs=1e-4)


def test_a_longer_recording_is_the_mean_of_its_windows():
    task = classifier()
    item = recording((0.1, 10), (0.5, 10))  # two of the model's 1 s
    assert task(item, top_k=1) == [Label("high", 3.0, 1)]
    sizes = [feeds["input_values"].shape for feeds in task.session.feeds]
    assert sizes == [(2, 10)]
    # Three windows of 0.8 s; 2 samples of the second are 0.1 and 6 are 0.5.
    assert task(item, top_k=1, window_seconds=0.8)[0].score == pytest.approx((1 + 4 + 5) / 3)
    task(item, window_seconds=1.5)  # the most that the model hears at once
    assert task.session.feeds[-1]["input_values"].shape == (2, 15)
    quarters = task(item, window_seconds=1.0, step_seconds=0.5, top_k=1)
    assert quarters[0].score == pytest.approx((1 + 3 + 5) / 3)


def test_probabilities_are_averaged_not_logits():
    found = classifier(function="sigmoid")(recording((0.0, 10), (0.4, 10)), top_k=None)
    high = next(label.score for label in found if label.label == "high")
    assert high == pytest.approx((1 / 2 + 1 / (1 + np.exp(-4))) / 2)


def test_recordings_of_any_length_in_one_call():
    task = classifier()
    items = [recording((0.1, 25)), recording((0.4, 3)), recording((0.3, 10), (0.5, 10))]
    alone = [task(item) for item in items]
    for found in (task.predict(items), list(task.map(items, budget=2.0))):
        assert found == alone


def test_a_long_recording_takes_many_runs():
    task = classifier()
    task(recording((0.1, 10 * 70)))
    counts = [len(feeds["input_values"]) for feeds in task.session.feeds]
    assert counts == [30, 30, 10]


def test_labels_over_time():
    task = classifier()
    item = recording((0.25, 10), (0.5, 7))
    assert task.over_time(item, 0.5, top_k=1) == [
        TimedLabels(0.0, 0.5, [Label("high", 2.5, 1)]),
        TimedLabels(0.5, 1.0, [Label("high", 2.5, 1)]),
        TimedLabels(1.0, 1.5, [Label("high", 5.0, 1)]),
        TimedLabels(1.2, 1.7, [Label("high", 5.0, 1)]),
    ]
    overlapping = task.over_time(item, 1.0, 0.5, top_k=1, function_to_apply="none")
    assert [(one.start, one.end) for one in overlapping] == [(0, 1), (0.5, 1.5), (0.7, 1.7)]
    assert task.over_time(recording((0.25, 3)), 1.0, top_k=1)[0].to_dict() == {
        "start": 0.0,
        "end": 0.3,
        "labels": [{"label": "high", "score": 2.5}],
    }


def test_wrong_windows():
    with pytest.raises(InputError, match="window_seconds is 2; it is a number of seconds from 0.2"):
        classifier()(recording((0, 9)), window_seconds=2)
    with pytest.raises(InputError, match="step_seconds is 1; it is a number of seconds above 0"):
        classifier().over_time(recording((0, 9)), 0.5, 1)


def test_files_and_bytes_are_recordings(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(recording((0.5, 4))[0]))
    task = classifier()
    found = task.predict([path, str(path), path.read_bytes()], top_k=1)
    assert found == [[Label("high", 5.0, 1)]] * 3
    assert task.measure(path) == 0.4


def wav(samples, rate=10):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def test_what_can_be_read_of_a_damaged_file_is_heard():
    whole = wav(recording((0.5, 20))[0])
    with pytest.warns(DamagedRecordingWarning, match="the answer is about what comes before"):
        found = classifier()(whole[: -8 * 4], top_k=1)
    assert found == [Label("high", 5.0, 1)]


def test_another_rate_is_resampled_block_by_block():
    task = classifier()
    task((np.full(500, 0.5, np.float32), 100))
    assert sum(len(feeds["input_values"]) for feeds in task.session.feeds) == 5
    with pytest.raises(InputError, match="rate is 0; it is a number of samples per second"):
        task((np.zeros(9, np.float32), 0))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (recording((0, 1)), "is too short: 1 samples at 10 Hz, the model needs at least 2"),
        (recording((np.nan, 4)), "holds samples that are NaN or infinite"),
        (recording((0.5, 10), (np.inf, 10)), "holds samples that are NaN or infinite"),
        ("none.wav", r"there is no file 'none\.wav'"),
        ((np.zeros(0, np.float32), 10), "holds no samples"),
    ],
)
def test_what_cannot_be_heard_is_refused(item, message):
    with pytest.raises(InputError, match=message):
        classifier()(item)


def test_map_returns_the_errors_in_their_place():
    items = [recording((0.5, 4)), b"not a sound", recording((0.2, 4))]
    answers = list(classifier().map(items, errors="return", top_k=1))
    assert [type(answer) for answer in answers] == [list, InputError, list]


def test_no_items_run_nothing():
    task = classifier()
    assert task.predict([]) == []
    assert task.session.feeds == []


class Shapes:
    """Remembers what it is fed."""

    def __init__(self):
        self.feeds = []

    def run(self, feeds, outputs=None):
        self.feeds.append(feeds)
        (values,) = feeds.values()
        return {"logits": np.zeros((len(values), 3), np.float32)}


def features(hears, samples, window=None):
    return AudioClassificationSpec(
        audio=AudioSpec(
            sampling_rate=16000,
            normalize=False,
            padding_value=0.0,
            min_samples=400,
            max_seconds=samples / 16000,
        ),
        window_seconds=window or samples / 16000,
        hears=hears,
        labels=LABELS,
        function="softmax",
    )


FBANK = FbankSpec(n_mels=4, frames=3, mean=1.0, std=0.5)
MEL = MelSpec(n_fft=400, hop_length=160, n_mels=6, sampling_rate=16000, chunk_seconds=0.5)


@pytest.mark.parametrize(
    ("hears", "samples", "name", "shape"),
    [
        (FBANK, 720, "input_values", (3, 3, 4)),
        (LogMelFeatures(mel=MEL), 8000, "input_features", (3, 6, 50)),
    ],
)
def test_features_are_of_one_length(hears, samples, name, shape):
    session = Shapes()
    task = AudioClassifier(session, features(hears, samples))
    rng = np.random.default_rng(0)
    waves = [rng.normal(size=size).astype(np.float32) for size in (400, samples, samples - 100)]
    task.predict([(wave, 16000) for wave in waves])
    (feeds,) = session.feeds
    assert list(feeds) == [name] and feeds[name].shape == shape
    assert feeds[name].dtype == np.float32
    assert len(task.over_time((waves[1], 16000), 400 / 16000)) == -(-samples // 400)
    assert task.measure((waves[0], 16000)) == samples / 16000  # what is padded costs as much
    for window in (0.01, 10.0):
        with pytest.raises(
            ValueError, match="window_seconds is .*; the model hears 400 samples to"
        ):
            features(hears, samples, window)
    with pytest.raises(ValueError, match=r"audio\.max_seconds is .*; the features are made of"):
        features(hears, samples + 10)


def test_the_example_is_answered_and_the_stages_are_timed():
    task = classifier()
    with record_stages() as seconds:
        task.warm_up()
    assert task.measure(task.example()) == 1.0
    assert set(seconds) == {"preprocess", "run", "postprocess"}


@pytest.mark.parametrize(
    "spec", [spec_of(), features(FBANK, 720), features(LogMelFeatures(mel=MEL), 8000)]
)
def test_the_spec_survives_the_manifest(spec):
    manifest = Manifest(
        schema_version=1,
        task=AudioClassifier.name,
        architecture="Wav2Vec2ForSequenceClassification",
        variants={},
        default_variant={},
        files={},
        spec=msgspec.json.decode(msgspec.json.encode(spec)),
    )
    session = Mean()
    task = AudioClassifier.from_bundle(Bundle(Path("nowhere"), manifest), {"model": session})
    assert task.spec == spec
    assert task.session is session


def test_a_spec_without_labels_is_refused():
    with pytest.raises(ValueError, match="labels is empty"):
        spec_of(labels=())
