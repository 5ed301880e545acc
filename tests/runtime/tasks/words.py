"""A tokenizer of a few whole words, for tests with fake sessions."""

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")


def word_tokenizer(words: Sequence[str]) -> Tokenizer:
    """Ids 0 to 4 are `SPECIAL`, the words follow; punctuation is cut off."""
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *words))}
    made = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    made.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return made
