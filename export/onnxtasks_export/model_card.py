"""The README.md of a bundle."""

from onnxtasks.bundle import Manifest
from onnxtasks.parity import Parity

_CARD = """\
---
library_name: onnxtasks
pipeline_tag: {task}
---

# {name}

{architecture} for {task}, exported for [ONNX Runtime](https://onnxruntime.ai) with onnxtasks.
It runs without torch or transformers:

```python
import onnxtasks

answer = onnxtasks.load("{name}")
print(answer({example}))
```

## Variants

{variants}

{notes}

## Made from

{source}
"""

_EXAMPLES = {
    "audio-classification": '"recording.wav"',
    "automatic-speech-recognition": '"recording.wav"',
    "depth-estimation": '"picture.jpg"',
    "fill-mask": 'f"A text with a {answer.spec.mask_token}."',
    "feature-extraction": '"A text."',
    "image-classification": '"picture.jpg"',
    "image-feature-extraction": '"picture.jpg"',
    "image-segmentation": '"picture.jpg"',
    "object-detection": '"picture.jpg"',
    "question-answering": '("What is it?", "It is a text.")',
    "next-sentence-prediction": '("A text.", "The next one.")',
    "summarization": '"A long text."',
    "text-classification": '"A text."',
    "text-generation": '"Once upon a time", max_new_tokens=20',
    "text-ranking": '("A question?", ["A document.", "Another."])',
    "text2text-generation": '"A text."',
    "translation": '"A text."',
    "zero-shot-classification": '"A text.", labels=["politics", "sports"]',
    "token-classification": '"A text.", aggregation="simple"',
}


def model_card(manifest: Manifest, parity: Parity) -> str:
    """Write the card in Markdown.

    Args:
        manifest: The bundle's manifest.
        parity: What was compared, and what each variant takes.
    """
    rows = [
        "| variant | size | answers compared | the same | largest score difference | divergence "
        "| speed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in parity.variants.items():
        mark = " (default)" if name in manifest.default_variant.values() else ""
        rows.append(
            f"| {name}{mark} | {(found.bytes or 0) / 1e6:.1f} MB | {found.compared} "
            f"| {found.same:.1%} | {found.max_difference:.1e} | {found.divergence:.1e} "
            f"| {found.speed or 1.0:.2f}x |"
        )
    batches = sorted({size for found in parity.variants.values() for size in found.batch_sizes})
    spread = ", ".join(f"{name} {found.spread:.1e}" for name, found in parity.variants.items())
    notes = (
        "Every answer was compared with the original checkpoint's, asked one input at a time, in "
        f"batches of {', '.join(map(str, batches))}. Divergence is the largest share of "
        "probability that moved in one answer (0 to 1); of vectors, 1 - cosine. Largest difference "
        f"between an answer in a batch and alone: {spread}. Speed is that of the graphs for one "
        "answer on the machine that exported, against cpu-fp32 there; below 1 a variant was slower."
    )
    return _CARD.format(
        task=manifest.task,
        name=manifest.source["checkpoint"],
        architecture=manifest.architecture,
        example=_EXAMPLES[manifest.task],
        variants="\n".join(rows),
        notes=notes,
        source="\n".join(f"- {key}: {value}" for key, value in manifest.source.items() if value),
    )
