"""results.json -> results.md."""

from collections.abc import Sequence
from statistics import median

from benchmarks.cases import CASES, Figure
from benchmarks.engines import BASELINES, ENGINES, PIPELINES
from benchmarks.figures import Ratio, ratio
from benchmarks.results import (
    CaseResult,
    EngineResult,
    Quantity,
    Results,
    Timing,
    fastest,
    series,
)
from benchmarks.targets import Verdict, judge

FIGURES: dict[Figure, tuple[str, str]] = {
    "answer": ("File or text to answer", "transformers"),
    "model": ("Session or model only", "torch"),
    "preprocess": ("File to the model's input", "transformers-preprocess"),
}
"""Figure -> its heading, and the engine that the others are compared with."""


SET_NOTE = (
    "Padding is the share of all positions computed on that hold none. Of the fp32 peak: what the "
    "texts need without padding, so padding counts as time lost. Peak MB is after all rounds."
)


def markdown(results: Results) -> str:
    """The whole report."""
    parts = ["# Benchmarks", _machine(results), _targets(judge(results))]
    for name in results.cases:
        parts.append(_case(results, name))
    for heading, found in (("Left out", results.skipped), ("Failed", results.failures)):
        if found:
            rows = [f"- {name}: {_one_line(why)}" for name, why in found.items()]
            parts.append("\n".join([f"## {heading}", "", *rows]))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column of words, the others of numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def milliseconds(seconds: float) -> str:
    """Three digits that count: "0.412", "4.12", "41.2", "412"."""
    return three_digits(seconds * 1000)


def three_digits(value: float) -> str:
    """As `milliseconds` writes them."""
    for limit, digits in ((1, 3), (10, 2), (100, 1)):
        if value < limit:
            return f"{value:.{digits}f}"
    return f"{value:.0f}"


def times(found: Ratio) -> str:
    """A ratio with its spread; without a difference in every round, it says so."""
    text = f"{found.value:.2f}x ({found.low:.2f}-{found.high:.2f})"
    return text if found.differs or found.value == 1 else f"{text}, no difference"


def _machine(results: Results) -> str:
    about, plan, limit = results.machine, results.plan, results.calibration
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    rows = [
        ("processor", f"{about['cpu']}, {about['available_cpus']} of {about['cpus']} CPUs"),
        ("its flags", ", ".join(about["flags"])),
        ("memory", f"{about['memory_bytes'] / 2**30:.0f} GiB"),
        ("system", f"{about['system']}, Python {about['python']}"),
        ("packages", packages),
        ("commit", about["commit"]),
        ("calibration", f"fp32 matrix product {limit.matrix_gflops:.0f} GFLOP/s, reading memory "
         f"{limit.read_gbytes:.1f} GB/s, {plan.threads} threads"),
        ("plan", f"{plan.threads} threads; {plan.rounds} interleaved rounds of {plan.seconds:g} s "
         f"each; {plan.starts} fresh processes each"),
        ("other programs", "took " + ", ".join(
            f"{100 * case.foreign_share:.0f} % ({name})" for name, case in results.cases.items()
        ) + " of the machine during the rounds"),
    ]  # fmt: skip
    note = (
        "Medians of the rounds' medians; p95 and p99 over all calls; spread is slowest minus "
        "fastest round, as a share of the median. Ratios are of medians, with the smallest and "
        "largest ratio of two neighbouring rounds. **Exact** engines answer as the original in "
        "fp32, **fast** ones trade that for speed. Absolute numbers belong to this machine."
    )
    return table(["", "machine"], rows).replace("---:", "---") + "\n\n" + note


def _targets(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "## Targets\n\nNone of the cases with a target was measured."
    rows = []
    for verdict in verdicts:
        goal, found = verdict.target, verdict.ratio
        if found is None:
            measured, spread = "not measured", "-"
        else:
            measured = _form(found.value, goal.form)
            spread = f"{_form(found.low, goal.form)} - {_form(found.high, goal.form)}"
        said = {True: "met", False: "**missed**", None: "-"}[verdict.met]
        if found is not None and not verdict.sure:
            said += ", the spread crosses the bound"
        bound = f"{goal.want} {_form(goal.bound, goal.form)}"
        rows.append([f"{goal.case}: {goal.what}", bound, measured, spread, said])
    return "## Targets\n\n" + table(["target", "bound", "measured", "spread", "verdict"], rows)


def _form(value: float, form: str) -> str:
    return f"{value:.2f}x" if form == "times" else f"{100 * value:.1f} %"


def _case(results: Results, name: str) -> str:
    case = results.cases[name]
    parts = [f"## {CASES[name].title if name in CASES else name}"]
    if _measured(case) == {"throughput"}:
        parts.append(f"{case.feeds}; without padding {case.flops / 1e9:.3g} GFLOP.")
    else:
        parts.append(f"Feeds: {case.feeds}; one forward pass {case.flops / 1e9:.3g} GFLOP.")
    if case.waiting_share > 0.02:
        parts.append(
            f"Waiting workers took {100 * case.waiting_share:.0f} % of a CPU: read these numbers "
            "with care."
        )
    for figure, (heading, baseline) in FIGURES.items():
        rows = _latency_rows(results, name, figure, baseline)
        if rows:
            head = ["engine", "class", "median ms", "spread", "p95 ms", "p99 ms"]
            if figure == "model":
                head.append("of the fp32 peak")
            parts.append(f"**{heading}**")
            against = ENGINES[baseline].title
            parts.append(table([*head, f"times as fast as: {against}"], rows))
    if "throughput" in _measured(case):
        parts += ["**Set of texts to answers**", _set_table(results, name), SET_NOTE]
    if stages := _stage_rows(case):
        parts.append("**Stages of an answer**")
        parts.append(table(["engine", *_stage_names(case), "total ms"], stages))
    if "answer" in _measured(case):  # else no start is measured that a user would wait for
        parts.append("**Start, memory, disk**")
        parts.append(_start_table(results, name))
    return "\n\n".join(parts)


def _set_table(results: Results, name: str) -> str:
    """Texts per second, padding and memory, beside the fastest baseline of what goes in.

    Texts to classify also stand beside the fastest pipeline of all, those that get their texts
    sorted by length included.
    """
    case = results.cases[name]
    baseline = fastest(results, name, BASELINES[CASES[name].kind])
    rivals = {"": baseline}
    if CASES[name].kind == "text":
        best = fastest(results, name, PIPELINES)
        rivals = {" at its best batch size": baseline, " at its best, sorted ones too": best}
    peer = ENGINES[baseline].title.partition(",")[0] if baseline else "the original"
    head = ["engine", "class", "texts/s", "spread", "padding", "of the fp32 peak",
            *(f"times as fast as {peer}{which}" for which in rivals),
            "peak MB", f"of {peer}'s", "model files MB"]  # fmt: skip
    rows = []
    for engine, measured in case.engines.items():
        timing = measured.times["throughput"]
        used = case.flops / timing.median / 1e9 / results.calibration.matrix_gflops
        ours = series(results, name, engine, "peak")
        theirs = series(results, name, baseline, "peak") if baseline else None
        rows.append(
            [
                ENGINES[engine].title,
                _class(engine),
                three_digits(case.texts / timing.median),
                f"{100 * timing.spread:.0f} %",
                "-" if measured.padding_share is None else f"{100 * measured.padding_share:.1f} %",
                f"{100 * used:.0f} %",
                *(
                    _against(results, name, engine, rival, "throughput", "throughput")
                    for rival in rivals.values()
                ),
                f"{measured.steady_peak_bytes / 1e6:.0f}",
                f"{100 * ratio(ours, theirs).value:.0f} %" if ours and theirs else "-",
                f"{measured.disk_bytes / 1e6:.1f}",
            ]
        )
    return table(head, rows)


def _measured(case: CaseResult) -> set[Figure]:
    return {figure for found in case.engines.values() for figure in found.times}


def _latency_rows(results: Results, name: str, figure: Figure, baseline: str) -> list[list[str]]:
    case = results.cases[name]
    rows = []
    for engine, measured in case.engines.items():
        timing = measured.times.get(figure)
        if timing is None:
            continue
        row = [_title(engine, figure), _class(engine), *_timing_cells(timing)]
        if figure == "model":
            share = case.flops / timing.median / 1e9 / results.calibration.matrix_gflops
            row.append(f"{100 * share:.0f} %")
        rows.append([*row, _against(results, name, engine, baseline, figure, figure)])
    return rows


def _timing_cells(timing: Timing) -> list[str]:
    return [
        milliseconds(timing.median),
        f"{100 * timing.spread:.0f} %",
        milliseconds(timing.p95),
        milliseconds(timing.p99),
    ]


def _against(
    results: Results,
    case: str,
    engine: str,
    baseline: str | None,
    ours: Quantity,
    theirs: Quantity,
) -> str:
    """How many times the baseline's number is the engine's."""
    if baseline is None:
        return "-"
    over, under = series(results, case, baseline, theirs), series(results, case, engine, ours)
    if over is None or under is None:
        return "-"
    return "1" if engine == baseline else times(ratio(over, under))


def _title(engine: str, figure: Figure) -> str:
    known = ENGINES[engine]
    return known.title if known.figure == figure else f"{known.title}, its graph's run"


def _class(engine: str) -> str:
    return "exact" if ENGINES[engine].exact else "fast"


def _stage_names(case: CaseResult) -> list[str]:
    names = dict.fromkeys(stage for found in case.engines.values() for stage in found.stages)
    return [f"{name} ms" for name in names]


def _stage_rows(case: CaseResult) -> list[list[str]]:
    names = [name.removesuffix(" ms") for name in _stage_names(case)]
    return [
        [
            ENGINES[engine].title,
            *(milliseconds(found.stages.get(name, 0.0)) for name in names),
            milliseconds(found.times[ENGINES[engine].figure].median),
        ]
        for engine, found in case.engines.items()
        if found.stages
    ]


def _start_table(results: Results, name: str) -> str:
    case = results.cases[name]
    baseline = "transformers"
    head = ["engine", "import and load ms", "first call ms", "process start to first answer ms",
            "times as fast", "peak MB", "of the original's", "peak MB after all rounds",
            "model files MB"]  # fmt: skip
    rows = []
    for engine, measured in case.engines.items():
        ours = series(results, name, engine, "memory")
        theirs = series(results, name, baseline, "memory")
        share = f"{100 * ratio(ours, theirs).value:.0f} %" if ours and theirs else "-"
        faster = _against(results, name, engine, baseline, "cold", "cold")
        rows.append([ENGINES[engine].title, *_start_cells(measured, faster, share)])
    return table(head, rows)


def _start_cells(measured: EngineResult, faster: str, share: str) -> list[str]:
    starts = measured.starts
    return [
        *(
            milliseconds(median(column))
            for column in (starts.open_seconds, starts.first_seconds, starts.cold_seconds)
        ),
        faster,
        f"{median(starts.peak_bytes) / 1e6:.0f}",
        share,
        f"{measured.steady_peak_bytes / 1e6:.0f}",
        f"{measured.disk_bytes / 1e6:.1f}",
    ]


def _one_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"
