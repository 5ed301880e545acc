"""What is measured: the tables of cases and engines.

Imported by every worker before its clock starts, so it imports the standard library only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.cases import ROOT

ModelName = Literal["wav2vec2-base", "whisper-base"]
CACHE = ROOT / "bench-out" / "cache" / "speech"
WARM_SECONDS = 5
"""Of the recording that every engine hears first: shorter than a window of a long one."""


@dataclass(frozen=True, slots=True)
class Case:
    """A model and a recording."""

    title: str
    model: ModelName
    seconds: int
    """Of the recording."""
    rounds: int
    parts: bool = False
    """Whether features, encoder and tokens of one window are measured, instead of file to text."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to write down a recording; its module has `open_engine(job: Job) -> Call`."""

    title: str
    module: str
    models: tuple[ModelName, ...]
    precision: str = "fp32"
    environment: str | None = None
    """Where it is installed, a key of `benchmarks.environments.REQUIREMENTS`; None: beside us."""

    @property
    def exact(self) -> bool:
        """Whether it computes in fp32."""
        return self.precision == "fp32"


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine opens."""

    case: Case
    engine: Engine
    threads: int
    facts: dict[str, float]
    """Takes what the engine tells besides times."""

    @property
    def checkpoint(self) -> Path:
        """The model as transformers saves it."""
        return CACHE / "checkpoints" / self.case.model

    @property
    def bundle(self) -> Path:
        """The model as exported."""
        return CACHE / "bundles" / self.case.model

    @property
    def converted(self) -> Path:
        """The model as CTranslate2 reads it."""
        return CACHE / "peers" / f"{self.case.model}-{self.engine.precision}"


def recording(seconds: int) -> Path:
    """A recording of that length."""
    return CACHE / "recordings" / f"{seconds}s.flac"


LENGTHS = {10: ("10 s", 7), 300: ("5 min", 3), 3600: ("60 min", 1)}
MODELS: dict[ModelName, str] = {"wav2vec2-base": "Wav2Vec2-base", "whisper-base": "Whisper-base"}
CASES: dict[str, Case] = {
    **{
        f"{model}-{seconds}s": Case(f"{title}, {length}, file to text", model, seconds, rounds)
        for model, title in MODELS.items()
        for seconds, (length, rounds) in LENGTHS.items()
    },
    "whisper-base-parts": Case(
        "Whisper-base, one window of 30 s: features, encoder, 64 tokens",
        "whisper-base",
        30,
        9,
        True,
    ),
}
SHORT = tuple(name for name, case in CASES.items() if case.seconds < 3600)

BOTH: tuple[ModelName, ...] = ("wav2vec2-base", "whisper-base")
ENGINES: dict[str, Engine] = {
    "onnxtasks-fp32": Engine("onnxtasks cpu-fp32", "bundle", BOTH),
    "onnxtasks-int8": Engine("onnxtasks cpu-int8", "bundle", BOTH, "int8"),
    "onnxtasks-w8": Engine("onnxtasks cpu-w8", "bundle", ("whisper-base",), "w8"),
    "transformers": Engine("transformers", "original", BOTH),
    "faster-whisper-fp32": Engine(
        "faster-whisper float32", "faster", ("whisper-base",), environment="faster-whisper"
    ),
    "faster-whisper-int8": Engine(
        "faster-whisper int8", "faster", ("whisper-base",), "int8", "faster-whisper"
    ),
}
OURS = tuple(name for name in ENGINES if name.startswith("onnxtasks-"))
BASELINE = "transformers"
