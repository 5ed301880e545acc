import msgspec

from benchmarks.cases import CASES
from benchmarks.engines import ENGINES, MEASURED_STAGES
from benchmarks.results import Results
from benchmarks.suite import takes_part
from benchmarks.targets import TARGETS, Verdict, judge
from tests.benchmarks.hand_written import results, set_results


def by_name(found: Results) -> dict[str, Verdict]:
    return {verdict.target.what: verdict for verdict in judge(found)}


def test_verdicts_of_hand_written_results() -> None:
    found = by_name(results())

    met = {what: verdict.met for what, verdict in found.items()}
    assert met == {
        "cpu-fp32 model against torch's": True,  # 2.0 of 1.8
        "cpu-int8 model against torch's": False,  # 4.0 of 4.5
        "cpu-fp32 text to answer against the pipeline": True,  # 2.0 of 1.8
        "cpu-int8 text to answer against the pipeline": False,  # 4.0 of 4.5
        "import to first answer against the pipeline": True,  # 8 of 5
        "peak memory at the first answer, of the pipeline's": True,  # 50 % of 60 %
        "text to answer, of a bare session on the same graph": False,  # 125 % of 105 %
    }


def test_a_spread_across_the_bound_makes_it_unsure() -> None:
    found = by_name(results())

    unsure = found["cpu-fp32 model against torch's"]  # 2.5, 2.0 and 1.6 in the three rounds
    assert unsure.ratio is not None
    assert (unsure.ratio.low, unsure.ratio.high) == (1.6, 2.5)
    assert not unsure.sure
    assert found["cpu-int8 model against torch's"].sure


def test_an_engine_that_was_not_measured_gives_no_verdict() -> None:
    whole = results()
    case = whole.cases["bert-base"]
    engines = {name: found for name, found in case.engines.items() if name != "torch"}
    part = msgspec.structs.replace(
        whole, cases={"bert-base": msgspec.structs.replace(case, engines=engines)}
    )

    verdict = by_name(part)["cpu-fp32 model against torch's"]

    assert verdict.met is None
    assert not verdict.sure


def test_targets_name_what_is_measured() -> None:
    for target in TARGETS:
        for names, quantity in (target.over, target.under):
            for engine in (names,) if isinstance(names, str) else names:
                figures = {ENGINES[engine].figure, "cold", "memory", "peak"}
                if engine.startswith("onnxtasks"):
                    figures |= set(MEASURED_STAGES.values())
                assert quantity in figures, target.what
                assert takes_part(ENGINES[engine], CASES[target.case]), target.what


def test_of_several_engines_the_fastest_counts() -> None:
    found = {verdict.target.what: verdict for verdict in judge(set_results())}

    speed = found["cpu-fp32 texts per second, of the pipeline's at its best batch size"]
    assert speed.ratio is not None
    assert speed.ratio.value == 3.0  # batch 8 takes 6 s, batch 1 takes 8 s, ours 2 s
    memory = found["cpu-fp32 peak memory, of the pipeline's at its best batch size"]
    assert memory.ratio is not None
    assert memory.ratio.value == 0.5  # 501 MB of the 1002 MB of batch 8
    missing = found["cpu-int8 texts per second, of the pipeline's at its best batch size"]
    assert missing.met is None


def test_without_a_pipeline_there_is_no_verdict() -> None:
    whole = set_results()
    case = whole.cases["text-mixed"]
    ours = {"onnxtasks-map-fp32": case.engines["onnxtasks-map-fp32"]}
    part = msgspec.structs.replace(
        whole, cases={"text-mixed": msgspec.structs.replace(case, engines=ours)}
    )

    assert {verdict.met for verdict in judge(part)} == {None}
