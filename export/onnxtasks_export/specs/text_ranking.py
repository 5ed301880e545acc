"""Tokenizer, config and sentence-transformers' files of a cross-encoder -> TextRankingSpec."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.tasks.text_ranking import ScoreFunction, TextRankingSpec
from onnxtasks_export.specs.labels import ordered_labels
from onnxtasks_export.specs.text import text_spec

FUNCTIONS: dict[str, ScoreFunction] = {"Identity": "none", "Sigmoid": "sigmoid"}
"""Class of torch.nn -> our name."""


def spec(
    tokenizer: Mapping[str, Any],
    config: Mapping[str, Any],
    inputs: Sequence[str],
    saved: Mapping[str, Any],
) -> TextRankingSpec:
    """Translate the tokenizer's, the model's and the cross-encoder's settings.

    Args:
        tokenizer: As for `text_spec`.
        config: The model's config.
        inputs: As for `text_spec`.
        saved: File name -> content of those of `FILES` that the checkpoint has.

    Raises:
        UnsupportedModelError: Several labels, or a setting that the runtime does not reproduce.
    """
    labels = ordered_labels(config)
    if len(labels) != 1:
        raise UnsupportedModelError(
            f"text ranking needs a model with one score; this one has {len(labels)} labels "
            f"({', '.join(labels)}). Export it with task text-classification"
        )
    transformer = saved.get("sentence_bert_config.json", {})
    _check(saved)
    longest = transformer.get("max_seq_length") or tokenizer["model_max_length"]
    return TextRankingSpec(
        text=text_spec({**tokenizer, "model_max_length": longest}, config, inputs),
        function=_function(saved.get("config_sentence_transformers.json", {}), config),
    )


FILES = ("config_sentence_transformers.json", "modules.json", "sentence_bert_config.json")
"""What sentence-transformers 6 writes beside the model; releases before 4 wrote none of them."""


def _function(settings: Mapping[str, Any], config: Mapping[str, Any]) -> ScoreFunction:
    """Find the activation, in the order in which sentence-transformers 6.2 looks for it."""
    named = (
        settings.get("activation_fn"),  # since 6
        (config.get("sentence_transformers") or {}).get("activation_fn"),  # 4 and 5
        config.get("sbert_ce_default_activation_function"),  # before 4
    )
    path = next((path for path in named if path is not None), "torch.nn.Sigmoid")
    if not path.startswith("torch."):  # code of the checkpoint, which is not run there either
        return "sigmoid"
    kind = path.rpartition(".")[2]
    if kind not in FUNCTIONS:
        raise UnsupportedModelError(
            f"the activation of the scores is {path}; supported: {', '.join(FUNCTIONS)}"
        )
    return FUNCTIONS[kind]


def _check(saved: Mapping[str, Any]) -> None:
    """Refuse what makes a cross-encoder more than its transformer."""
    modules = [str(module["type"]) for module in saved.get("modules.json", ())]
    if len(modules) > 1 or any(module["path"] for module in saved.get("modules.json", ())):
        raise UnsupportedModelError(
            f"the cross-encoder has the modules {', '.join(modules)}; supported: one transformer "
            "with a score, in the folder itself"
        )
    settings = saved.get("config_sentence_transformers.json", {})
    name = settings.get("default_prompt_name")
    if name is not None and (settings.get("prompts") or {}).get(name):
        raise UnsupportedModelError(
            f"the cross-encoder puts its prompt {name!r} before every query; supported: no prompt"
        )
    transformer = saved.get("sentence_bert_config.json", {})
    wanted: dict[str, tuple[Any, ...]] = {
        "transformer_task": (None, "sequence-classification"),
        "do_lower_case": (None, False),
        "processing_kwargs": (None, {}),
    }
    for key, values in wanted.items():
        if transformer.get(key) not in values:
            raise UnsupportedModelError(
                f"{key} is {transformer[key]!r} in sentence_bert_config.json; supported: "
                f"{values[1]!r}"
            )
