"""Words spoken by espeak-ng with the time of each, through its library (the program gives none)."""

import ctypes
import ctypes.util
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly
from speech_data import RATE, Utterance

# From espeak-ng/speak_lib.h.
SYNCHRONOUS, UTF8, CHARACTERS = 2, 1, 1
SPEED, PITCH = 1, 3
LIST_END, WORD = 0, 1
QUIET = 0.01  # samples below are silence


class _Event(ctypes.Structure):
    """`espeak_EVENT`: what begins at which sample."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


class _Voice(ctypes.Structure):
    """`espeak_VOICE`: what is asked for."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Listener = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Sentence:
    """A recording without silence around it."""

    wave: npt.NDArray[np.float32]  # in [-1, 1], 16 kHz, mono
    words: tuple[str, ...]
    starts: npt.NDArray[np.float64]  # of each word, seconds


class _Speaker:
    """The library, and what it says."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise SystemExit("the library of espeak-ng is missing; it comes with its package")
        self.library: Any = ctypes.CDLL(name)
        self.rate = int(self.library.espeak_Initialize(SYNCHRONOUS, 0, None, 0))
        self.parts: list[np.ndarray] = []
        self.starts: list[int] = []
        self.listener = _Listener(self._listen)  # held, as the library calls it later
        self.library.espeak_SetSynthCallback(self.listener)

    def _listen(self, samples: Any, count: int, events: Any) -> int:
        place = 0
        while events[place].type != LIST_END:
            if events[place].type == WORD and events[place].length:  # else the end of a clause
                self.starts.append(events[place].sample)
            place += 1
        if count > 0:
            self.parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def _choose(self, voice: bytes) -> None:
        """Take a voice as the program does: by its name, else by its language."""
        if self.library.espeak_SetVoiceByName(voice):
            wanted = _Voice(languages=voice)
            if self.library.espeak_SetVoiceByProperties(ctypes.byref(wanted)):
                raise SystemExit(f"espeak-ng has no voice {voice.decode()!r}")

    def say(self, utterance: Utterance) -> tuple[np.ndarray, np.ndarray]:
        """Samples (float32, at the library's rate) and the first sample of each word."""
        self.parts, self.starts = [], []
        text = utterance.text.replace(" ", ", ") if utterance.pauses else utterance.text
        said = text.encode()
        self._choose(utterance.voice.encode())
        self.library.espeak_SetParameter(SPEED, utterance.speed, 0)
        self.library.espeak_SetParameter(PITCH, utterance.pitch, 0)
        self.library.espeak_Synth(said, len(said) + 1, 0, CHARACTERS, 0, UTF8, None, None)
        samples = np.concatenate(self.parts).astype(np.float32) / 32768
        return samples, np.array(self.starts)


_speaker = cache(_Speaker)


def speak_timed(utterances: Iterable[Utterance]) -> list[Sentence]:
    """Speak utterances, cut where they begin and end, with the time of each word.

    Now and then the library misses a word; such an utterance is left out.
    """
    speaker = _speaker()
    shared = int(np.gcd(RATE, speaker.rate))
    found = []
    for utterance in utterances:
        samples, places = speaker.say(utterance)
        words = tuple(utterance.text.split())
        if len(places) != len(words):
            continue
        wave = resample_poly(samples, RATE // shared, speaker.rate // shared)
        loud = np.flatnonzero(np.abs(wave) > QUIET)
        begin, end = int(loud[0]), int(loud[-1]) + 1
        starts = np.clip(places / speaker.rate - begin / RATE, 0.0, None)
        found.append(Sentence(wave[begin:end].astype(np.float32), words, starts))
    return found
