"""Small sentence-transformers folders, their files written by hand."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from tests.text_checkpoints import text_checkpoint

OLD = "sentence_transformers.models"
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling",
    "Dense": "sentence_transformers.base.modules.dense",
    "LayerNorm": "sentence_transformers.sentence_transformer.modules.layer_norm",
    "Normalize": "sentence_transformers.base.modules.normalize",
    "Dropout": "sentence_transformers.sentence_transformer.modules.dropout",
}
"""Where release 6.2 says that its modules are; it still reads the old place."""

Module = tuple[str, Mapping[str, Any]]


def sentence_folder(
    folder: Path,
    modules: Sequence[Module],
    *,
    settings: Mapping[str, Any] | None = None,
    transformer: Mapping[str, Any] | None = None,
    new: bool = False,
) -> Path:
    """Write what stands around a checkpoint that lies in the folder.

    Args:
        folder: Holds the transformer.
        modules: Class name and config.json of each module behind the transformer.
        settings: config_sentence_transformers.json.
        transformer: sentence_bert_config.json.
        new: Whether modules.json names its classes as release 6.2 does.
    """
    write(folder / "config_sentence_transformers.json", settings or {})
    write(folder / "sentence_bert_config.json", transformer or {"max_seq_length": None})
    named = [
        ("Transformer", ""),
        *((name, f"{n}_{name}") for n, (name, _) in enumerate(modules, 1)),
    ]
    listed = [
        {
            "idx": index,
            "name": str(index),
            "path": path,
            "type": f"{NEW[name] if new else OLD}.{name}",
        }
        for index, (name, path) in enumerate(named)
    ]
    write(folder / "modules.json", listed)
    for (name, config), (_, path) in zip(modules, named[1:], strict=True):
        if name == "Normalize" and not config:
            continue  # older releases save an empty folder, which no repository keeps
        write(folder / path / "config.json", config)
        if weights := module_weights(name, config):
            save_file(weights, folder / path / "model.safetensors")
    return folder


def module_weights(name: str, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Random weights of a module, under the names that it saves them by."""
    rng = np.random.RandomState(7)

    def drawn(*shape: int, scale: float = 0.3, about: float = 0.0) -> torch.Tensor:
        numbers = about + scale * rng.standard_normal(shape)
        return torch.from_numpy(numbers.astype(np.float32))

    if name == "LayerNorm":
        size = config["dimension"]
        return {"norm.weight": drawn(size, about=1.0), "norm.bias": drawn(size)}
    if name != "Dense":
        return {}
    shape = (config["out_features"], config["in_features"])
    made = {"linear.weight": drawn(*shape)}
    if config.get("bias", True):
        made["linear.bias"] = drawn(shape[0])
    if config.get("use_residual") and shape[0] != shape[1]:
        made["residual.weight"] = drawn(*shape)
    return made


def write(path: Path, content: Any) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def pooling(*modes: str, include_prompt: bool = True) -> Module:
    """A Pooling as release 6.2 writes it."""
    named = modes[0] if len(modes) == 1 else list(modes)
    config = {"embedding_dimension": 48, "pooling_mode": named, "include_prompt": include_prompt}
    return "Pooling", config


def old_pooling(*modes: str) -> Module:
    """A Pooling as releases before 5.7 wrote it, with these modes switched on."""
    known = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    config = {f"pooling_mode_{mode}": mode in modes for mode in (*known, *modes)}
    return "Pooling", {"word_embedding_dimension": 48, **config}


def dense(inputs: int, outputs: int, activation: str = "activation.Tanh", **more: Any) -> Module:
    """A Dense layer."""
    sizes = {"in_features": inputs, "out_features": outputs, "bias": True}
    return "Dense", {**sizes, "activation_function": f"torch.nn.modules.{activation}", **more}


PROMPTS = {"query": "who is this: ", "passage": "the film: "}
ALL_MODES = ("mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens")
SENTENCES: dict[str, dict[str, Any]] = {
    # Every way to pool, none of them over the prompt.
    "albert": {
        "modules": [pooling(*ALL_MODES, include_prompt=False)],
        "settings": {"prompts": PROMPTS},
        "new": True,
    },
    # Layers that change the size, keep it, and norm it.
    "deberta-v2": {
        "modules": [
            pooling("mean_sqrt_len_tokens"),
            dense(48, 32, "activation.GELU", use_residual=True),
            dense(32, 32, "linear.Identity", bias=False, use_residual=True),
            ("LayerNorm", {"dimension": 32}),
        ],
        "new": True,
    },
    # Lower case although the tokenizer keeps it; a prompt for every text that names no other.
    "distilbert": {
        "modules": [old_pooling("max_tokens"), ("Normalize", {})],
        "settings": {"prompts": PROMPTS, "default_prompt_name": "passage"},
        "transformer": {"max_seq_length": None, "do_lower_case": True},
    },
    # Cut after it was normalised.
    "electra": {
        "modules": [old_pooling("cls_token"), dense(48, 40, "activation.ReLU"), ("Normalize", {})],
        "settings": {"truncate_dim": 24, "similarity_fn_name": "manhattan"},
    },
    "modernbert": {
        "modules": [old_pooling("lasttoken", "weightedmean_tokens")],
        "transformer": {"max_seq_length": 24},
        "settings": {"similarity_fn_name": "dot"},
    },
    # As all-mpnet-base-v2.
    "mpnet": {
        "modules": [old_pooling("mean_tokens"), ("Normalize", {})],
        "transformer": {"max_seq_length": 40, "do_lower_case": False},
    },
    # As INSTRUCTOR, and everything together.
    "roberta": {
        "modules": [
            pooling("mean", "cls", "lasttoken", include_prompt=False),
            dense(144, 32),
            ("Dropout", {"dropout": 0.1}),
            dense(32, 28, "activation.SiLU", bias=False),
        ],
        "settings": {
            "model_type": "SentenceTransformer",
            "prompts": PROMPTS,
            "default_prompt_name": "passage",
            "similarity_fn_name": "euclidean",
            "truncate_dim": 24,
        },
        "new": True,
    },
    # As multilingual-e5.
    "xlm-roberta": {
        "modules": [old_pooling("mean_tokens", "cls_token"), ("Normalize", {})],
        "settings": {"prompts": {"query": "query: ", "document": "passage: "}},
    },
}
"""Family -> the folder that stands for it; each has something that the others lack."""


def sentences(family: str) -> Callable[[Path], Path]:
    """A builder of a sentence-transformers folder."""
    return lambda folder: sentence_folder(
        text_checkpoint(folder, family, "Model"), **SENTENCES[family]
    )
