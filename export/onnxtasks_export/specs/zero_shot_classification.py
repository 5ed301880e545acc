"""Tokenizer and config of a model of natural language inference -> ZeroShotClassificationSpec."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.tasks.zero_shot_classification import ZeroShotClassificationSpec
from onnxtasks_export.specs.labels import ordered_labels
from onnxtasks_export.specs.text import text_spec


def spec(
    tokenizer: Mapping[str, Any], config: Mapping[str, Any], inputs: Sequence[str]
) -> ZeroShotClassificationSpec:
    """Translate the tokenizer's and the model's settings; arguments as `text_spec`.

    Raises:
        UnsupportedModelError: No label says entailment; transformers would take the last one.
    """
    labels = ordered_labels(config)
    ids = config["label2id"].items()
    entailment = next((int(i) for name, i in ids if name.lower().startswith("entail")), None)
    if entailment is None or len(labels) < 2:
        raise UnsupportedModelError(
            "zero-shot classification needs a model of natural language inference, with a label "
            f"that starts with 'entail'; this one has {', '.join(labels)}"
        )
    return ZeroShotClassificationSpec(
        text=text_spec(tokenizer, config, inputs),
        entailment=entailment,
        # Whatever its name, as transformers does it: the first class, or else the last one.
        contradiction=len(labels) - 1 if entailment == 0 else 0,
    )
