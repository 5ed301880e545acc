"""A checkpoint on disk or on the hub -> task, model and processors."""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks_export.quiet import quiet
from onnxtasks_export.specs.decoder import generation_task


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: everything an export reads."""

    source: str
    """Local folder or hub id, as given."""
    task: str
    config: Any
    """A transformers `PretrainedConfig`."""
    model: Any
    """A transformers `PreTrainedModel`: fp32, in evaluation mode, on the CPU."""
    processors: dict[str, Any] = field(default_factory=dict)
    """"tokenizer", "image_processor", "feature_extractor" -> the loaded one, where it has one."""
    missing: tuple[str, ...] = ()
    """Names of weights that are not in the checkpoint: random in the model, and not to be read."""


def load_config(source: str) -> Any:
    """Load the config of a local folder or a hub id; code of the checkpoint is never run.

    Raises:
        ExportError: There is no such checkpoint.
        UnsupportedModelError: It brings its own code, or is of a type transformers does not know.
    """
    if not Path(source).is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise ExportError(f"there is no folder {source!r}, and a hub id looks like owner/name")
    with _refusals(source), quiet():
        return transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)


def infer_task(config: Any) -> str | None:
    """The task that a checkpoint was fine-tuned for, by the head that its config names.

    Whatever optimum's TasksManager calls it; None for a checkpoint without a known head.
    """
    from optimum.exporters.tasks import TasksManager

    if (writes := generation_task(config.to_dict())) is not None:
        return writes  # TasksManager knows one task for all encoder-decoders
    for name in config.architectures or ():
        head = getattr(transformers, name, None)
        if head is None:
            continue
        if name.endswith("ForCTC"):  # TasksManager's task, but its model class would be seq2seq
            return "automatic-speech-recognition"
        if name.endswith("ForNextSentencePrediction"):  # TasksManager does not know it
            return "next-sentence-prediction"
        if "Segmentation" in name:  # TasksManager tells semantic ones from others
            return "image-segmentation"
        if "ForImageClassification" in name:  # also "...WithTeacher"
            return "image-classification"
        if name.endswith("ForObjectDetection"):  # TasksManager does not know every family
            return "object-detection"
        if name.endswith("ForDepthEstimation"):
            return "depth-estimation"
        try:
            task = str(TasksManager.infer_task_from_model(head))
        except (KeyError, ValueError):
            continue
        sees = getattr(config, "vocab_size", None) is None and hasattr(config, "num_channels")
        return "image-feature-extraction" if task == "feature-extraction" and sees else task
    return None


def auto_class(config: Any, names: Sequence[str]) -> str | None:
    """The first of these transformers classes that knows the config; None where none does."""
    known = [name for name in names if type(config) in getattr(transformers, name)._model_mapping]
    return known[0] if known else None


def load_model(
    source: str, auto_class: str, unused: Sequence[str] = ()
) -> tuple[Any, tuple[str, ...]]:
    """Load the model, fp32, in evaluation mode; and tell the weights that it lacks.

    Args:
        source: A local folder or a hub id.
        auto_class: The class of transformers that loads it with its head.
        unused: Beginnings of the names of weights that may be missing, because nothing reads them.

    Raises:
        ExportError: It cannot be loaded, has no safetensors, or lacks the weights of its head.
    """
    loader = getattr(transformers, auto_class)
    with _refusals(source), quiet():
        model, info = loader.from_pretrained(
            source,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    missing = [name for name in sorted(info["missing_keys"]) if not name.startswith(tuple(unused))]
    if missing:
        raise ExportError(
            f"{source} holds no weights for {', '.join(missing[:3])}: it is not fine-tuned for "
            f"{auto_class.removeprefix('AutoModelFor')}, and its answers would be random"
        )
    return model.eval(), tuple(sorted(info["missing_keys"]))


def load_tokenizer(source: str) -> Any:
    """Load the tokenizer.

    Raises:
        ExportError: It cannot be loaded.
    """
    with _refusals(source):
        return transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)


def load_fast_tokenizer(source: str) -> Any:
    """Load a tokenizer that has a `tokenizer.json` form; transformers converts others if it can.

    Raises:
        ExportError: It cannot be loaded.
        UnsupportedModelError: It exists in Python only.
    """
    tokenizer = load_tokenizer(source)
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedModelError(
            f"{type(tokenizer).__name__} has no fast form (tokenizer.json), which a bundle needs"
        )
    return tokenizer


def load_feature_extractor(source: str) -> Any:
    """Load the feature extractor.

    Raises:
        ExportError: It cannot be loaded.
    """
    with _refusals(source):
        return transformers.AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False)


def write_tokenizer(tokenizer: Any, path: Path) -> None:
    """Write `tokenizer.json` without the padding and truncation its last user left in it."""
    state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    state["padding"] = state["truncation"] = None
    path.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")


def text_settings(checkpoint: Checkpoint) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """What the spec of a text task is made of: tokenizer, config, and the inputs of the model."""
    tokenizer, config = checkpoint.processors["tokenizer"], checkpoint.config.to_dict()
    settings = {name: getattr(tokenizer, name, None) for name in TOKENIZER_SETTINGS}
    taken = inspect.signature(checkpoint.model.forward).parameters
    inputs = [name for name in tokenizer.model_input_names if name in taken]
    if config.get("type_vocab_size") == 0:  # the model takes them and looks nothing up (DeBERTa)
        inputs = [name for name in inputs if name != "token_type_ids"]
    return settings, config, inputs


TOKENIZER_SETTINGS = (
    *("model_max_length", "padding_side", "truncation_side"),
    *("pad_token_id", "mask_token_id", "cls_token_id", "unk_token_id"),
)


def versions() -> Mapping[str, str]:
    """Versions of what made a bundle."""
    import onnx
    import onnxruntime

    return {
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
        "onnx": str(onnx.__version__),
        "onnxruntime": str(onnxruntime.__version__),
    }


@contextmanager
def _refusals(source: str) -> Iterator[None]:
    """Turn what transformers raises while loading into one sentence."""
    try:
        yield
    except (OSError, ValueError, ImportError, LookupError, RuntimeError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, ImportError):  # what to install stands in a later line (timm)
            first = " ".join(str(error).split())
        if "trust_remote_code" in str(error):
            raise UnsupportedModelError(
                f"{source} brings its own code; onnxtasks runs none, so it cannot be exported"
            ) from error
        if "safetensors" in str(error):
            raise ExportError(
                f"{source} has no model.safetensors; pickled weights can run code and are not "
                "read. Save it again with save_pretrained"
            ) from error
        if isinstance(error, ValueError) and "model type" in str(error):
            raise UnsupportedModelError(f"{source}: {first}") from error
        raise ExportError(f"{source} cannot be loaded: {first}") from error
