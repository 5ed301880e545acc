"""Summarization: a text -> a shorter one."""

from onnxtasks.tasks.sequence_writer import SequenceWriter


class Summarizer(SequenceWriter):
    """Writes what a text says in fewer words.

    Source: transformers, `SummarizationPipeline` of version 4 and `GenerationMixin.generate`.
    """

    name = "summarization"
    key = "summary_text"
