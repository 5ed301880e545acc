"""Tasks that write, over a model in numpy and a tokenizer of its eleven words."""

from typing import Any

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.spec import SequenceToSequenceSpec, TextGenerationSpec
from onnxtasks.tasks.text2text_generation import TextRewriter
from onnxtasks.tasks.text_generation import TextGenerator
from tests.runtime.generation.slot_model import SlotDecoder, SlotEncoder, SlotModel

WORDS = ("<s>", "</s>", "<unk>", "one", "two", "three", "four", "five", "six", "seven", ".")
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] == 'user' and 'one' or 'two' }} {{ m['content'] }} "
    "{% endfor %}{% if add_generation_prompt %}two{% endif %}"
)


def tokenizer(words=WORDS):
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    made.add_special_tokens([AddedToken(name, special=True) for name in ("<s>", "</s>")])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def defaults(**values):
    given: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": (1,)} | values
    return GenerationDefaults(**given)


def generator(*, chat_template=TEMPLATE, kept_bytes=0, kind=TextGenerator, **values):
    model = SlotModel()
    spec = TextGenerationSpec(
        decoder=model.spec, defaults=defaults(**values), chat_template=chat_template
    )
    return kind(SlotDecoder(model), spec, tokenizer(), kept_bytes=kept_bytes)


def writer(kind=TextRewriter, *, target=None, start=0, own=None, **settings):
    """A task whose sources end with </s>; `own` are its defaults."""
    model = SlotModel(source=True)
    given: dict[str, Any] = {"max_source": 8, "source_suffix": (1,)} | settings
    spec = SequenceToSequenceSpec(
        decoder=model.spec,
        defaults=defaults(decoder_start_token_id=start, **(own or {})),
        target_tokenizer=target is not None,
        unknown_id=None if target is None else 2,
        **given,
    )
    return kind(SlotEncoder(model), SlotDecoder(model), spec, tokenizer(), target)


def greedy(model, text, count, source=None, forced=()):
    """The tokens that a model likes best behind a text, one after the other."""
    text, found = list(text), list(forced)
    while len(found) < count and found[-1:] != [1]:
        found.append(int(model.read([*text, *found], source)[-1].argmax()))
    return tuple(found)


def words(ids):
    """What token ids are decoded to."""
    return " ".join(WORDS[index] for index in ids if index > 1)
