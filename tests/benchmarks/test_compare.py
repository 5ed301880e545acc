"""Two runs of the suite beside each other, on numbers that are easy to divide."""

import msgspec
import pytest

from benchmarks import results as schema
from benchmarks.compare import compare, main, markdown, warnings
from onnxtasks.errors import InputError
from tests.benchmarks.hand_written import engine, results, timing


def changed(**engines):
    """The written-out results, with other engines in the case of BERT."""
    document = msgspec.to_builtins(results())
    document["cases"]["bert-base"]["engines"] |= engines
    return msgspec.convert(document, schema.Results)


def slower():
    """Our fp32 engine takes 0.2 s instead of 0.1; its model 0.08, 0.125 and 0.1 as before."""
    times = {"answer": timing(0.2, 0.19, 0.21), "model": timing(0.08, 0.125, 0.1)}
    return changed(**{"onnxtasks-fp32": engine(times, 0.5, 400)})


def before():
    times = {"answer": timing(0.1, 0.09, 0.11), "model": timing(0.08, 0.1, 0.125)}
    return changed(**{"onnxtasks-fp32": engine(times, 0.5, 400)})


def test_worse_and_not():
    found = {one.variant: one for one in compare(before(), slower())}
    answer = found["bert-base, onnxtasks-fp32, answer"]
    assert (answer.verdict, answer.ratio) == ("worse", 2)
    assert found["bert-base, onnxtasks-fp32, model"].verdict == "no difference"
    assert found["bert-base, onnxtasks-fp32, model files"].verdict == "no difference"
    row = "| bert-base, onnxtasks-fp32, answer | 100 ms | 200 ms | 2.00 | 1.73-2.33 | worse |"
    assert row in markdown(list(found.values())).splitlines()


@pytest.mark.parametrize(("limit", "code"), [("1.1", 1), ("3", 0)])
def test_the_largest_regression(tmp_path, limit, code, capsys):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    schema.write(before(), old)
    schema.write(slower(), new)
    assert main([str(old), str(new), "--max-regression", limit]) == code
    assert "| worse |" in capsys.readouterr().out
    assert main([str(old), str(new)]) == 0


def test_another_machine_is_told():
    document = msgspec.to_builtins(results())
    document["machine"]["cpu"] = "Another CPU"
    document["calibration"]["matrix_gflops"] *= 2
    assert warnings(results(), msgspec.convert(document, schema.Results)) == [
        "made on other machines (cpu differ)",
        "the machine's matrix product was 2.00 times as fast as before",
    ]
    assert warnings(results(), results()) == []


def test_what_cannot_be_compared(tmp_path):
    document = msgspec.to_builtins(results())
    document["plan"]["threads"] += 1
    with pytest.raises(InputError, match="measured with threads 2 and 3"):
        compare(results(), msgspec.convert(document, schema.Results))
    with pytest.raises(InputError, match="no engine of one case in common"):
        compare(results(), msgspec.structs.replace(results(), cases={}))
    with pytest.raises(SystemExit, match="compare: .*No such file"):
        main([str(tmp_path / "none.json")])
