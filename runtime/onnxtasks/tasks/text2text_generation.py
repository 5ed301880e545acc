"""Text to text: a text -> another one, as the checkpoint was taught."""

from onnxtasks.tasks.sequence_writer import SequenceWriter


class TextRewriter(SequenceWriter):
    """Writes what a text asks for.

    Source: transformers, `Text2TextGenerationPipeline` of version 4 and `GenerationMixin.generate`.
    """

    name = "text2text-generation"
    key = "generated_text"
