"""The original image processor, in its Pillow form."""

from typing import Any

from transformers import AutoImageProcessor
from transformers.image_processing_backends import PilBackend

from onnxtasks.errors import ExportError, UnsupportedModelError


def pil_image_processor(source: str, revision: str | None = None) -> Any:
    """Load a checkpoint's image processor with the Pillow backend, torchvision or not.

    Args:
        source: A local folder or hub id.
        revision: A hub revision; None takes the newest.

    Raises:
        ExportError: The checkpoint has no image processor.
        UnsupportedModelError: Its image processor has no Pillow form.
    """
    try:
        processor = AutoImageProcessor.from_pretrained(
            source, revision=revision or "main", backend="pil", trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ExportError(f"{source}: its image processor cannot be loaded: {error}") from error
    if not isinstance(processor, PilBackend):  # transformers falls back to torchvision's
        raise UnsupportedModelError(
            f"{source}: {type(processor).__name__} has no Pillow form, which is the reference"
        )
    return processor
