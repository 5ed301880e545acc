"""Stop strings against transformers' StopStringCriteria, and streams against its decode."""

import random

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.generation.stopping_criteria import StopStringCriteria

from onnxtasks.generation.stopping import StopStrings
from onnxtasks.generation.streaming import TextStream, TokenTexts

TEXTS = [
    "The stop sign stops the stopper, and nothing stopped at all.",
    "Write code:\n\n```python\nprint('stop')\n```\nUser: go on\nAssistant: no",
    "héllo wörld 你好世界。 😀😃 👩‍🚀 stop. Stop! STOP?",
    "a b c d e f g 1 2 3 ### end <end> abcdef abc def n't it's",
]
SPECIAL = ["<unk>", "<s>", "</s>"]


def byte_level():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS * 3,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
        ),
    )
    return made


def unigram():
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(
        TEXTS * 3,
        trainers.UnigramTrainer(
            vocab_size=140, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
        ),
    )
    return made


def byte_fallback():
    words = {word: number for number, word in enumerate(SPECIAL)}
    for byte in range(256):
        words[f"<0x{byte:02X}>"] = len(words)
    for word in ["▁", *"abcdefostp.,", "▁st", "op", "▁stop", "pper", "\n"]:
        words.setdefault(word, len(words))
    made = Tokenizer(
        models.BPE(vocab=words, merges=[("o", "p")], unk_token="<unk>", byte_fallback=True)
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    made.add_special_tokens(SPECIAL)
    return made


def wordpiece():
    words = [*SPECIAL, "abcdef", "stop", "##stop", "st", "##op", "##pper", ",", ".", "n't", "the"]
    made = Tokenizer(models.WordPiece({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(SPECIAL)
    return made


MAKERS = {
    "byte level": byte_level,
    "unigram": unigram,
    "byte fallback": byte_fallback,
    "wordpiece": wordpiece,
}


def pair(maker, **options):
    """Our tokenizer, and transformers' own copy of it."""
    made = maker()
    made.add_tokens(["<end>", "\n\n"])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(made.to_str()),
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        **options,
    )
    return made, fast


def random_rows(made, count, seed):
    """Rows of tokens, of real texts and of none; some end in tokens that are not there."""
    draw = random.Random(seed)
    words = made.get_vocab_size()
    for _ in range(count):
        if draw.random() < 0.4:
            row = made.encode(draw.choice(TEXTS)).ids
            start = draw.randrange(len(row))
            row = row[start : start + draw.randint(1, 20)]
        else:
            row = [draw.randrange(words) for _ in range(draw.randint(1, 12))]
        if draw.random() < 0.05:
            row[-1] = words + 3
        yield row


def strings(made, row, draw):
    """Stop strings, most of which a row of tokens has somewhere."""
    text = made.decode(row, skip_special_tokens=False).replace("\N{REPLACEMENT CHARACTER}", "")
    found = ["stop"]
    for _ in range(draw.randint(1, 3)):
        if text:
            at = draw.randrange(len(text))
            found.append(text[at : at + draw.randint(1, 8)])
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_rows_stop_where_they_stop_in_transformers(name):
    made, fast = pair(MAKERS[name])
    texts = TokenTexts(made)
    draw = random.Random(5)
    stops = 0
    for case, seed in enumerate(random_rows(made, 40, 1)):
        wanted = strings(made, seed, draw)
        original = StopStringCriteria(fast, wanted)
        ours = StopStrings(texts, wanted)
        for row in [seed[:end] for end in range(1, len(seed) + 1)]:
            expected = bool(original(torch.tensor([row]), None)[0])
            assert ours.stops(np.array(row)) == expected, (case, wanted, row)
            stops += expected
    assert stops > 20


@pytest.mark.parametrize("name", MAKERS)
def test_the_text_of_each_token_is_that_of_transformers(name):
    made, fast = pair(MAKERS[name])
    texts = TokenTexts(made)
    mode = StopStringCriteria._get_stop_string_matching_mode(fast)
    assert texts.byte_kind == mode
    words, numbers = StopStringCriteria.clean_tokenizer_vocab(fast, stop_string_matching_mode=mode)
    assert len(numbers) == made.get_vocab_size()
    for word, number in zip(words, numbers, strict=True):
        assert texts.later(number) == (word if isinstance(word, bytes) else word.encode())


@pytest.mark.parametrize("clean_up", [False, True])
@pytest.mark.parametrize("name", MAKERS)
def test_joined_pieces_are_the_decoded_text(name, clean_up):
    made, fast = pair(MAKERS[name], clean_up_tokenization_spaces=clean_up)
    # transformers does not clean up behind BPE.
    cleans = clean_up and not isinstance(made.model, models.BPE)
    texts = TokenTexts(made)
    for row in random_rows(made, 300, 2):
        stream = TextStream(texts, clean_up=cleans)
        pieces = [stream.push(number) for number in row] + [stream.finish()]
        kept = [number for number in row if number < made.get_vocab_size()]
        assert "".join(pieces) == fast.decode(kept, skip_special_tokens=True)
