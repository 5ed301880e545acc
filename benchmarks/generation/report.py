"""results.json -> results.md."""

from statistics import median

from benchmarks.figures import ratio
from benchmarks.generation.cases import CASES
from benchmarks.generation.engines import BASELINE, ENGINES, PEERS
from benchmarks.generation.results import (
    CaseResult,
    EngineResult,
    Memory,
    PythonShare,
    Results,
    Steps,
    fastest,
    load_seconds,
    milliseconds_a_step,
    tokens_per_second,
)
from benchmarks.generation.targets import GROWTH, LIMITS, PYTHON_SECONDS, judge
from benchmarks.report import milliseconds, table, three_digits, times

NOTE = (
    "One process for each engine; they take turns, every second round backwards, and a turn is one "
    "call on texts that no call had before. Medians of the rounds; spread is slowest minus fastest "
    "round, as a share of the median. A ratio's brackets hold the smallest and the largest ratio "
    "of one round. Everybody writes the same number of tokens: the end token is held back. "
    "onnxtasks takes texts and gives texts; the others get ready token ids and give ids. *First "
    "token* is a call that asks for one. *Load* is imports and loading. Peak memory is of the "
    "engine's process: after its first token, and after all rounds. *As transformers* is the share "
    "of the first call's tokens that stand where transformers writes them (weights are random, so "
    "among words of nearly the same score any rounding decides, and what follows is another text). "
    "**Exact** engines compute in fp32, **fast** ones in fewer bits; a ratio to the best peer is "
    "within the class."
)
BEAMS = (
    ("bart-base-greedy-1", "bart-base-beam4-1"),
    ("bart-base-greedy-8", "bart-base-beam4-8"),
    ("t5-base-greedy-1", "t5-base-beam4-1"),
)
OFF_ON = (
    ("onnxtasks-fp32", "onnxtasks-fp32-lookup"),
    ("onnxtasks-int8", "onnxtasks-int8-lookup"),
    ("onnxtasks-w8", "onnxtasks-w8-lookup"),
    ("transformers", "transformers-lookup"),
)


def markdown(results: Results) -> str:
    """The whole report."""
    parts = ["# Generation", _machine(results), NOTE, _targets(results)]
    parts += [_case(name, case) for name, case in results.cases.items()]
    parts += [_beams(results), _lookup(results), _steps(results)]
    parts += [_python(results.probes.python), _memory(results.probes.memory)]
    for heading, found in (("Left out", results.skipped), ("Failed", results.failures)):
        rows = [f"- {name}: {why.strip().splitlines()[-1]}" for name, why in found.items()]
        parts.append("\n".join([f"## {heading}", "", *rows]) if rows else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(results: Results) -> str:
    about, limit = results.machine, results.calibration
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    foreign = [f"{100 * case.foreign_share:.0f} %" for case in results.cases.values()]
    rows = [
        ["processor", f"{about['cpu']}, {about['available_cpus']} of {about['cpus']} CPUs"],
        ["its flags", ", ".join(about["flags"])],
        ["memory", f"{about['memory_bytes'] / 2**30:.0f} GiB"],
        ["system", f"{about['system']}, Python {about['python']}"],
        ["packages", packages],
        ["commit", about["commit"]],
        ["calibration", f"fp32 matrix product {limit.matrix_gflops:.0f} GFLOP/s, reading memory "
         f"{limit.read_gbytes:.1f} GB/s, {results.threads} threads"],
        ["other programs", f"took {', '.join(foreign) or '-'} of the machine (in the order below)"],
        ["the run took", f"{sum(results.seconds.values()) / 60:.1f} minutes after calibrating"],
    ]  # fmt: skip
    return table(["", "machine"], rows).replace("---:", "---")


def _targets(results: Results) -> str:
    rows = []
    for verdict in judge(results):
        said = {True: "met", False: "**missed**", None: "-"}[verdict.met]
        found = "not measured" if verdict.ratio is None else times(verdict.ratio)
        rows.append([verdict.title, f"at least {verdict.target.bound:g}x", found, said])
    if not rows:
        return ""
    return "## Targets\n\n" + table(["what", "bound", "measured", "verdict"], rows)


def _case(name: str, case: CaseResult) -> str:
    head = ["engine", "class", "call ms", "spread", "tokens/s", "first token ms", "next ones ms",
            "times as fast as transformers", "as the best peer", "load s", "peak MB", "at the end",
            "model MB", "as transformers"]  # fmt: skip
    rows = [_row(name, case, engine, found) for engine, found in case.engines.items()]
    parts = [f"## {CASES[name].title}", table(head, rows)]
    if case.waiting_share > 0.02:
        share = f"{100 * case.waiting_share:.0f} %"
        parts.append(f"Waiting processes took {share} of a CPU: read these numbers with care.")
    return "\n\n".join(parts)


def _row(name: str, case: CaseResult, engine: str, found: EngineResult) -> list[str]:
    exact = ENGINES[engine].exact
    rivals = [peer for peer in PEERS if ENGINES[peer].exact == exact and peer != engine]
    step = milliseconds_a_step(name, found)
    return [
        ENGINES[engine].title,
        "exact" if exact else "fast",
        milliseconds(found.whole.median),
        f"{100 * found.whole.spread:.0f} %",
        three_digits(tokens_per_second(name, found)),
        milliseconds(found.first.median),
        "-" if step is None else three_digits(step),
        _against(case, BASELINE, engine),
        _against(case, fastest(case, rivals), engine),
        three_digits(load_seconds(found)),
        f"{median(found.starts.peak_bytes) / 1e6:.0f}",
        f"{found.peak_bytes / 1e6:.0f}",
        f"{found.disk_bytes / 1e6:.0f}",
        f"{100 * found.agreement:.4g} %",
    ]


def _against(case: CaseResult, rival: str | None, engine: str) -> str:
    if rival is None or rival not in case.engines:
        return "-"
    if rival == engine:
        return "1"
    theirs, ours = case.engines[rival].whole, case.engines[engine].whole
    return times(ratio(theirs.rounds, ours.rounds))


def _beams(results: Results) -> str:
    rows = []
    for greedy, beam in BEAMS:
        if greedy not in results.cases or beam not in results.cases:
            continue
        less, more = results.cases[greedy].engines, results.cases[beam].engines
        rows += [
            [
                f"{CASES[beam].title}: {ENGINES[engine].title}",
                milliseconds(less[engine].whole.median),
                milliseconds(more[engine].whole.median),
                f"{more[engine].whole.median / less[engine].whole.median:.2f}x",
            ]
            for engine in more
            if engine in less
        ]
    head = ["what", "greedy ms", "beams ms", "times as long"]
    return "## Beams against greedy search\n\n" + table(head, rows) if rows else ""


def _lookup(results: Results) -> str:
    case = results.cases.get("gpt2-copying")
    if case is None:
        return ""
    rows = []
    for off, on in OFF_ON:
        if off in case.engines and on in case.engines:
            without, with_it = case.engines[off].whole, case.engines[on].whole
            rows.append(
                [
                    ENGINES[off].title,
                    milliseconds(without.median),
                    milliseconds(with_it.median),
                    times(ratio(without.rounds, with_it.rounds)),
                ]
            )
    head = ["engine", "off ms", "on ms", "times as fast"]
    why = "The text copies three quarters of its tokens from the prompt, twelve at a time."
    return f"## Prompt-lookup decoding\n\n{why}\n\n" + table(head, rows) if rows else ""


def _steps(results: Results) -> str:
    if not results.probes.steps:
        return ""
    rows, growth = [], []
    speed = results.calibration.read_gbytes * 1e9
    for variant, found in results.probes.steps.items():
        rows += [_step_row(variant, past, found, speed) for past in found.seconds]
        first, *_, last = found.seconds
        grown = found.seconds[last] - found.seconds[first]
        reading = (last - first) * found.cache_bytes / speed
        verdict = "met" if grown <= GROWTH * reading else "**missed**"
        growth.append(
            [variant, f"{first} to {last}", *map(milliseconds, (grown, reading)),
             f"{grown / reading:.2f}x", f"at most {GROWTH}x", verdict]
        )  # fmt: skip
    what = (
        "GPT-2 124M, one text, one token. The limit is the time that reading the weights (without "
        "embeddings, which a step looks up) and the cache once takes at the measured speed of "
        "reading memory; a weight of several steps that stays in the processor's cache goes below."
    )
    head = ["variant", "tokens before", "step ms", "weights ms", "cache ms", "times the limit",
            "bound", "verdict"]  # fmt: skip
    grows = ["variant", "tokens before", "step grows by ms", "reading the cache ms", "ratio",
             "bound", "verdict"]  # fmt: skip
    return "\n\n".join(["## A step, and its limit", what, table(head, rows), table(grows, growth)])


def _step_row(variant: str, past: int, found: Steps, speed: float) -> list[str]:
    seconds = found.seconds[past]
    weights, cache = found.weight_bytes / speed, past * found.cache_bytes / speed
    share = seconds / (weights + cache)
    bound = LIMITS[variant]
    return [
        variant,
        str(past),
        *map(milliseconds, (seconds, weights, cache)),
        f"{share:.2f}x",
        f"at most {bound:g}x",
        "met" if share <= bound else "**missed**",
    ]


def _python(found: tuple[PythonShare, ...]) -> str:
    if not found:
        return ""
    rows = []
    for one in found:
        a_step = one.outside / one.runs
        rows.append(
            [
                one.title,
                str(one.runs),
                milliseconds(one.seconds),
                milliseconds(one.outside),
                milliseconds(a_step),
                f"{100 * one.outside / one.seconds:.1f} %",
                "met" if a_step <= PYTHON_SECONDS else "**missed**",
            ]
        )
    what = (
        "cpu-int8, whose runs are the shortest: what a call takes besides the runs of its graphs, "
        f"tokenizing included. At most {milliseconds(PYTHON_SECONDS)} ms a run are wanted."
    )
    head = ["call", "runs", "call ms", "outside ms", "outside ms a run", "share", "verdict"]
    return f"## Outside the engine\n\n{what}\n\n" + table(head, rows)


def _memory(found: Memory | None) -> str:
    if found is None:
        return ""
    rows = [[str(calls), f"{size / 1e6:.1f}"] for calls, size in found.resident_bytes.items()]
    return "## Memory over many calls\n\nA small model, beams.\n\n" + table(
        ["calls", "resident MB"], rows
    )
