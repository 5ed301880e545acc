"""Reading recordings of any length in blocks: every format, and what is damaged."""

import io
import sys
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import soxr

from onnxtasks.errors import InputError
from onnxtasks.ops.audio import AudioSpec, read_audio
from onnxtasks.ops.scores import Float
from onnxtasks.speech import recording as module
from onnxtasks.speech.recording import (
    live_blocks,
    open_recording,
    recording_seconds,
    regroup,
    resampled,
)

RATE = 8000
SPEC = AudioSpec(
    sampling_rate=RATE, normalize=False, padding_value=0.0, min_samples=80, max_seconds=1.0
)


def noise(seconds=3.0, rate=RATE, seed=0) -> Float:
    values: Float = np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate))
    return values.astype(np.float32)


def sound_bytes(samples, rate=RATE, kind="WAV", subtype=None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def media_bytes(samples, kind="mp4", codec="aac", rate=RATE) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        stream: Any = container.add_stream(codec, rate=rate, layout="mono")
        for start in range(0, len(samples), 1024):
            part = samples[None, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def read(item, spec=SPEC, seconds=0.5) -> tuple[Float, str | None]:
    with open_recording(item, spec) as recording:
        samples = np.concatenate(list(recording.blocks(seconds)))
        return samples, recording.damage


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)]
)
def test_blocks_are_the_recording_that_read_audio_reads(kind, subtype, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "READ_VALUES", 700)
    data = sound_bytes(noise(), kind=kind, subtype=subtype)
    path = tmp_path / "a"
    path.write_bytes(data)
    whole = read_audio(data, AudioSpec(**{**as_dict(SPEC), "max_seconds": 9.0}))

    for item in (data, path, str(path)):
        with open_recording(item, SPEC) as recording:
            blocks = list(recording.blocks(0.25))
            assert recording.damage is None
            assert recording.seconds == pytest.approx(3.0, abs=0.2)
        assert [len(block) for block in blocks[:-1]] == [2000] * (len(blocks) - 1)
        assert 0 < len(blocks[-1]) <= 2000
        # MP3 finds its place again after each block, and rounds otherwise then.
        assert np.abs(np.concatenate(blocks) - whole).max() < 1e-7
        assert blocks[0].dtype == np.float32


def as_dict(spec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


def test_arrays_are_read_in_blocks(monkeypatch):
    monkeypatch.setattr(module, "READ_VALUES", 700)
    stereo = np.stack([noise(), -0.5 * noise()], axis=1)

    samples, damage = read((stereo, RATE))

    assert np.abs(samples - 0.25 * noise()).max() < 1e-7
    assert damage is None
    assert recording_seconds((stereo, RATE), SPEC) == 3.0


def test_eight_channels_are_averaged():
    samples = np.repeat(noise()[:, None], 8, axis=1) * np.arange(8, dtype=np.float32)

    found, damage = read(sound_bytes(samples, subtype="FLOAT"))

    assert np.abs(found - 3.5 * noise()).max() < 1e-6
    assert damage is None


@pytest.mark.parametrize("rate", [4000, 11025, 16000, 44100])
def test_blocks_are_resampled_as_the_whole(rate):
    sound = noise(2.0, rate)
    parts = [sound[:1], sound[1:1], sound[1:5000], sound[5000:]]

    found = np.concatenate(list(resampled(parts, rate, RATE)))

    whole = soxr.resample(sound, rate, RATE, quality="HQ")
    assert len(found) == len(whole)
    assert np.abs(found - whole).max() < 1e-6
    samples, _ = read((sound, rate))
    assert np.abs(samples - whole).max() < 1e-6


def test_blocks_are_regrouped():
    ends = [(0, 3), (3, 3), (3, 10)]
    parts = [np.arange(start, end, dtype=np.float32) for start, end in ends]

    assert [block.tolist() for block in regroup(parts, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(regroup([], 4)) == []
    assert [len(block) for block in regroup([np.zeros(8, np.float32)], 4)] == [4, 4]


@pytest.mark.parametrize(
    ("kind", "subtype", "least"),
    [("WAV", "PCM_16", 4.9), ("FLAC", "PCM_16", 4.0), ("OGG", "VORBIS", 2.0), ("MP3", None, 4.5)],
)
def test_of_a_file_that_was_cut_halfway_the_first_part_is_read(kind, subtype, least, tmp_path):
    data = sound_bytes(noise(10.0), kind=kind, subtype=subtype)
    whole = read_audio(data, AudioSpec(**{**as_dict(SPEC), "max_seconds": 11.0}))
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(data[: len(data) // 2])

    samples, damage = read(path)

    assert least * RATE < len(samples) < 5.5 * RATE
    sure = len(samples) - RATE // 4  # the last samples of lossy formats fade into nothing
    assert np.abs(samples[:sure] - whole[:sure]).max() < 1e-5
    assert damage is not None
    assert damage.startswith(f"'{path}' is damaged after {len(samples) / RATE:.2f} s (")


def test_of_a_file_with_a_hole_what_is_before_it_is_read():
    data = bytearray(sound_bytes(noise(6.0), kind="FLAC"))
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)

    samples, damage = read(bytes(data))

    assert 1.5 * RATE < len(samples) < 3.1 * RATE
    assert "the recording (bytes) is damaged after" in str(damage)


def test_a_file_of_which_nothing_can_be_decoded_is_refused():
    data = bytearray(sound_bytes(noise(), kind="FLAC"))
    data[86:] = bytes(len(data) - 86)

    with pytest.raises(InputError, match="cannot be read as sound"):
        read(bytes(data))


@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "aac"), ("adts", "aac"), ("matroska", "pcm_s16le")]
)
def test_other_files_are_read_through_pyav(kind, codec, tmp_path):
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    samples = np.round(32768 * tone).astype(np.int16) if codec != "aac" else tone
    data = media_bytes(samples, kind, codec) if codec == "aac" else video_bytes(samples)
    path = tmp_path / "tone.bin"
    path.write_bytes(data)

    for item in (data, path):
        found, damage = read(item)
        assert len(found) == pytest.approx(2 * RATE, abs=2100)  # AAC pads both ends
        assert found.std() == pytest.approx(tone.std(), rel=0.1)
        assert damage is None
    again = read_audio(path, AudioSpec(**{**as_dict(SPEC), "max_seconds": 9.0}))
    assert (again == found).all()


def video_bytes(samples) -> bytes:
    """A video with a sound track."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        pictures: Any = container.add_stream("mpeg4", rate=10, width=16, height=16)
        pictures.pix_fmt = "yuv420p"
        sound: Any = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        picture = np.zeros((16, 16, 3), np.uint8)
        container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(sound.encode(frame))
        container.mux(pictures.encode(None))
        container.mux(sound.encode(None))
    return buffer.getvalue()


def test_a_media_file_that_was_cut_is_read_as_far_as_it_goes():
    data = media_bytes(noise(), "matroska", "aac")

    samples, damage = read(data[: len(data) // 2])

    assert RATE < len(samples) < 2 * RATE
    assert "is damaged after" in str(damage)


def test_a_playlist_opens_no_other_file(tmp_path):
    (tmp_path / "tone.m4a").write_bytes(media_bytes(noise()))
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:3,\n{tmp_path}/tone.m4a\n#EXT-X-ENDLIST\n")

    with pytest.raises(InputError, match="cannot be read as sound"):
        open_recording(playlist, SPEC)


def test_without_pyav_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)

    with pytest.raises(InputError, match=r"pip install 'onnxtasks\[media\]'"):
        open_recording(media_bytes(noise()), SPEC)


def test_a_file_without_sound_is_refused():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        pictures: Any = container.add_stream("mpeg4", rate=10, width=16, height=16)
        picture = np.zeros((16, 16, 3), np.uint8)
        container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(pictures.encode(None))

    with pytest.raises(InputError, match="PyAV finds no sound in it"):
        open_recording(buffer.getvalue(), SPEC)
    with pytest.raises(InputError, match="PyAV does not know it either"):
        open_recording(b"these are words, not samples" * 20, SPEC)


def test_headers_that_do_not_say_their_length_are_read():
    data = bytearray(sound_bytes(noise(), kind="FLAC"))
    data[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples
    data[22:26] = bytes(4)

    samples, damage = read(bytes(data))

    assert (len(samples), damage) == (3 * RATE, None)
    with open_recording(bytes(data), SPEC) as recording:
        assert recording.seconds is None
    assert recording_seconds(bytes(data), SPEC) == np.inf


def test_a_wav_file_from_a_pipe_is_whole():
    data = bytearray(sound_bytes(noise()))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # the length was not known when it was written

    samples, damage = read(bytes(data))

    assert (len(samples), damage) == (3 * RATE, None)


def test_clipped_samples_are_a_recording():
    clipped = np.clip(100 * noise(), -1, 1)

    samples, damage = read(sound_bytes(clipped, subtype="FLOAT"))

    assert (samples == clipped).all()
    assert damage is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(value):
    samples = noise()
    samples[-1] = value

    with pytest.raises(InputError, match="NaN or infinite"):
        read((samples, RATE))
    with pytest.raises(InputError, match="NaN or infinite"):
        read(sound_bytes(samples, subtype="FLOAT"))


def test_short_and_empty_recordings_are_refused():
    for item in ((noise()[:79], RATE), sound_bytes(noise()[:79])):
        with pytest.raises(InputError, match="is too short: 79 samples at 8000 Hz"):
            read(item)
    for item in ((np.zeros(0, np.float32), RATE), sound_bytes(noise()[:0])):
        with pytest.raises(InputError, match="holds no samples"):
            read(item)
    with pytest.raises(InputError, match="is too short: 0 samples"):
        read((noise(), 1e300))


def test_closing_twice_is_allowed():
    recording = open_recording(sound_bytes(noise()), SPEC)
    recording.close()
    recording.close()


def test_live_blocks_are_mixed_and_resampled():
    sound = noise(1.0, 16000)
    stereo = np.stack([sound, 3 * sound], axis=1)

    found = np.concatenate(list(live_blocks([stereo[:50], stereo[50:]], 16000, RATE)))

    assert np.abs(found - soxr.resample(2 * sound, 16000, RATE, quality="HQ")).max() < 1e-5


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.array([np.nan], np.float32), "the live sound holds samples that are NaN"),
        (np.zeros(3, np.int32), "samples are int32"),
        ([0.0], "samples are a list"),
    ],
)
def test_live_blocks_that_are_no_sound_are_refused(block, message):
    with pytest.raises(InputError, match=message):
        list(live_blocks([block], RATE, RATE))
