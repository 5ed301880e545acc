import json
import random
from pathlib import Path

import pytest

from benchmarks.generation.cases import (
    CASES,
    EVERY,
    PIECE,
    TINY,
    Case,
    copied,
    files,
    inputs,
    text_of,
)
from benchmarks.generation.checkpoints import BUILDERS, Gains, build, draw, tokenizer
from benchmarks.generation.engines import ENGINES, takes_part
from benchmarks.generation.models import MODELS, word


def test_words_are_numbers_of_three_syllables() -> None:
    words = [word(0), word(1), word(90), word(90**3 - 1)]
    assert words == ["bababa", "bababe", "babeba", "zuzuzu"]


@pytest.mark.parametrize("name", MODELS)
def test_every_token_of_a_vocabulary_is_another(name: str) -> None:
    tokens = MODELS[name].tokens()
    assert len(set(tokens)) == len(tokens) == MODELS[name].words


@pytest.mark.parametrize("name", CASES)
def test_inputs_are_as_long_as_the_case_says_and_of_known_words(name: str) -> None:
    case = CASES[name]
    model, tokens = MODELS[case.model], MODELS[case.model].tokens()
    found = inputs(case, 0)

    assert [len(ids) for ids in found] == [case.read] * case.batch
    assert found == inputs(case, 0)
    assert found != inputs(case, 1)
    made = tokenizer(model)
    assert made.encode(text_of(found[-1], model, tokens)).ids == found[-1]
    inner = found[0][len(model.before) : case.read - len(model.after)]
    assert min(inner) >= len(model.special)
    assert max(inner) < model.words - len(model.last)


def test_a_copying_prompt_ends_before_what_comes_and_holds_pieces_of_it() -> None:
    new = 4 * EVERY
    prompt = copied(random.Random(0), range(10, 5000), 100, new)
    start = prompt[-1] + 1

    assert len(prompt) == 100
    written = range(start, start + new)
    assert sum(token in prompt[:-1] for token in written) >= 4 * PIECE
    text = " ".join(map(str, prompt))
    for piece in range(4):
        at = start + EVERY * piece
        assert " ".join(map(str, range(at, at + PIECE))) in text


def test_every_model_is_built_and_used() -> None:
    assert set(BUILDERS) == set(MODELS) == {case.model for case in CASES.values()}
    assert set(TINY) <= set(CASES)


def test_a_checkpoint_loads_and_its_tokenizer_gives_one_token_a_word(tmp_path: Path) -> None:
    import transformers

    build("gpt2-tiny", tmp_path)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    model = MODELS["gpt2-tiny"]
    assert loaded(" ".join(model.tokens()[:3]))["input_ids"] == [0, 1, 2]
    assert loaded.eos_token_id == model.words - 1
    assert json.loads((tmp_path / "config.json").read_text())["vocab_size"] == model.words


def test_cases_of_a_model_share_its_files_but_not_their_references() -> None:
    one, other = (files(name, Path("cache")) for name in ("gpt2-greedy-1", "gpt2-greedy-8"))
    assert one.bundle == other.bundle == files("gpt2", Path("cache")).bundle
    assert one.reference != other.reference


def test_engines_take_part_where_they_can() -> None:
    def engines(name: str) -> set[str]:
        return {engine for engine, known in ENGINES.items() if takes_part(known, CASES[name])}

    plain = {"onnxtasks-fp32", "onnxtasks-int8", "onnxtasks-w8", "onnxtasks-w4"}
    peers = {"transformers", "ctranslate2-fp32", "ctranslate2-int8"}
    assert engines("t5-base-beam4-1") == plain | peers
    assert engines("llama-246m-greedy-1") == plain | peers | {"genai-fp32", "genai-int4"}
    assert engines("gpt2-copying") == plain | peers | {
        "onnxtasks-fp32-lookup",
        "onnxtasks-int8-lookup",
        "onnxtasks-w8-lookup",
        "transformers-lookup",
    }


def test_the_variant_of_an_engine_is_its_bundle_s() -> None:
    assert ENGINES["onnxtasks-w8-lookup"].variant == "cpu-w8"
    assert ENGINES["ctranslate2-int8"].variant is None


def test_a_case_has_defaults_that_are_greedy_for_one_text() -> None:
    case = Case(title="", model="gpt2", read=2, new=1)
    assert (case.batch, case.beams, case.copies) == (1, 1, False)


def test_layers_are_drawn_larger_and_embeddings_stay() -> None:
    import torch

    layers = torch.nn.ModuleDict(
        {
            "attn": torch.nn.ModuleDict({"c_proj": torch.nn.Linear(400, 300)}),
            "encoder_attn": torch.nn.ModuleDict({"out_proj": torch.nn.Linear(400, 300)}),
            "fc1": torch.nn.Linear(400, 300),
            "wte": torch.nn.Embedding(300, 400),
        }
    )
    kept = layers["wte"].weight.clone()
    torch.manual_seed(0)
    draw(layers, Gains(layers=2, own=0.5, source=0.1))

    sizes = {name: 20 * float(weight.detach().std()) for name, weight in layers.named_parameters()}
    assert sizes["attn.c_proj.weight"] == pytest.approx(0.5, rel=0.02)
    assert sizes["encoder_attn.out_proj.weight"] == pytest.approx(0.1, rel=0.02)
    assert sizes["fc1.weight"] == pytest.approx(2, rel=0.02)
    assert torch.equal(layers["wte"].weight, kept)
