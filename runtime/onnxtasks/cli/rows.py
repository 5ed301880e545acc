"""Results -> rows on a terminal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onnxtasks.cli.columns import shorten
from onnxtasks.cli.items import Named

Row = tuple[str, ...]
NUMBERS = 3  # of a vector, which nobody reads


@dataclass(frozen=True, slots=True)
class View:
    """How a person sees the answers of a task."""

    rows: Callable[[Any, Named], list[Row]]
    """(result, input) -> its rows."""
    below: bool = False
    """Whether a single row stands below its input too, not beside it."""
    coloured: bool = False
    """Whether a terminal shows the text with its entities coloured, and no rows."""
    whole: Callable[[Any], str] | None = None
    """All lines of the only answer to the only input; None where rows say it."""
    data: Callable[[Any], Any] | None = None
    """What JSON holds of a result, where its `to_dict` would be millions of numbers."""


def label_rows(labels: Any, one: Named) -> list[Row]:
    """Classes and their scores."""
    return [(label.label, f"{label.score:.4f}") for label in labels]


def entity_rows(entities: Any, one: Named) -> list[Row]:
    """Label, score, place and text of entities; character positions."""
    return [
        (found.label, f"{found.score:.4f}", str(found.start), str(found.end), found.text)
        for found in entities
    ]


def answer_rows(answers: Any, one: Named) -> list[Row]:
    """Score, place and text of answers; character positions in the context."""
    return [
        (f"{found.score:.4f}", f"{found.start}..{found.end}", found.text)
        if found.text
        else (f"{found.score:.4f}", "-", "(no answer)")
        for found in answers
    ]


def fill_rows(masks: Any, one: Named) -> list[Row]:
    """Score, token and text of what fits each mask; which mask, where there are several."""
    rows = []
    for number, fills in enumerate(masks, 1):
        mask = (str(number),) if len(masks) > 1 else ()
        rows += [
            (*mask, f"{found.score:.4f}", found.token.strip() or repr(found.token), found.text)
            for found in fills
        ]
    return rows


def vector_rows(vector: Any, one: Named) -> list[Row]:
    """The shape of a vector, or of one a token, and its first numbers."""
    shape = " x ".join(map(str, vector.shape))
    first = vector.ravel()[:NUMBERS]
    more = ["..."] if vector.size > NUMBERS else []
    return [(f"[{shape}]", " ".join([*(f"{number:.4f}" for number in first), *more]))]


def ranked_rows(ranking: Any, one: Named) -> list[Row]:
    """Index, score and text of documents, best first."""
    documents = one.name["documents"]
    return [
        (str(found.index), f"{found.score:.4f}", shorten(documents[found.index]))
        for found in ranking
    ]


def detection_rows(found: Any, one: Named) -> list[Row]:
    """Label, score and box of what was detected; pixels."""
    rows = [(each.label, f"{each.score:.4f}", *_box(each.box)) for each in found]
    return rows or [NOTHING]


def segment_rows(found: Any, one: Named) -> list[Row]:
    """Label, score and share of the picture of each segment."""
    pixels = found.label_map.size
    return [
        (
            each.label,
            "-" if each.score is None else f"{each.score:.4f}",
            f"{each.area / pixels:.1%}",
        )
        for each in found.segments
    ] or [NOTHING]


def segment_data(found: Any) -> Any:
    """Segments with their masks as COCO RLE."""
    return [
        {"label": each.label, "score": each.score, "mask": each.rle()} for each in found.segments
    ]


def depth_rows(found: Any, one: Named) -> list[Row]:
    """Size and range of a depth map."""
    about = depth_data(found)
    size = f"{about['width']} x {about['height']}"
    return [(size, f"{about['min']:.4g} to {about['max']:.4g}", f"mean {about['mean']:.4g}")]


def depth_data(found: Any) -> Any:
    """Size and range of a depth map; its numbers are for --save-depth."""
    height, width = found.depth.shape
    low, high, mean = (
        float(value()) for value in (found.depth.min, found.depth.max, found.depth.mean)
    )
    return {"width": width, "height": height, "min": low, "max": high, "mean": mean}


def _box(box: Any) -> Row:
    return tuple(f"{side:.1f}" for side in (box.xmin, box.ymin, box.xmax, box.ymax))


def transcript_rows(transcript: Any, one: Named) -> list[Row]:
    """What was said."""
    return [(transcript.text,)]


def word_rows(transcript: Any, one: Named) -> list[Row]:
    """Words with their times in seconds."""
    return [(f"{word.start:.2f}", f"{word.end:.2f}", word.text) for word in transcript.words]


def written_rows(texts: Any, one: Named) -> list[Row]:
    """Texts; where there are several, behind their log-probabilities."""
    if len(texts) == 1:
        return [(written(texts[0]),)]
    return [
        ("-" if found.logprob is None else f"{found.logprob:.4f}", written(found))
        for found in texts
    ]


def written(found: Any) -> str:
    """A text, behind its prompt where that was asked for; of a chat it is the answer alone.

    Without the prompt the space that parts them is not shown.
    """
    if isinstance(found.prompt, str) and found.prompt:
        return found.prompt + str(found.text)
    return str(found.text).lstrip()


def written_data(texts: Any) -> Any:
    """The keys of a pipeline, why each text ends, and how likely it was."""
    return [
        {**found.to_dict(), "finish_reason": found.finish_reason, "logprob": found.logprob}
        for found in texts
    ]


NOTHING: Row = ("(nothing)",)
LABELS = View(label_rows)
VECTOR = View(vector_rows)
WORDS = View(word_rows, below=True)
WRITTEN = View(written_rows, whole=written, data=written_data)

ROWS: dict[str, View] = {
    "audio-classification": LABELS,
    "automatic-speech-recognition": View(transcript_rows),
    "depth-estimation": View(depth_rows, data=depth_data),
    "feature-extraction": VECTOR,
    "fill-mask": View(fill_rows),
    "image-classification": LABELS,
    "image-feature-extraction": VECTOR,
    "image-segmentation": View(segment_rows, below=True, data=segment_data),
    "next-sentence-prediction": LABELS,
    "object-detection": View(detection_rows, below=True),
    "question-answering": View(answer_rows),
    "summarization": WRITTEN,
    "text-classification": LABELS,
    "text-generation": WRITTEN,
    "text-ranking": View(ranked_rows, below=True),
    "text2text-generation": WRITTEN,
    "token-classification": View(entity_rows, below=True, coloured=True),
    "translation": WRITTEN,
    "zero-shot-classification": LABELS,
}
"""Task -> how its answers are shown. A new task is one line here."""
