"""A checkpoint on disk or on the hub -> task, model and processors."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks_export.quiet import quiet


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

    for name in config.architectures or ():
        head = getattr(transformers, name, None)
        if head is None:
            continue
        if name.endswith("ForCTC"):  # TasksManager's task, but its model class would be seq2seq
            return "automatic-speech-recognition"
        try:
            return str(TasksManager.infer_task_from_model(head))
        except (KeyError, ValueError):
            continue
    return None


def load_model(source: str, auto_class: str) -> Any:
    """Load the model, fp32, in evaluation mode.

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
    if missing := sorted(info["missing_keys"]):
        raise ExportError(
            f"{source} holds no weights for {', '.join(missing[:3])}: it is not fine-tuned for "
            f"{auto_class.removeprefix('AutoModelFor')}, and its answers would be random"
        )
    return model.eval()


def load_tokenizer(source: str) -> Any:
    """Load the tokenizer.

    Raises:
        ExportError: It cannot be loaded.
    """
    with _refusals(source):
        return transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)


def load_feature_extractor(source: str) -> Any:
    """Load the feature extractor.

    Raises:
        ExportError: It cannot be loaded.
    """
    with _refusals(source):
        return transformers.AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False)


def write_tokenizer(tokenizer: Any, path: Path) -> None:
    """Write `tokenizer.json` without the padding and truncation its last user left in it.

    Raises:
        UnsupportedModelError: The tokenizer exists in Python only.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedModelError(
            f"{type(tokenizer).__name__} has no fast form (tokenizer.json), which a bundle needs"
        )
    state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    state["padding"] = state["truncation"] = None
    path.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")


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
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
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
