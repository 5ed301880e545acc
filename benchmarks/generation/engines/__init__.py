"""Who is measured: the table of engines. Each one's imports live in its own module."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.generation.cases import Case, Files
from benchmarks.generation.models import MODELS, Family, Model


class Answerer(Protocol):
    """A loaded model."""

    def ready(self, texts: list[list[int]]) -> Any:
        """The engine's form of a call's token ids; not timed."""
        ...

    def generate(self, ready: Any, new: int) -> list[list[int]]:
        """Write so many tokens after each text; give their ids. Timed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One way to answer; its module has `open_engine(job: Job) -> Answerer`."""

    title: str
    module: str
    exact: bool = True
    """Whether it computes in fp32 and is to answer as the original; the others trade that away."""
    precision: str = "fp32"
    families: tuple[Family, ...] = ("bart", "gpt2", "llama", "marian", "t5")
    """The models that it takes."""
    lookup: bool = False
    """Whether tokens of the prompt are proposed (prompt-lookup decoding)."""
    beams: bool = True
    """Whether it takes part in beam searches."""
    package: str | None = None
    """What has to be installed for it, beside the extra `export`."""

    @property
    def variant(self) -> str | None:
        """The bundle's variant that it reads; None for another engine's files."""
        return f"cpu-{self.precision}" if self.module.endswith(".bundle") else None


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine opens."""

    case: Case
    files: Files
    engine: Engine
    threads: int
    tokens: list[str] = field(repr=False)
    """Every token by id."""

    @property
    def model(self) -> Model:
        """The case's model."""
        return MODELS[self.case.model]


def _ours(precision: str, lookup: bool = False) -> Engine:
    return Engine(
        title=f"onnxtasks cpu-{precision}" + ", prompt lookup" * lookup,
        module="benchmarks.generation.engines.bundle",
        exact=precision == "fp32",
        precision=precision,
        lookup=lookup,
    )


def _ctranslate2(precision: str) -> Engine:
    return Engine(
        title=f"CTranslate2 {precision}",
        module="benchmarks.generation.engines.ctranslate2_model",
        exact=precision == "fp32",
        precision=precision,
        package="ctranslate2",
    )


def _genai(precision: str) -> Engine:
    return Engine(
        title=f"onnxruntime-genai {precision}",
        module="benchmarks.generation.engines.genai_model",
        exact=precision == "fp32",
        precision=precision,
        families=("llama",),
        package="onnxruntime_genai",
    )


def _original(lookup: bool = False) -> Engine:
    return Engine(
        title="transformers generate" + ", prompt lookup" * lookup,
        module="benchmarks.generation.engines.original",
        lookup=lookup,
    )


ENGINES: dict[str, Engine] = {
    "onnxtasks-fp32": _ours("fp32"),
    "onnxtasks-int8": _ours("int8"),
    "onnxtasks-w8": _ours("w8"),
    "onnxtasks-w4": _ours("w4"),
    "onnxtasks-fp32-lookup": _ours("fp32", lookup=True),
    "onnxtasks-int8-lookup": _ours("int8", lookup=True),
    "onnxtasks-w8-lookup": _ours("w8", lookup=True),
    "transformers": _original(),
    "transformers-lookup": _original(lookup=True),
    "ctranslate2-fp32": _ctranslate2("fp32"),
    "ctranslate2-int8": _ctranslate2("int8"),
    "genai-fp32": _genai("fp32"),
    "genai-int4": _genai("int4"),
}
OURS = tuple(name for name in ENGINES if name.startswith("onnxtasks-"))
PEERS = tuple(name for name in ENGINES if name not in OURS)
BASELINE = "transformers"


def takes_part(engine: Engine, case: Case) -> bool:
    """Whether an engine can do a case."""
    fits = MODELS[case.model].family in engine.families
    return fits and (case.copies or not engine.lookup) and (engine.beams or case.beams == 1)
