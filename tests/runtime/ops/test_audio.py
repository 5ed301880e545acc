"""Reading recordings: every format, every way to be wrong."""

import io
import wave

import numpy as np
import pytest
import soundfile

from onnxtasks.errors import InputError
from onnxtasks.ops import audio
from onnxtasks.ops.audio import AudioSpec, audio_seconds, normalise, pad, read_audio, to_mono
from onnxtasks.ops.scores import Float

SPEC = AudioSpec(
    sampling_rate=8000, normalize=True, padding_value=0.0, min_samples=80, max_seconds=2.0
)
RATE = 8000


def tone(samples=RATE, rate=RATE) -> Float:
    values: Float = (0.5 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate)).astype(np.float32)
    return values


def sound_bytes(samples, rate=RATE, kind="WAV", subtype=None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def refused(item, spec=SPEC) -> str:
    with pytest.raises(InputError) as caught:
        read_audio(item, spec)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "FLOAT", 0),
        ("WAV", "PCM_16", 1e-4),
        ("FLAC", "PCM_24", 1e-6),
        ("OGG", "VORBIS", 0.1),
    ],
)
def test_files_are_read(tmp_path, kind, subtype, tolerance):
    path = tmp_path / f"tone.{kind.lower()}"
    path.write_bytes(sound_bytes(tone(), kind=kind, subtype=subtype))

    for item in (path, str(path), path.read_bytes()):
        samples = read_audio(item, SPEC)
        assert samples.dtype == np.float32
        assert samples.shape == (RATE,)
        assert np.abs(samples - tone()).max() <= tolerance
        assert audio_seconds(item) == 1.0


def test_mp3_is_read():
    data = sound_bytes(tone(16000, 16000), 16000, "MP3")

    samples = read_audio(data, SPEC)

    assert len(samples) == pytest.approx(RATE, abs=300)
    assert samples.std() == pytest.approx(tone().std(), rel=0.1)
    assert audio_seconds(data) == pytest.approx(1.0, abs=0.1)


def test_a_file_of_the_wave_module_is_read(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.full(100, 16384, "<i2").tobytes())

    assert (read_audio(tmp_path / "a.wav", SPEC) == 0.5).all()


def test_files_are_decoded_in_blocks(monkeypatch):
    monkeypatch.setattr(audio, "BLOCK_VALUES", 500)
    stereo = np.stack([tone(), -0.5 * tone()], axis=1)

    for kind, subtype in (("WAV", "FLOAT"), ("FLAC", "PCM_24")):
        samples = read_audio(sound_bytes(stereo, kind=kind, subtype=subtype), SPEC)
        assert np.abs(samples - 0.25 * tone()).max() < 1e-6


def test_arrays_are_taken_as_they_are():
    for samples in (tone(), tone().astype(np.float64)):
        assert (read_audio((samples, RATE), SPEC) == tone()).all()
    assert audio_seconds((tone(), RATE)) == 1.0
    assert audio_seconds((tone(), np.float64(4000.0))) == 2.0


def test_channels_are_averaged():
    assert to_mono(np.array([[1.0, 0.0], [0.5, -0.5]], np.float32)).tolist() == [0.5, 0.0]
    samples = np.repeat([[0.25, 0.75]], 100, axis=0).astype(np.float32)
    assert (read_audio((samples, RATE), SPEC) == 0.5).all()


def test_int16_is_scaled():
    assert to_mono(np.array([-32768, 0, 16384], np.int16)).tolist() == [-1.0, 0.0, 0.5]


@pytest.mark.parametrize("rate", [4000, 11025, 16000, 44100])
def test_other_rates_are_resampled(rate):
    samples = read_audio((tone(rate, rate), rate), SPEC)

    assert abs(len(samples) - RATE) <= 1
    inside = slice(500, 7500)  # the filter rings at the ends
    assert np.abs(samples[inside] - tone()[inside]).max() < 1e-3


def test_silence_is_a_recording():
    silence = np.zeros(100, np.float32)

    assert (read_audio((silence, RATE), SPEC) == silence).all()
    assert (normalise(silence) == silence).all()


def test_the_longest_and_the_shortest_recording_are_taken():
    assert len(read_audio((tone(2 * RATE), RATE), SPEC)) == 2 * RATE
    assert len(read_audio(sound_bytes(tone(2 * RATE)), SPEC)) == 2 * RATE
    assert len(read_audio((tone(80), RATE), SPEC)) == 80


def test_normalise_has_zero_mean_and_unit_variance():
    assert normalise(np.array([1, 3, 1, 3], np.float32)).tolist() == pytest.approx([-1, 1, -1, 1])


def test_pad_fills_the_end_and_masks_it():
    values, mask = pad([np.array([1, 2, 3], np.float32), np.array([4], np.float32)], -9.0)

    assert values.tolist() == [[1, 2, 3], [4, -9, -9]]
    assert values.dtype == np.float32
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert mask.dtype == np.int64


def test_missing_files_and_folders_are_refused(tmp_path):
    assert "there is no file" in refused(tmp_path / "none.wav")
    assert "is a folder" in refused(str(tmp_path))
    assert "cannot be opened: File name too long" in refused("a" * 5000)


def test_files_that_are_no_sound_are_refused(tmp_path):
    text = tmp_path / "notes.wav"
    text.write_text("these are words, not samples\n" * 20)
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    raw = tmp_path / "samples.raw"
    raw.write_bytes(bytes(1000))

    assert "'" + str(text) + "' cannot be read as sound" in refused(text)
    assert "not one of WAV, FLAC, OGG, MP3" in refused(empty)
    assert "the recording (bytes) cannot be read as sound" in refused(b"")
    assert "no header that says its rate; pass (samples, rate)" in refused(raw)


def test_cut_files_are_refused():
    for kind, expected in (("WAV", "its end is missing"), ("FLAC", "cannot be read as sound")):
        data = sound_bytes(tone(), kind=kind)
        assert expected in refused(data[: len(data) // 2])


def test_damaged_files_are_refused():
    # Noise, so that it fills several Ogg pages; the lost ones are in the middle.
    noise = np.random.default_rng(0).normal(0, 0.1, 48000)
    data = bytearray(sound_bytes(noise, 24000, kind="OGG", subtype="VORBIS"))
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)

    assert "of its 48000 samples can be decoded" in refused(bytes(data))


def test_wav_written_into_a_pipe_is_read():
    data = bytearray(sound_bytes(tone()))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # the length was not known when it was written

    assert len(read_audio(bytes(data), SPEC)) == RATE


def test_flac_of_unknown_length_is_refused():
    data = bytearray(sound_bytes(tone(), kind="FLAC"))
    data[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples
    data[22:26] = bytes(4)

    assert "does not say in its header how long it is" in refused(bytes(data))
    with pytest.raises(InputError, match="how long it is"):
        audio_seconds(bytes(data))


def test_long_files_are_refused_before_they_are_decoded(monkeypatch):
    def fail(sound):
        raise AssertionError("decoded")

    monkeypatch.setattr(audio, "_block", fail)

    for kind in ("WAV", "FLAC", "OGG"):
        message = refused(sound_bytes(np.zeros(3 * RATE), kind=kind))
        assert "is longer than the 2 s that are taken at once (at least 3.0 s)" in message


def test_decoding_a_long_mp3_stops_at_the_limit(monkeypatch):
    blocks = []
    decode = audio._block

    def count(sound):
        blocks.append(1)
        return decode(sound)

    monkeypatch.setattr(audio, "BLOCK_VALUES", 4000)
    monkeypatch.setattr(audio, "_block", count)

    assert "longer than the 2 s" in refused(sound_bytes(np.zeros(80000), RATE, "MP3"))
    assert len(blocks) == 5


def test_long_arrays_are_refused():
    assert "longer than the 2 s" in refused((np.zeros(2 * RATE + 1, np.float32), RATE))
    assert "longer than the 2 s" in refused((np.zeros(100, np.float32), 1))


def test_short_recordings_are_refused():
    message = refused((tone(79), RATE))
    assert "is too short: 79 samples at 8000 Hz, the model needs at least 80 (10 ms)" in message
    assert "is too short: 40 samples" in refused((tone(80), 2 * RATE))
    assert "is too short: 0 samples" in refused((tone(80), 1e300))


def test_empty_recordings_are_refused():
    assert "holds no samples" in refused((np.zeros(0, np.float32), RATE))
    assert "holds no samples" in refused((np.zeros((0, 2), np.float32), RATE))
    assert "holds no samples" in refused(sound_bytes(np.zeros(0)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(value):
    samples = np.stack([tone(), tone()], axis=1)
    samples[5, 1] = value

    assert "NaN or infinite" in refused((samples, RATE))
    assert "NaN or infinite" in refused(sound_bytes(samples, subtype="FLOAT"))


def test_samples_beyond_float32_are_refused():
    assert "NaN or infinite" in refused((np.full(100, 1e300), RATE))
    both = np.array([[np.inf, -np.inf]] * 100, np.float32)
    assert "NaN or infinite" in refused((both, RATE))


@pytest.mark.parametrize("rate", [0, -8000, np.nan, np.inf, "8000", None, True])
def test_rates_that_are_none_are_refused(rate):
    assert f"rate is {rate!r}; it is a number of samples per second" in refused((tone(), rate))
    with pytest.raises(InputError, match="rate is"):
        audio_seconds((tone(), rate))


def test_shapes_that_are_none_are_refused():
    assert "if the channels come first, pass samples.T" in refused(
        (np.zeros((2, RATE), np.float32), RATE)
    )
    assert "(1 to 32 are taken)" in refused((np.zeros((RATE, 33), np.float32), RATE))
    assert "0 channels" in refused((np.zeros((RATE, 0), np.float32), RATE))
    assert "they are [time] or [time, channel]" in refused((np.zeros((2, 3, 4), np.float32), RATE))
    assert "have shape ()" in refused((np.array(1.0), RATE))


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64, bool, complex, object])
def test_other_sample_types_are_refused(dtype):
    message = refused((np.zeros(100, dtype), RATE))

    assert f"samples are {np.dtype(dtype)}; they are float32 in [-1, 1], or int16" in message


def test_other_inputs_are_refused():
    assert "got a tuple of 3" in refused((tone(), RATE, 1))
    assert "samples are a list; they are a numpy array" in refused(([0.0] * 100, RATE))
    assert "got ndarray" in refused(tone())
    assert "got NoneType" in refused(None)
    assert "got dict" in refused({"raw": tone(), "sampling_rate": RATE})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling_rate": 0}, "sampling_rate is 0"),
        ({"min_samples": 0}, "min_samples is 0"),
        ({"max_seconds": 0.001}, "max_seconds is 0.001"),
        ({"max_seconds": float("nan")}, "max_seconds is nan"),
    ],
)
def test_specs_that_no_recording_meets_are_refused(changes, message):
    values = {"sampling_rate": 8000, "normalize": True, "padding_value": 0.0, "min_samples": 80}

    with pytest.raises(ValueError, match=message):
        AudioSpec(**{**values, **changes})
