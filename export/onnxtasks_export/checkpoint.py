"""A checkpoint on disk or on the hub -> task, model and processors."""

from dataclasses import dataclass, field
from typing import Any


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
