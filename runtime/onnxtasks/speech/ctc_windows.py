"""Which windows of recordings a CTC model hears: read, cut, and never more than a few held."""

from collections.abc import Iterator, Sequence

from onnxtasks.errors import InputError
from onnxtasks.ops.audio import AudioLike
from onnxtasks.ops.ctc import frame_count, receptive_field
from onnxtasks.speech.chunks import Chunking, Window, chunking, cut, whole_or_cut
from onnxtasks.speech.ctc_spec import CtcSpeechSpec
from onnxtasks.speech.recording import open_recording, recording_seconds
from onnxtasks.timing import staged

CHUNK_SECONDS = 7.0
"""Of a window of a recording that is longer than the model takes at once. It decides the memory of
an hour: 240 MB above the loaded model for Wav2Vec2-base."""
BLOCK_SECONDS = 10.0
"""Read from a file at a time."""

Stride = float | tuple[float, float] | None


def checked_chunking(
    chunk_seconds: float | None, stride_seconds: Stride, spec: CtcSpeechSpec
) -> Chunking | None:
    """Check how to cut; None where recordings are heard whole if they can be.

    Args:
        chunk_seconds: Length of a window, or None.
        stride_seconds: As for `chunks.chunking`.
        spec: The model's settings.

    Raises:
        InputError: Windows that the model does not take, or that leave a gap.
    """
    if chunk_seconds is None:
        if stride_seconds is not None:
            raise InputError("stride_seconds needs chunk_seconds, the length of a window")
        return None
    return required_chunking(chunk_seconds, stride_seconds, spec)


def required_chunking(
    chunk_seconds: float, stride_seconds: Stride, spec: CtcSpeechSpec
) -> Chunking:
    """As `checked_chunking`, where recordings are cut in any case."""
    step, rate, limit = spec.frame_step, spec.audio.sampling_rate, spec.audio.max_seconds
    how = chunking(chunk_seconds, stride_seconds, rate, step)
    if chunk_seconds > limit:
        raise InputError(
            f"chunk_seconds is {chunk_seconds:g}; the model takes at most {limit:g} s at once"
        )
    # The last frames of a window reach beyond it: without a stride they would be missing.
    reach = receptive_field(spec.conv_kernels, spec.conv_strides) - step
    if how.right < reach:
        raise InputError(
            f"the right stride is {how.right / rate:g} s; the model needs at least "
            f"{-(-reach // step) * step / rate:g} s to lose nothing between chunks"
        )
    return how


def automatic_chunking(spec: CtcSpeechSpec) -> Chunking:
    """How recordings are cut that are longer than the model takes at once."""
    seconds = min(CHUNK_SECONDS, spec.audio.max_seconds)
    return required_chunking(seconds, None, spec)


def read_windows(
    items: Sequence[AudioLike],
    spec: CtcSpeechSpec,
    how: Chunking | None,
    damage: dict[int, str],
) -> Iterator[tuple[int, Window]]:
    """Read recordings, the longest first, so that neighbours are of similar length.

    Args:
        items: The recordings; one is open at a time.
        spec: The model's settings.
        how: Windows; None for whole recordings, as far as the model takes them.
        damage: Takes what is wrong with a recording that could be read in part.

    Yields:
        The index of a recording and a window of it that makes at least one frame.

    Raises:
        InputError: A recording that cannot be read or is too short.
    """
    audio = spec.audio
    sizes = [recording_seconds(item, audio) for item in items] if len(items) > 1 else [0.0]
    longest = round(audio.max_seconds * audio.sampling_rate)
    for index in sorted(range(len(items)), key=lambda index: -sizes[index]):
        with open_recording(items[index], audio) as recording:
            blocks = recording.blocks(BLOCK_SECONDS)
            if how is None:
                windows = whole_or_cut(blocks, longest, lambda: automatic_chunking(spec))
            else:
                windows = cut(blocks, how)
            for window in staged("preprocess", windows):
                if frames_of(window.samples.size, spec):
                    yield index, window
            if recording.damage:
                damage[index] = f"{recording.damage}; what is before was written down"


def frames_of(samples: int, spec: CtcSpeechSpec) -> int:
    """How many frames the model makes of so many samples."""
    return frame_count(samples, spec.conv_kernels, spec.conv_strides)
