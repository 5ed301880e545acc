"""A sentence-transformers folder -> its settings and the layers behind its pooling.

Read without the package sentence-transformers; the format is that of its release 6.2
(`modules.json` and the `load` of each module) and of the releases before it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import normalizers
from torch import nn
from transformers.utils import cached_file

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks_export.checkpoint import load_fast_tokenizer

TRANSFORMER_CONFIGS = (
    "sentence_bert_config.json",
    *(
        f"sentence_{family}_config.json"
        for family in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    ),
)
"""The first that exists counts."""
ACTIVATIONS: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        *(nn.Identity, nn.Tanh, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU),
        *(nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign),
        *(nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Tanhshrink, nn.Softshrink),
    )
}
"""Those that sentence-transformers makes without arguments."""


@dataclass(frozen=True)
class SentenceModel:
    """What a folder says beyond its transformer; empty for a plain checkpoint."""

    folder: str = ""
    """Where the transformer lies, below the source."""
    transformer: Mapping[str, Any] = field(default_factory=dict)
    """sentence_bert_config.json"""
    pooling: Mapping[str, Any] | None = None
    """1_Pooling/config.json; None where there is no modules.json."""
    layers: nn.Sequential = field(default_factory=nn.Sequential)
    """What stands behind the pooling: [batch, dim] -> [batch, dim]."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """config_sentence_transformers.json"""


class Dense(nn.Module):
    """A linear layer with an activation, and what comes in added where `use_residual` says so."""

    def __init__(self, config: Mapping[str, Any], activation: nn.Module) -> None:
        super().__init__()
        sizes = (config["in_features"], config["out_features"])
        self.linear = nn.Linear(*sizes, bias=config.get("bias", True))
        self.activation = activation
        self.residual: nn.Module | None = None
        if config.get("use_residual", False):
            equal = sizes[0] == sizes[1]
            self.residual = nn.Identity() if equal else nn.Linear(*sizes, bias=False)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[batch, in] -> [batch, out]."""
        made: torch.Tensor = self.activation(self.linear(vectors))
        return made if self.residual is None else made + self.residual(vectors)


class LayerNorm(nn.Module):
    """A layer norm over a vector's numbers."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config["dimension"])

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[batch, dim] -> [batch, dim]."""
        made: torch.Tensor = self.norm(vectors)
        return made


class Normalize(nn.Module):
    """Length 1."""

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[batch, dim] -> [batch, dim]."""
        return nn.functional.normalize(vectors, p=2, dim=-1)


CROSS_ENCODER_MARKS = ("sentence_transformers", "sbert_ce_default_activation_function")


def transformer_source(source: str) -> str:
    """The folder that holds config and weights: the source, or a part of it such as 0_Transformer.

    Of a hub id that id; `read_sentence_model` refuses one whose transformer lies elsewhere.
    """
    path = Path(source) / "modules.json"
    if not path.is_file():
        return source
    return str(Path(source) / _modules(source)[0][1])


def saved_as(source: str, config: Any) -> str | None:
    """The class of sentence-transformers that saved it; None where that did not.

    Before release 6 a CrossEncoder left its mark in the model's config alone.
    """
    if any(getattr(config, mark, None) for mark in CROSS_ENCODER_MARKS):
        return "CrossEncoder"
    if _find(source, "", "modules.json") is None:
        return None
    settings = read_json(source, "", "config_sentence_transformers.json")
    return str(settings.get("model_type", "SentenceTransformer"))


def read_sentence_model(source: str) -> SentenceModel:
    """Read everything beside the transformer from a local folder or the hub.

    Raises:
        ExportError: A file is missing, damaged or pickled.
        UnsupportedModelError: A module or a setting that a bundle does not reproduce.
    """
    modules = _modules(source)
    if not modules:
        return SentenceModel()
    settings = read_json(source, "", "config_sentence_transformers.json")
    kind = settings.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise UnsupportedModelError(f"{source} was saved as a {kind}; it gives no sentence vectors")
    names = [name for name, _ in modules]
    if names[:2] != ["Transformer", "Pooling"]:
        raise UnsupportedModelError(
            f"{source}: its modules are {', '.join(names)}; a bundle takes a Transformer, a "
            "Pooling, and then any of Dense, LayerNorm, Normalize and Dropout"
        )
    folder = modules[0][1]
    if folder and not Path(source).is_dir():
        raise UnsupportedModelError(
            f"{source}: its transformer lies in {folder}; download the folder and export that"
        )
    transformer = _transformer_config(source, folder)
    _check_transformer(source, transformer)
    pooling = read_json(source, modules[1][1], "config.json")
    if not pooling:
        raise ExportError(f"{source} has no {modules[1][1]}/config.json, which says how it pools")
    layers = [_layer(source, name, folder) for name, folder in modules[2:] if name != "Dropout"]
    return SentenceModel(folder, transformer, pooling, nn.Sequential(*layers).eval(), settings)


def load_sentence_tokenizer(source: str) -> Any:
    """Load the tokenizer with the folder's own limit and lower-casing.

    Raises:
        ExportError: It cannot be loaded.
        UnsupportedModelError: It exists in Python only.
    """
    tokenizer = load_fast_tokenizer(transformer_source(source))
    modules = _modules(source)
    config = _transformer_config(source, modules[0][1]) if modules else {}
    limit = config.get("max_seq_length")
    for name in ("processor_kwargs", "tokenizer_args"):
        limit = (config.get(name) or {}).get("model_max_length", limit)
    if limit is not None:
        tokenizer.model_max_length = limit
    if config.get("do_lower_case"):
        _lower_case(tokenizer.backend_tokenizer)
    return tokenizer


def _lower_case(tokenizer: Any) -> None:
    """Let a tokenizer lower its text's case before anything else, unless it says it does."""
    own = json.loads(tokenizer.to_str())["normalizer"] or {"type": "none"}
    if "Lowercase" in [own["type"], *(part["type"] for part in own.get("normalizers", ()))]:
        return
    rest = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *rest])


def _modules(source: str) -> list[tuple[str, str]]:
    """Class name and folder of each module of modules.json, in order; none without that file."""
    found = read_json(source, "", "modules.json")
    if not found:
        return []
    made: list[tuple[str, str]] = []
    for module in found:
        kind, path = str(module["type"]), str(module["path"])
        package, _, name = kind.rpartition(".")
        if package.partition(".")[0] != "sentence_transformers":
            raise UnsupportedModelError(f"{source}: no export of the module {kind!r}")
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ExportError(f"{source}: a module lies outside of the folder: {path!r}")
        made.append((name, path))
    return made


def _transformer_config(source: str, folder: str) -> dict[str, Any]:
    found = (read_json(source, folder, name) for name in TRANSFORMER_CONFIGS)
    return next((config for config in found if config), {})


def _check_transformer(source: str, config: Mapping[str, Any]) -> None:
    """Refuse settings by which the vectors would differ from what a bundle computes."""
    text = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
    wanted: dict[str, tuple[Any, ...]] = {
        "transformer_task": ("feature-extraction",),
        "modality_config": (text,),
        "module_output_name": ("token_embeddings",),
        "processing_kwargs": ({},),
        "query_length": (),
        "document_length": (),
        "query_expansion": (),
        "config_kwargs": ({},),
        "config_args": ({},),
    }
    for name, values in wanted.items():
        value = config.get(name)
        if value is not None and value not in values:
            raise UnsupportedModelError(
                f"{source}: {name} is {json.dumps(value)} in its sentence_bert_config.json; a "
                "bundle does not reproduce that"
            )


def _layer(source: str, name: str, folder: str) -> nn.Module:
    """One module behind the pooling, with its weights."""
    config = read_json(source, folder, "config.json")
    for key in ("module_input_name", "module_output_name"):
        value = config.get(key)
        if value is not None and value != "sentence_embedding":
            raise UnsupportedModelError(f"{source}: {key} of {folder} is {value!r}")
    if name == "Normalize":
        return Normalize()
    try:
        if name == "Dense":
            layer: nn.Module = Dense(config, _activation(source, folder, config))
        elif name == "LayerNorm":
            layer = LayerNorm(config)
        else:
            raise UnsupportedModelError(f"{source}: no export of the module {name} ({folder})")
    except KeyError as error:
        raise ExportError(f"{source}: {folder}/config.json does not say {error}") from None
    try:
        layer.load_state_dict(load_file(_weights(source, folder)))
    except (RuntimeError, SafetensorError) as error:
        raise ExportError(f"{source}: the weights of {folder} do not fit: {error}") from error
    return layer


def _activation(source: str, folder: str, config: Mapping[str, Any]) -> nn.Module:
    path = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    package, _, name = path.rpartition(".")
    if not package.startswith("torch.nn") or name not in ACTIVATIONS:
        raise UnsupportedModelError(
            f"{source}: no export of the activation {path!r} of {folder}; known: "
            f"{', '.join(ACTIVATIONS)} of torch.nn"
        )
    return ACTIVATIONS[name]()


def _weights(source: str, folder: str) -> Path:
    found = _find(source, folder, "model.safetensors")
    if found is None:
        raise ExportError(
            f"{source} has no {folder}/model.safetensors; pickled weights can run code and are not "
            "read. Save it again with save_pretrained of sentence-transformers"
        )
    return found


def read_json(source: str, folder: str, name: str) -> Any:
    """The content of a file; nothing where there is no such file."""
    path = _find(source, folder, name)
    if path is None:
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{source}: {Path(folder) / name} is not JSON: {error}") from error


def _find(source: str, folder: str, name: str) -> Path | None:
    """A file of a local folder or of the hub; None where there is none."""
    try:
        found = cached_file(
            source,
            name,
            subfolder=folder,
            _raise_exceptions_for_missing_entries=False,
        )
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ExportError(f"{source} cannot be loaded: {first}") from error
    return None if found is None else Path(found)
