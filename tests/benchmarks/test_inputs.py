import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from benchmarks.__main__ import main
from benchmarks.cases import CASES, ROOT, files
from benchmarks.engines import ENGINES
from benchmarks.inputs import MAKERS, VOCABULARY, text_of, word_pieces
from benchmarks.machine import processor
from benchmarks.prepare import is_current


def test_the_text_has_exactly_128_tokens() -> None:
    pieces = word_pieces()
    tokenizer = Tokenizer(WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()

    ids = tokenizer.encode(text_of(128)).ids

    assert len(ids) == 126  # [CLS] and [SEP] make it 128
    assert pieces["[UNK]"] not in ids
    assert len(set(ids)) > 60


def test_the_vocabulary_is_that_of_bert_in_size() -> None:
    pieces = word_pieces()
    assert len(pieces) == VOCABULARY == 30522
    assert sorted(pieces.values()) == list(range(30522))
    assert list(pieces)[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_inputs_are_the_same_each_time(tmp_path: Path) -> None:
    for name, make in MAKERS.items():
        first, second = tmp_path / name, tmp_path / f"again-{name}"
        make(first)
        make(second)
        assert first.read_bytes() == second.read_bytes(), name


def test_every_case_has_its_input(tmp_path: Path) -> None:
    for name, case in CASES.items():
        made = case.item in MAKERS
        assert made or files(case, tmp_path).item.is_file(), name


def test_cases_of_one_checkpoint_share_its_bundle(tmp_path: Path) -> None:
    one, two = (files(CASES[name], tmp_path) for name in ("vit-base", "preprocess-vit"))
    assert one.bundle == two.bundle == tmp_path / "bundles" / "vit-base"
    shipped = files(CASES["text-tiny"], tmp_path)
    assert shipped.checkpoint == ROOT / "examples" / "checkpoints" / "text"


def test_every_engine_has_its_module() -> None:
    for engine in ENGINES.values():
        assert find_spec(engine.module) is not None
    assert callable(import_module(ENGINES["onnxtasks-fp32"].module).open_engine)


def test_what_is_older_than_its_sources_is_made_again(tmp_path: Path) -> None:
    target, source = tmp_path / "target", tmp_path / "source"
    source.write_text("")
    assert not is_current(target, [source])
    target.write_text("")
    os.utime(source, (100, 100))
    os.utime(target, (200, 200))
    assert is_current(target, [source])
    os.utime(source, (300, 300))
    assert not is_current(target, [source])


def test_processor_is_the_first_one() -> None:
    text = "model name\t: Fast CPU\nflags\t: fpu avx2\n\nmodel name\t: Other\nflags\t: sse\n"
    assert processor(text) == ("Fast CPU", {"fpu", "avx2"})


def test_the_full_form_refuses_a_missing_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.cases.ROOT", tmp_path)
    with pytest.raises(SystemExit, match="text-tiny: examples/checkpoints/text has no model"):
        main(["--full", "--cases", "text-tiny", "--out", str(tmp_path / "out")])


def test_wrong_numbers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="at least 1"):
        main(["--rounds", "0"])
    with pytest.raises(SystemExit):
        main(["--cases", "nonsense"])
    assert "bert-base" in capsys.readouterr().err
