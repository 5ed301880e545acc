"""results.json -> results.md."""

from benchmarks.figures import Ratio, ratio
from benchmarks.report import milliseconds, table, three_digits, times
from benchmarks.speech.cases import BASELINE, CASES, ENGINES, OURS
from benchmarks.speech.results import CaseResult, EngineResult, Results

NOTE = (
    "One process for each engine; they take turns, every second round backwards, and a turn is one "
    "call. Each hears a recording of 5 s first. Medians of the rounds; spread is slowest minus "
    "fastest round, as a share of the median; a ratio's brackets hold the smallest and the largest "
    "of one round (60 min are heard once). *Times real time* is seconds of sound in a second. "
    "*Above loaded* is peak memory less that of the loaded model. *Text* says if it is "
    "transformers'. Greedy everywhere, other options as each engine has them; weights are random, "
    "and Whisper's positions hold a text, so that every engine writes the same 64 tokens a window. "
    "**Exact** engines compute in fp32, **fast** ones in fewer bits."
)
MEMORY_BYTES = 300e6
"""What 60 minutes may take above the loaded model."""
PARTS = ("features", "encoder", "tokens")
BOUNDS: dict[tuple[str, str], tuple[float, float]] = {
    ("features", "fp32"): (1.0, 1.0),
    ("encoder", "fp32"): (1.0, 1.3),
    ("tokens", "fp32"): (1.2, 1.2),
    ("features", "int8"): (1.0, 1.0),
    ("encoder", "int8"): (1.0, 1.5),
    ("tokens", "int8"): (1.2, 2.0),
}
"""Part and class -> least and wanted times as fast as faster-whisper of the class."""


def markdown(results: Results) -> str:
    """The whole report."""
    parts = ["# Speech recognition", _machine(results), NOTE, _targets(results), _memory(results)]
    parts += [_case(name, case) for name, case in results.cases.items()]
    if results.failures:
        rows = [f"- {name}: {why.splitlines()[-1]}" for name, why in results.failures.items()]
        parts.append("\n".join(["## Failed", "", *rows]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(results: Results) -> str:
    about, limit = results.machine, results.calibration
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    foreign = [f"{100 * case.foreign_share:.0f} %" for case in results.cases.values()]
    rows = [
        ["processor", f"{about['cpu']}, {about['available_cpus']} of {about['cpus']} CPUs"],
        ["packages", packages],
        ["commit", about["commit"]],
        ["calibration", f"fp32 matrix product {limit.matrix_gflops:.0f} GFLOP/s, reading memory "
         f"{limit.read_gbytes:.1f} GB/s, {results.threads} threads"],
        ["other programs", f"took {', '.join(foreign) or '-'} of the machine (in the order below)"],
    ]  # fmt: skip
    return table(["", "machine"], rows).replace("---:", "---")


def _targets(results: Results) -> str:
    case = results.cases.get("whisper-base-parts")
    if case is None:
        return ""
    rows = []
    for (part, precision), (floor, target) in BOUNDS.items():
        peer = case.engines.get(f"faster-whisper-{precision}")
        ours = [
            name
            for name in OURS
            if name in case.engines and ENGINES[name].exact == (precision == "fp32")
        ]
        if peer is None or not ours:
            continue
        best = min(ours, key=lambda name: case.engines[name].times[part].median)
        found = _ratio(peer, case.engines[best], part)
        rows.append(
            [
                f"{part}: {ENGINES[best].title} against faster-whisper {precision}",
                times(found),
                f"at least {floor:g}x",
                "met" if found.value >= floor else "**missed**",
                f"{target:g}x",
                "met" if found.value >= target else "**missed**",
            ]
        )
    head = ["what", "measured", "floor", "verdict", "target", "verdict"]
    return "## Targets\n\n" + table(head, rows)


def _memory(results: Results) -> str:
    rows = []
    for name, case in results.cases.items():
        for engine in OURS:
            if CASES[name].seconds < 3600 or engine not in case.engines:
                continue
            found = case.engines[engine]
            above = found.peak_bytes - found.loaded_bytes
            rows.append(
                [
                    f"{CASES[name].title}: {ENGINES[engine].title}",
                    f"{found.loaded_bytes / 1e6:.0f}",
                    f"{above / 1e6:.0f}",
                    f"at most {MEMORY_BYTES / 1e6:.0f}",
                    "met" if above <= MEMORY_BYTES else "**missed**",
                ]
            )
    head = ["what", "loaded MB", "above it MB", "bound", "verdict"]
    return "## Memory of a long recording\n\n" + table(head, rows) if rows else ""


def _case(name: str, case: CaseResult) -> str:
    rows = _part_rows(case) if CASES[name].parts else _text_rows(name, case)
    head = (
        ["engine", "class", *(f"{part} ms" for part in PARTS), "features", "encoder", "tokens"]
        if CASES[name].parts
        else ["engine", "class", "seconds", "spread", "times real time",
              "times as fast as transformers", "as faster-whisper", "peak MB", "above loaded",
              "text"]
    )  # fmt: skip
    shown = [f"## {CASES[name].title}"]
    if CASES[name].parts:
        shown.append("The last three columns: times as fast as faster-whisper of the class.")
    shown.append(table(head, rows))
    if case.waiting_share > 0.02:
        share = f"{100 * case.waiting_share:.0f} %"
        shown.append(f"Waiting processes took {share} of a CPU: read these numbers with care.")
    return "\n\n".join(shown)


def _text_rows(name: str, case: CaseResult) -> list[list[str]]:
    rows = []
    original = case.engines.get(BASELINE)
    for engine, found in case.engines.items():
        text = found.times["text"]
        same = "-"
        if original is not None:
            equal = original.facts["checksum"] == found.facts["checksum"]
            same = "the same" if equal else "another"
        rows.append(
            [
                ENGINES[engine].title,
                "exact" if ENGINES[engine].exact else "fast",
                three_digits(text.median),
                f"{100 * text.spread:.0f} %",
                three_digits(CASES[name].seconds / text.median),
                "-" if original is None else times(_ratio(original, found, "text")),
                _against_faster(case, engine, "text"),
                f"{found.peak_bytes / 1e6:.0f}",
                f"{(found.peak_bytes - found.loaded_bytes) / 1e6:.0f}",
                same,
            ]
        )
    return rows


def _part_rows(case: CaseResult) -> list[list[str]]:
    return [
        [
            ENGINES[engine].title,
            "exact" if ENGINES[engine].exact else "fast",
            *(milliseconds(found.times[part].median) for part in PARTS),
            *(_against_faster(case, engine, part) for part in PARTS),
        ]
        for engine, found in case.engines.items()
    ]


def _against_faster(case: CaseResult, engine: str, part: str) -> str:
    precision = "fp32" if ENGINES[engine].exact else "int8"
    peer = case.engines.get(f"faster-whisper-{precision}")
    if peer is None or engine.startswith("faster-whisper"):
        return "-"
    return times(_ratio(peer, case.engines[engine], part))


def _ratio(over: EngineResult, under: EngineResult, part: str) -> Ratio:
    return ratio(over.times[part].rounds, under.times[part].rounds)
