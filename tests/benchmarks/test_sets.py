"""Sets of texts of mixed lengths: how they are made, who answers them, what is counted."""

from pathlib import Path
from statistics import mean, median

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from benchmarks.cases import CASES, part, text_set
from benchmarks.engines import AS_GIVEN, BASELINES, ENGINES, PIPELINES
from benchmarks.engines.torch_padding import watch_padding
from benchmarks.inputs import MAKERS, mixed_lengths, text_of, word_pieces
from benchmarks.machine import versions
from benchmarks.prepare import through
from benchmarks.results import Plan
from benchmarks.suite import describe_set, engines_of, plan_of, takes_part
from benchmarks.token_budget import cell

PLAN = Plan(rounds=9, seconds=2.0, starts=3, threads=2)


def takers(name: str) -> list[str]:
    return [engine for engine, known in ENGINES.items() if takes_part(known, CASES[name])]


@pytest.mark.parametrize("count", [96, 256])
def test_lengths_are_those_of_a_log_normal_distribution(count: int) -> None:
    lengths = mixed_lengths(count)

    assert len(lengths) == count
    assert (min(lengths), median(lengths), max(lengths)) == (5, 40, 400)
    assert 58 < mean(lengths) < 60
    assert sum(length > 127 for length in lengths) / count == pytest.approx(0.1, abs=0.01)
    assert lengths != sorted(lengths)
    assert lengths == mixed_lengths(count)


def test_a_few_lengths_by_hand() -> None:
    # The quartiles of the middle, 1/4 and 3/4, lie 0.674 spreads of 0.9 around 40 tokens.
    assert sorted(mixed_lengths(2)) == [22, 73]


def test_each_text_has_its_length_and_words_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mixed.txt"
    MAKERS["mixed-96.txt"](path)
    tokenizer = Tokenizer(WordPiece(word_pieces(), unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()

    texts = text_set(path, 1.0)

    # [CLS] and [SEP] are two more.
    assert [len(tokenizer.encode(text).ids) + 2 for text in texts] == mixed_lengths(96)
    assert len(set(texts)) == 96
    assert text_set(path, 0.5) == texts[:48]


def test_the_seed_picks_the_words() -> None:
    assert text_of(30) == text_of(30, seed=1) != text_of(30, seed=2)


def test_part_is_never_empty() -> None:
    assert part([1, 2, 3, 4], 0.5) == [1, 2]
    assert part([1, 2, 3], 0.01) == [1]
    assert part([1, 2, 3], 1.0) == [1, 2, 3]


def test_who_takes_part_in_the_sets() -> None:
    ours = ["onnxtasks-map-fp32", "onnxtasks-map-int8", "openvino-f32", "openvino"]
    assert takers("text-mixed") == [*ours, *PIPELINES]
    assert takers("sentences-mixed") == [*ours, "sentence-transformers"]
    assert not {*ours, *PIPELINES, "sentence-transformers"} & set(takers("bert-base"))


def test_the_pipeline_has_four_batch_sizes_and_three_sorted_ones() -> None:
    assert [ENGINES[name].batch for name in AS_GIVEN] == [1, 8, 16, 32]
    assert {ENGINES[name].batch for name in set(PIPELINES) - set(AS_GIVEN)} == {8, 16, 32}
    for case in CASES.values():
        if case.is_set:
            assert all(takes_part(ENGINES[name], case) for name in BASELINES[case.kind])


def test_a_package_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Manifest:
        variants = ("cpu-fp32",)

    monkeypatch.setattr("benchmarks.suite.read_manifest", lambda folder: Manifest)
    monkeypatch.setattr("benchmarks.suite.find_spec", lambda name: None)
    skipped: dict[str, str] = {}
    wanted = ["onnxtasks-map-fp32", "onnxtasks-map-int8", "openvino", "pipeline-1", "torch"]

    assert engines_of("text-mixed", wanted, tmp_path, skipped) == [
        "onnxtasks-map-fp32",
        "pipeline-1",
    ]
    assert skipped == {
        "text-mixed, onnxtasks-map-int8": "its bundle has no cpu-int8",
        "text-mixed, openvino": "openvino is not installed",
    }


def test_a_set_takes_fewer_rounds() -> None:
    assert plan_of(CASES["bert-base"], PLAN).rounds == 9
    assert plan_of(CASES["text-mixed"], PLAN).rounds == 3
    assert plan_of(CASES["text-mixed"], Plan(rounds=2, seconds=1, starts=1, threads=1)).rounds == 2


def test_describe_set() -> None:
    said = "3 texts of 5 to 40 tokens, median 15, together 60"
    assert describe_set([15, 5, 40]) == said


def test_operations_at_three_lengths_tell_those_at_all() -> None:
    def operations(length: int) -> int:
        return 3 * length**2 + 1000 * length + 7

    counts = [operations(length) for length in (8, 16, 32)]
    assert [through((8, 16, 32), counts, length) for length in (5, 16, 400)] == [
        operations(5),
        operations(16),
        operations(400),
    ]


class Passing(torch.nn.Module):
    def forward(self, given=None, **named):
        return 0


@pytest.mark.parametrize("by_name", [True, False])
def test_padding_of_a_torch_model_is_counted(by_name: bool) -> None:
    module = Passing()
    feeds = {"attention_mask": torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]])}

    with watch_padding(module) as counts:
        module(**feeds) if by_name else module(feeds)
        module(**feeds) if by_name else module(feeds)
    module(**feeds)  # no longer watched

    assert (counts.tokens, counts.padding) == (10, 6)
    assert counts.share == 0.375


def test_versions_of_what_is_installed() -> None:
    assert versions(["numpy", "no-such-package"]) == versions(["numpy"])
    assert list(versions(["numpy"])) == ["numpy"]


def test_a_cell_of_the_token_budgets() -> None:
    found = [
        {"texts_per_second": speed, "padding": 0.25, "megabytes": size}
        for speed, size in ((20.0, 400.0), (10.0, 500.0), (30.0, 300.0))
    ]
    assert cell(found) == "20.0 (10.0-30.0), 25 %, 400 MB"  # type: ignore[arg-type]  # plain dicts
