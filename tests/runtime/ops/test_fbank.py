import numpy as np
import pytest

from onnxtasks.ops.fbank import FLOOR, Fbank, FbankSpec, log_power, mel_filters


def features(samples, *, n_mels=2, frames=3, mean=1.0, std=0.5):
    spec = FbankSpec(n_mels=n_mels, frames=frames, mean=mean, std=std)
    return Fbank(spec)(np.asarray(samples, np.float32))


def tone(hertz, samples):
    return np.sin(2 * np.pi * hertz * np.arange(samples) / 16000).astype(np.float32)


def test_silence_is_the_floor_and_what_is_missing_is_0():
    quiet = np.log(FLOOR)  # -15.94
    found = features(np.zeros(400))
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[quiet - 1] * 2, [-1, -1], [-1, -1]]))
    halved = features(np.zeros(400), std=1.0)
    assert halved == pytest.approx(np.array([[quiet - 1] * 2, [-1, -1], [-1, -1]]) / 2)


def test_an_offset_is_not_heard():
    assert (features(np.full(400, 0.5))[0] == np.float32(np.log(FLOOR) - 1)).all()


@pytest.mark.parametrize(("samples", "frames"), [(400, 1), (559, 1), (560, 2), (720, 3), (9999, 3)])
def test_a_frame_every_10_ms_as_far_as_they_fit(samples, frames):
    found = features(tone(1000, samples), mean=0.0)
    assert (found != 0).any(1).sum() == frames
    assert FbankSpec(n_mels=2, frames=3, mean=0, std=1).samples == 720


def test_a_tone_is_loudest_in_its_band():
    filters = mel_filters(4)
    centres = filters.argmax(0) * 31.25
    # 561.6 mels apart from 593.4 on: 485, 1251, 2511 and 4586 Hz, at the nearest bins.
    assert centres.tolist() == [500.0, 1250.0, 2500.0, 4593.75]
    window = np.hanning(400)
    loudest = [
        int(log_power(tone(hertz, 400)[None], window, filters)[0].argmax()) for hertz in centres
    ]
    assert loudest == [0, 1, 2, 3]


def test_the_filters_are_triangles_that_add_up_to_1():
    filters = mel_filters(2)
    assert filters.shape == (257, 2)
    between = slice(filters[:, 0].argmax() + 1, filters[:, 1].argmax())
    assert filters[between].sum(1) == pytest.approx(1)
    assert filters[0].tolist() == [0, 0]  # 0 Hz is below the lowest corner


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_mels": 0}, "n_mels is 0; it is at least 1"),
        ({"frames": 0}, "frames is 0; it is at least 1"),
        ({"std": 0.0}, "std is 0.0; it is above 0"),
    ],
)
def test_features_that_cannot_be_are_refused(changes, message):
    settings = {"n_mels": 2, "frames": 3, "mean": 0.0, "std": 1.0, **changes}
    with pytest.raises(ValueError, match=message):
        FbankSpec(**settings)
