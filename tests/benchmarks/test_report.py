from pathlib import Path
from xml.etree import ElementTree

import msgspec

from benchmarks.figures import Ratio
from benchmarks.plots import draw
from benchmarks.report import markdown, milliseconds, table, times
from benchmarks.results import read, write
from tests.benchmarks.hand_written import results, set_results


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of all rows that begin with a cell."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_table() -> None:
    assert table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_milliseconds_keep_three_digits() -> None:
    seconds = (0.0004123, 0.004123, 0.04123, 0.4123)
    assert [milliseconds(value) for value in seconds] == ["0.412", "4.12", "41.2", "412"]


def test_times_says_where_there_is_no_difference() -> None:
    assert times(Ratio(2.0, 1.5, 2.5)) == "2.00x (1.50-2.50)"
    assert times(Ratio(1.1, 0.9, 1.2)) == "1.10x (0.90-1.20), no difference"


def test_answers_and_models_are_separate_tables() -> None:
    text = markdown(results())

    answer, stages, start = rows(text, "onnxtasks cpu-fp32")
    assert answer[1:] == ["exact", "100", "0 %", "200", "300", "2.00x (2.00-2.00)"]
    assert stages[1:] == ["1.00", "80.0", "0.500", "100"]
    assert start[1:4] == ["250", "125", "500"]
    assert start[4:] == ["8.00x (8.00-8.00)", "400", "50 %", "401", "0.5"]
    (model,) = rows(text, "onnxtasks cpu-fp32, its graph's run")
    # 20 GFLOP in 0.1 s are 200 GFLOP/s, half of the machine's 400.
    assert model[2:] == ["100", "45 %", "200", "300", "50 %", "2.00x (1.60-2.50)"]


def test_a_set_is_told_in_texts_per_second() -> None:
    text = markdown(set_results())

    assert "10 texts of 5 to 400 tokens, median 40, together 590; without padding 200 GF" in text
    (ours,) = rows(text, "onnxtasks cpu-fp32, map")
    # 200 GFLOP in 2 s are 100 GFLOP/s, a quarter of the machine's 400.
    assert ours[1:6] == ["exact", "5.00", "0 %", "12.5 %", "25 %"]
    assert ours[6:8] == ["3.00x (3.00-3.00)", "2.00x (2.00-2.00)"]  # of 6 s, of 4 s sorted
    assert ours[8:] == ["501", "50 %", "0.5"]
    (best,) = rows(text, "transformers pipeline, batch 8")
    assert best[6] == "1"
    assert "Start, memory, disk" not in text


def test_a_set_without_its_peer_has_no_ratio() -> None:
    whole = set_results()
    case = whole.cases["text-mixed"]
    ours = {"onnxtasks-map-fp32": case.engines["onnxtasks-map-fp32"]}
    part = msgspec.structs.replace(
        whole, cases={"text-mixed": msgspec.structs.replace(case, engines=ours)}
    )

    (row,) = rows(markdown(part), "onnxtasks cpu-fp32, map")
    assert row[6:] == ["-", "-", "501", "-", "0.5"]


def test_of_sentences_there_is_one_peer() -> None:
    whole = set_results()
    engines = whole.cases["text-mixed"].engines
    named = {
        "onnxtasks-map-fp32": engines["onnxtasks-map-fp32"],
        "sentence-transformers": engines["pipeline-8"],
    }
    case = msgspec.structs.replace(whole.cases["text-mixed"], engines=named)

    text = markdown(msgspec.structs.replace(whole, cases={"sentences-mixed": case}))

    assert "| times as fast as sentence-transformers | peak MB | of sentence-transf" in text
    (row,) = rows(text, "onnxtasks cpu-fp32, map")
    assert row[6] == "3.00x (3.00-3.00)"


def test_plots_show_what_one_text_of_a_set_takes(tmp_path: Path) -> None:
    (latency,) = draw(set_results(), tmp_path)  # no start is measured

    text = latency.read_text(encoding="utf-8")
    assert "transformers pipeline, batch 8, sorted by length" in text
    assert ">200<" in text  # 2 s for 10 texts
    assert ">800<" in text


def test_targets_table() -> None:
    text = markdown(results())

    (met,) = rows(text, "bert-base: import to first answer against the pipeline")
    assert met[1:] == ["at least 5.00x", "8.00x", "8.00x - 8.00x", "met"]
    (unsure,) = rows(text, "bert-base: cpu-fp32 model against torch's")
    assert unsure[-1] == "met, the spread crosses the bound"
    (missed,) = rows(text, "bert-base: text to answer, of a bare session on the same graph")
    assert missed[1:] == ["at most 105.0 %", "125.0 %", "125.0 % - 125.0 %", "**missed**"]


def test_what_was_left_out_or_failed_is_told() -> None:
    text = markdown(results())

    assert "## Left out\n\n- speech-tiny: no checkpoint" in text
    assert "## Failed\n\n- vit-base: first line ... last line" in text
    assert "25 % (bert-base)" in text


def test_results_survive_the_file(tmp_path: Path) -> None:
    write(results(), tmp_path / "results.json")

    assert read(tmp_path / "results.json") == results()


def test_plots_name_every_engine(tmp_path: Path) -> None:
    latency, start = draw(results(), tmp_path)

    ElementTree.parse(latency)
    text = latency.read_text(encoding="utf-8")
    for label in ("onnxtasks cpu-fp32, to answer", "torch, model only", "BERT-base, 128 tokens"):
        assert label in text
    assert "4.00 s, 800 MB" in start.read_text(encoding="utf-8")


def test_plots_are_the_same_bytes_for_the_same_results(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (draw(results(), tmp_path / name)[0].read_bytes() for name in ("a", "b"))
    assert first == second
