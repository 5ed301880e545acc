"""The options of `run` that depend on the task: groups of them, and which task takes which."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from onnxtasks.cli import options
from onnxtasks.cli.generation_options import READERS, SOURCES, WRITING, AnswerOptions
from onnxtasks.cli.inputs import is_json_lines
from onnxtasks.cli.items import READS, is_text
from onnxtasks.cli.output import refuse
from onnxtasks.cli.speech_options import SpeechOptions
from onnxtasks.cli.transcript_options import SPEECH, TranscriptOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """What the inputs are made of."""

    inputs: options.Inputs = None
    file: options.File = None
    documents: options.Documents = None
    input_jsonl: options.InputJson = None
    text_pair: options.TextPair = None
    question: options.Question = None
    context: options.Context = None
    context_file: options.ContextFile = None
    query: options.Query = None

    @property
    def are_json(self) -> bool:
        """Whether each input is a JSON value."""
        by_name = self.file is not None and is_json_lines(self.file) and not self.documents
        return bool(self.input_jsonl) or by_name

    @property
    def are_complete(self) -> bool:
        """Whether the options are an input already: a question and its context."""
        return self.question is not None and (self.context or self.context_file) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What is handed to the task's `predict`, under the name here or in `KEYWORDS`."""

    top_k: options.TopK = None
    function: options.Function = None
    long_text: options.LongText = None
    labels: options.Labels = None
    template: options.Template = None
    multi_label: options.MultiLabel = None
    aggregation: options.Aggregation = None
    ignore_label: options.IgnoreLabel = None
    stride: options.Stride = None
    doc_stride: options.DocStride = None
    max_seq_len: options.MaxSeqLen = None
    max_answer_len: options.MaxAnswerLen = None
    max_question_len: options.MaxQuestionLen = None
    impossible: options.Impossible = None
    align_to_words: options.AlignToWords = None
    targets: options.Targets = None
    pooling: options.Pooling = None
    normalize: options.Normalize = None
    dimensions: options.Dimensions = None
    prompt: options.Prompt = None
    prompt_text: options.PromptText = None
    subtask: options.Subtask = None
    threshold: options.Threshold = None
    mask_threshold: options.MaskThreshold = None
    overlap_mask_area_threshold: options.OverlapMaskAreaThreshold = None
    label_ids_to_fuse: options.LabelIdsToFuse = None
    window_seconds: options.WindowSeconds = None
    step_seconds: options.StepSeconds = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """What is written into folders besides what is printed."""

    draw: options.Draw = None
    save_masks: options.SaveMasks = None
    save_depth: options.SaveDepth = None


KEYWORDS = {
    "function": "function_to_apply",
    "template": "hypothesis_template",
    "ignore_label": "ignore_labels",
    "impossible": "handle_impossible_answer",
    "hotword": "hotwords",
    "initial_prompt": "prompt",
    "stop": "stop_strings",
    "translate": "task",
    "prompt_lookup": "prompt_lookup_num_tokens",
}
"""Fields of the groups of options that have another name in `predict`."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "text-generation": {"return_full_text": False},
    "token-classification": {"aggregation": "simple"},
}
"""Task -> what `predict` is asked where nothing else is said: what a person reads best."""

TEXTS = tuple(task for task in READS if is_text(task))
ANSWERING = ("question-answering",)
DEPTH = ("depth-estimation",)
DETECTION = ("object-detection",)
EMBEDDING = ("feature-extraction",)
ENTITIES = ("token-classification",)
SEGMENTS = ("image-segmentation",)
SOUNDS = ("audio-classification",)
WINDOWS = (*ENTITIES, *SOURCES)
VECTORS = (*EMBEDDING, "image-feature-extraction")
ZERO_SHOT = ("zero-shot-classification",)

TAKES: dict[str, tuple[str, ...]] = {
    "documents": TEXTS,
    "input_jsonl": TEXTS,
    "text_pair": ("next-sentence-prediction", "text-classification"),
    "question": ANSWERING,
    "context": ANSWERING,
    "context_file": ANSWERING,
    "query": ("text-ranking",),
    "timestamps": SPEECH,
    "top_k": (
        *SOUNDS,
        "fill-mask",
        "image-classification",
        "next-sentence-prediction",
        *DETECTION,
        "question-answering",
        "text-classification",
        "text-ranking",
        *WRITING,
    ),
    "function": (*SOUNDS, "image-classification", "text-classification", "text-ranking"),
    "long_text": (
        "feature-extraction",
        "fill-mask",
        "next-sentence-prediction",
        "text-classification",
        "text-ranking",
        "token-classification",
        *SOURCES,
    ),
    "labels": ZERO_SHOT,
    "template": ZERO_SHOT,
    "multi_label": ZERO_SHOT,
    "aggregation": ENTITIES,
    "ignore_label": ENTITIES,
    "stride": ENTITIES,
    "doc_stride": ANSWERING,
    "max_seq_len": ANSWERING,
    "max_answer_len": ANSWERING,
    "max_question_len": ANSWERING,
    "impossible": ANSWERING,
    "align_to_words": ANSWERING,
    "targets": ("fill-mask",),
    "pooling": VECTORS,
    "normalize": VECTORS,
    "dimensions": EMBEDDING,
    "prompt": EMBEDDING,
    "prompt_text": EMBEDDING,
    "subtask": SEGMENTS,
    "threshold": (*SEGMENTS, *DETECTION),
    "mask_threshold": SEGMENTS,
    "overlap_mask_area_threshold": SEGMENTS,
    "label_ids_to_fuse": SEGMENTS,
    "window_seconds": SOUNDS,
    "step_seconds": SOUNDS,
    "draw": (*DEPTH, *SEGMENTS, *DETECTION),
    "save_masks": SEGMENTS,
    "save_depth": DEPTH,
    "stream": (*WRITING, *SPEECH),
    **dict.fromkeys((field.name for field in fields(TranscriptOptions)), SPEECH),
    **dict.fromkeys((field.name for field in fields(SpeechOptions)), SPEECH),
    **dict.fromkeys((field.name for field in fields(AnswerOptions)), WRITING),
    **dict.fromkeys(("max_new_tokens", "num_beams", "seed", "temperature"), (*WRITING, *SPEECH)),
    "prefix": SOURCES,
    "source": ("translation",),
    "target": ("translation",),
    "return_full_text": ("text-generation",),
}
"""Option -> the tasks that take it. Every task takes the options that are not here."""

HALVES: dict[str, tuple[str, ...]] = {
    "next-sentence-prediction": ("text_pair",),
    "question-answering": ("question", "context", "context_file"),
    "text-ranking": ("query",),
}
"""Task -> the options that say what a line of text lacks to be an input; else it is in JSON."""

EXCLUDE: tuple[tuple[str, ...], ...] = (
    ("inputs", "file"),
    ("documents", "input_jsonl"),
    ("context", "context_file"),
)
"""Input options of which one may be given."""


def flag(name: str) -> str:
    """How an option is written on the command line."""
    return "INPUTS" if name == "inputs" else "--" + name.replace("_", "-")


def given(group: Any) -> dict[str, Any]:
    """The options of a group that were given, in their order."""
    values = {field.name: getattr(group, field.name) for field in fields(group)}
    return {name: value for name, value in values.items() if value is not None and value != []}


def check(task: str, inputs: InputOptions, *groups: Any, **others: Any) -> None:
    """End the command where options exclude each other or do not fit the task.

    Args:
        task: The bundle's.
        inputs: What the inputs are made of.
        groups: What is asked of the task, and written into folders.
        others: Options that are in no group.
    """
    said = given(inputs) | {name: value for name, value in others.items() if value is not None}
    for names in EXCLUDE:
        refuse_both({flag(name): said.get(name) for name in names})
    refuse_untaken(task, said)
    if inputs.are_complete:
        for name in ("inputs", "file", "documents", "input_jsonl"):
            if name in said:
                refuse(f"--question with a context is the only input; leave {flag(name)} out")
    needed = HALVES.get(task, ())
    if needed and not inputs.are_json and not any(name in said for name in needed):
        refuse(f"{task} needs {' or '.join(map(flag, (*needed, 'input_jsonl')))}")
    check_taken(task, *groups)


def check_taken(task: str, *groups: Any) -> None:
    """End the command where options do not fit the task."""
    said = {name: value for group in groups for name, value in given(group).items()}
    refuse_untaken(task, said)
    if said.get("long_text") == "windows" and task not in WINDOWS:
        refuse(f"--long-text windows is for {_and(WINDOWS)}; this bundle is for {task}")
    if said.get("top_k") == options.ALL and task in ANSWERING:
        refuse(f"--top-k all is not for {task}; give a number")
    if "labels" not in said and task in ZERO_SHOT:
        refuse(f"{task} needs --labels, such as --labels 'sports,politics'")


def refuse_untaken(task: str, names: Iterable[str]) -> None:
    """End the command where an option was given that the task does not take."""
    for name in names:
        tasks = TAKES.get(name, (task,))
        if task not in tasks:
            refuse(f"{flag(name)} is for {_and(tasks)}; this bundle is for {task}")


def keywords(task: str, *groups: Any) -> dict[str, Any]:
    """What `predict` is handed."""
    said = {name: value for group in groups for name, value in given(group).items()}
    said |= {n: read(flag(n), said[n]) for n, read in READERS.items() if n in said}
    if said.get("top_k") == options.ALL:
        said["top_k"] = None
    if "translate" in said:
        said["translate"] = "translate"  # the name of the task
    for name in ("labels", "targets"):
        if name in said:
            said[name] = names_in(flag(name), said[name])
    if "label_ids_to_fuse" in said:
        said["label_ids_to_fuse"] = ids_in("--label-ids-to-fuse", said["label_ids_to_fuse"])
    renamed = {KEYWORDS.get(name, name): value for name, value in said.items()}
    return DEFAULTS.get(task, {}) | renamed


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else names[0]


def names_in(option: str, value: str) -> list[str]:
    """Split names at their commas; end the command where one is empty."""
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        refuse(f"{option} is {value!r}; it is names with commas between them")
    return names


def ids_in(option: str, value: str) -> list[int]:
    """Read class ids with commas between them; end the command where one is no number."""
    try:
        return [int(number) for number in value.split(",")]
    except ValueError:
        refuse(f"{option} is {value!r}; it is class ids with commas between them, such as 0,3")


def refuse_both(said: dict[str, Any]) -> None:
    """End the command where two things were given that exclude each other."""
    names = [name for name, value in said.items() if value]
    if len(names) > 1:
        refuse(f"{names[0]} and {names[1]} exclude each other; give one of them")


def grouped(function: Callable[..., None]) -> Callable[..., None]:
    """A command in whose signature each group of options stands as its fields.

    Typer makes options of a function's parameters. One that is a dataclass becomes a parameter a
    field here, so that fifty options need not be one list.
    """
    parameters = inspect.signature(function).parameters.values()
    groups: dict[str, Any] = {
        one.name: one.annotation for one in parameters if is_dataclass(one.annotation)
    }

    def command(**values: Any) -> None:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        function(**values, **made)

    flat: list[inspect.Parameter] = []
    for one in parameters:
        group = groups.get(one.name)
        flat += [one] if group is None else inspect.signature(group).parameters.values()
    flat = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in flat]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]  # read by inspect
    command.__annotations__ = {one.name: one.annotation for one in flat}
    return command
