"""Adapters of one language (MMS): loaded into the model before it is exported."""

from dataclasses import replace

from transformers.utils import cached_file

from onnxtasks.errors import ExportError
from onnxtasks_export.checkpoint import Checkpoint


def merge_adapter(checkpoint: Checkpoint) -> Checkpoint:
    """Load the adapter of the language that the tokenizer names, as its `target_lang`.

    As Wav2Vec2ForCTC.from_pretrained(target_lang=...), which loads `adapter.<language>.safetensors`
    over the attention adapters and the head. A checkpoint that was saved after that holds them
    itself, and has no such file: it stays as it is.

    Raises:
        ExportError: The adapter is pickled, missing or does not fit the model.
    """
    language = getattr(checkpoint.processors.get("tokenizer"), "target_lang", None)
    if language is None or getattr(checkpoint.config, "adapter_attn_dim", None) is None:
        return checkpoint
    source, model = checkpoint.source, checkpoint.model
    if not _has(source, f"adapter.{language}.safetensors"):
        if _has(source, f"adapter.{language}.bin"):
            raise ExportError(
                f"{source}: adapter.{language}.bin is pickled, which can run code, and is not "
                "read. Save it as adapter.<language>.safetensors"
            )
        symbols = len(checkpoint.processors["tokenizer"].encoder)
        if model.lm_head.out_features != symbols:
            raise ExportError(
                f"{source} has no adapter.{language}.safetensors, and its head scores "
                f"{model.lm_head.out_features} symbols; {language!r} has {symbols}"
            )
        return checkpoint
    try:
        model.load_adapter(language, use_safetensors=True)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ExportError(f"{source}: the adapter of {language!r}: {first}") from error
    return replace(checkpoint, model=model.eval(), config=model.config)


def _has(source: str, name: str) -> bool:
    try:
        found = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError):
        return False
    return found is not None
