"""Makes answers.json: what the question-answering pipeline of transformers 4.57.6 answers.

transformers 5 has no such pipeline. In the development environment, at the root of the repository:

    python -m tests.parity.frozen.make_answers prepare FOLDER

writes the random checkpoints and the items. In an environment with transformers==4.57.6 and
torch==2.13.0 (nothing of this repository is imported there):

    python tests/parity/frozen/make_answers.py answer FOLDER

asks the pipeline and writes answers.json beside this file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

ANSWERS = Path(__file__).with_name("answers.json")
REFERENCE = "4.57.6"
SEED = 5
QUESTION_BYTES = 28  # so that a window of 48 tokens has room for context, whatever the tokenizer
PIECES = (2, 9, 24, 70)
"""Words and oddities of a context, once with each of the options."""
LONG_PIECES = (150, 300, 500)
"""Of 500, the tokenizers make some 1500 to 3500 tokens."""
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"top_k": 3},
    {"top_k": 20},
    {"align_to_words": False},
    {"top_k": 3, "align_to_words": False, "max_answer_len": 30},
    {"top_k": 20, "max_answer_len": 1},
    {"handle_impossible_answer": True},
    {"top_k": 3, "handle_impossible_answer": True, "max_answer_len": 5},
    {"top_k": 3, "doc_stride": 5, "max_seq_len": 48},
    {"top_k": 20, "doc_stride": 0, "handle_impossible_answer": True},
    {"top_k": 20, "doc_stride": 8, "max_seq_len": 48, "align_to_words": False},
)
TOKENIZER_SETTINGS = (
    *("model_max_length", "padding_side", "truncation_side"),
    *("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"),
)


def items() -> list[dict[str, Any]]:
    """Questions, contexts of all lengths, and options; awkward texts among them."""
    import numpy as np

    from tests.awkward import awkward_text, awkward_texts

    rng = np.random.default_rng(SEED)
    cases = list(zip(awkward_texts(75, SEED, 1)[::7], OPTIONS, strict=True))
    for pieces in PIECES:
        cases += [(awkward_text(rng, pieces), options) for options in OPTIONS]
    for pieces, options in zip(LONG_PIECES, (OPTIONS[9], OPTIONS[6], OPTIONS[3]), strict=True):
        cases += [(awkward_text(rng, pieces), options)]
    made: list[dict[str, Any]] = []
    for context, options in cases:
        question = awkward_text(rng, 4)
        while len(question.encode()) > QUESTION_BYTES:
            question = awkward_text(rng, 4)
        made.append({"question": question, "context": context, "options": options})
    return made


def prepare(folder: Path) -> None:
    """Write checkpoints and items."""
    from onnxtasks_export.originals.question_answering import spec_of
    from onnxtasks_export.pipeline import load_checkpoint
    from tests.checkpoints import build
    from tests.text_checkpoints import CONFIGS

    for family in sorted(CONFIGS):
        target = folder / family
        target.mkdir(parents=True)
        build(f"{family}-answers", target)
        checkpoint, _ = load_checkpoint(str(target), None)
        tokenizer = checkpoint.processors["tokenizer"]
        settings = {name: getattr(tokenizer, name) for name in TOKENIZER_SETTINGS}
        settings["model_input_names"] = list(spec_of(checkpoint).text.inputs)
        (target / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    text = json.dumps({"seed": SEED, "items": items()}, ensure_ascii=False)
    (folder / "items.json").write_text(text, encoding="utf-8")


def answer(folder: Path) -> None:
    """Ask the reference, and write what it says."""
    import transformers

    if transformers.__version__ != REFERENCE:
        raise SystemExit(f"this is transformers {transformers.__version__}, not {REFERENCE}")
    asked = json.loads((folder / "items.json").read_text(encoding="utf-8"))
    found: dict[str, list[list[list[Any]]]] = {}
    for settings in sorted(folder.glob("*/settings.json")):
        pipeline = _pipeline(settings.parent)
        found[settings.parent.name] = [_answers(pipeline, item) for item in asked["items"]]
    versions = {
        "transformers": transformers.__version__,
        "torch": transformers.utils.get_torch_version(),
    }
    lines = [json.dumps(item, ensure_ascii=False) for item in asked["items"]]
    families = [
        f"{json.dumps(family)}: {json.dumps(rows, ensure_ascii=False)}"
        for family, rows in found.items()
    ]
    ANSWERS.write_text(
        f'{{"versions": {json.dumps(versions)},\n"items": [\n'
        + ",\n".join(lines)
        + '\n],\n"answers": {\n'
        + ",\n".join(families)
        + "\n}}\n",
        encoding="utf-8",
    )


def _pipeline(folder: Path) -> Any:
    import transformers

    # The class that transformers 5 names is unknown to version 4; the file is all there is to it.
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), **settings
    )
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    return transformers.pipeline("question-answering", model=model, tokenizer=tokenizer)


def _answers(pipeline: Any, item: dict[str, Any]) -> list[list[Any]]:
    found = pipeline(question=item["question"], context=item["context"], **item["options"])
    found = [found] if isinstance(found, dict) else found
    return [[row["score"], row["start"], row["end"], row["answer"]] for row in found]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("prepare", "answer"))
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    {"prepare": prepare, "answer": answer}[chosen.stage](chosen.folder)
