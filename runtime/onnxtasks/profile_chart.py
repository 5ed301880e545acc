"""A profile as a picture: stages on top, operator types below."""

from onnxtasks.bar_chart import Bar, Section, bar_chart
from onnxtasks.profiling import OperatorProfile, Profile

MOST_OPERATORS = 15


def profile_chart(profile: Profile) -> str:
    """Draw a profile as SVG."""
    count = "1 input" if profile.inputs == 1 else f"{profile.inputs} inputs"
    subtitle = (
        f"{profile.variant} on {profile.device}, threads {profile.threads}: "
        f"{milliseconds(profile.seconds)} a call of {count}, the median of {len(profile.calls)}"
    )
    return bar_chart(
        f"{profile.architecture}, {profile.task}",
        subtitle,
        [
            Section("Stages", _stages(profile)),
            Section("Operators, as recorded", _operators(profile)),
        ],
    )


def operator_label(row: OperatorProfile, profile: Profile) -> str:
    """The type, behind its graph where there are several, with what it computes in."""
    graph = f"{row.graph}: " if len(profile.graphs) > 1 else ""
    return f"{graph}{row.type} ({row.precision})"


def milliseconds(seconds: float) -> str:
    """Such as "0.160 ms"."""
    return f"{seconds * 1000:.3f} ms"


def _stages(profile: Profile) -> list[Bar]:
    bars = []
    for stage in profile.stages:
        bars.append(Bar(stage.name, stage.seconds, _note(stage.seconds, stage.share)))
        if stage.name == "run":
            bars += [
                Bar(graph.role, graph.seconds, _note(graph.seconds, graph.share), part=True)
                for graph in profile.graphs
            ]
    return bars


def _operators(profile: Profile) -> list[Bar]:
    shown = profile.operators[:MOST_OPERATORS]
    bars = [
        Bar(operator_label(row, profile), row.seconds, _note(row.seconds, row.share))
        for row in shown
    ]
    rest = profile.operators[MOST_OPERATORS:]
    if rest:
        seconds, share = sum(row.seconds for row in rest), sum(row.share for row in rest)
        bars.append(Bar(f"{len(rest)} others", seconds, _note(seconds, share), part=True))
    return bars


def _note(seconds: float, share: float) -> str:
    return f"{milliseconds(seconds)} · {share:.1%}"
