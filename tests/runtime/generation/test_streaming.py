"""Pieces of text as tokens come."""

import random

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models

from onnxtasks.generation.streaming import TextStream, TokenTexts
from onnxtasks.ops.clean_up import clean_up


def letters():
    """GPT-2's letter of each byte: byte-level tokens are written in them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


def byte_level():
    """Token n is byte n; then "ok", " ok", an added word and a special one."""
    words = {letter: byte for byte, letter in letters().items()} | {"ok": 256, "Ġok": 257}
    made = Tokenizer(models.BPE(vocab=words, merges=[]))
    made.decoder = decoders.ByteLevel()
    made.add_tokens([" <x> "])
    made.add_special_tokens(["</s>"])
    return made


def byte_fallback():
    """Token n is byte n, as `<0x..>`; then "▁", "▁a", "b" and a special token."""
    words = {f"<0x{byte:02X}>": byte for byte in range(256)} | {"▁": 256, "▁a": 257, "b": 258}
    made = Tokenizer(models.BPE(vocab=words, merges=[], byte_fallback=True))
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    made.add_special_tokens(["</s>"])
    return made


def words_alone(*words, decoder, special=()):
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, words[0]))
    made.decoder = decoder
    made.add_special_tokens([AddedToken(word, special=True) for word in special])
    return made


def pieces(tokenizer, ids, **options):
    stream = TextStream(TokenTexts(tokenizer), **options)
    return [*(stream.push(number) for number in ids), stream.finish()]


def test_a_character_comes_whole_with_its_last_byte():
    emoji = list("é😀".encode())
    assert pieces(byte_level(), [*b"a", *emoji, 257]) == [
        "a", "", "é", "", "", "", "😀", " ok", ""
    ]  # fmt: skip


def test_half_a_character_at_the_end_is_given_at_the_end():
    assert pieces(byte_level(), [256, *"😀".encode()[:2]]) == ["ok", "", "", "\ufffd"]


def test_wrong_bytes_come_one_token_later():
    assert pieces(byte_level(), [255, 255, 256, 255]) == ["", "\ufffd", "\ufffdok", "", "\ufffd"]


def test_a_replacement_character_that_the_model_wrote():
    assert "".join(pieces(byte_level(), [*"a\ufffdb\ufffd".encode()])) == "a\ufffdb\ufffd"


def test_special_and_unknown_tokens_say_nothing():
    assert pieces(byte_level(), [259, 256, 259, 999, 258, 256]) == [
        "", "ok", "", "", " <x> ", "ok", ""
    ]  # fmt: skip


def test_only_the_first_word_loses_its_space():
    metaspace = words_alone("▁a", "b", "▁", special=["</s>"], decoder=decoders.Metaspace())
    assert pieces(metaspace, [0, 1, 0, 3, 0]) == ["a", "b", " a", "", " a", ""]
    assert pieces(metaspace, [3, 2, 0, 2, 1]) == ["", "", " a", " ", "b", ""]
    assert pieces(byte_fallback(), [259, 257, 257, 258]) == ["", "a", " a", "b", ""]
    assert pieces(byte_fallback(), [256, 257]) == ["", " a", ""]


def test_pieces_of_words_are_joined():
    wordpiece = words_alone("a", "##b", ",", decoder=decoders.WordPiece())
    assert pieces(wordpiece, [0, 1, 1, 2, 0]) == ["a", "b", "b", ",", " a", ""]


def test_a_row_of_byte_tokens_waits_for_its_end():
    char = list("你".encode())
    assert pieces(byte_fallback(), [257, *char, 258]) == ["a", "", "", "", "你b", ""]
    # One wrong byte makes all of them wrong, in the reference too.
    assert pieces(byte_fallback(), [*char, 255, 258]) == ["", "", "", "", 4 * "\ufffd" + "b", ""]
    assert pieces(byte_fallback(), char) == ["", "", "", "你"]


def test_spaces_before_signs_are_cleaned_up():
    words = words_alone(
        "do", "n't", "n", "'", "t", "it", ".", "s", decoder=decoders.WordPiece(cleanup=False)
    )
    assert pieces(words, [0, 1, 5, 6], clean_up=True) == ["do", "n't", " it", ".", ""]
    assert pieces(words, [5, 3, 7], clean_up=True) == ["it", "", "'s", ""]
    # "it n ' t": the clean-up of " ' " makes room for that of " n't".
    assert pieces(words, [5, 2, 3, 4, 6], clean_up=True) == ["it", "", "", "n't", ".", ""]
    assert pieces(words, [5, 3], clean_up=True) == ["it", "", " '"]


def test_text_cleaned_up_in_pieces_is_text_cleaned_up():
    signs = ("a", " ", " ", "'", "n", "t", "s", "v", "r", "e", "m", ".", ",")
    tokenizer = words_alone(*dict.fromkeys(signs), decoder=decoders.Fuse())
    draw = random.Random(3)
    for _ in range(3000):
        word = [draw.choice(signs) for _ in range(draw.randint(1, 14))]
        ids = [tokenizer.token_to_id(sign) for sign in word]
        assert "".join(pieces(tokenizer, ids, clean_up=True)) == clean_up("".join(word))


@pytest.mark.parametrize("maker", [byte_level, byte_fallback])
def test_long_streams_are_the_whole_text(maker):
    tokenizer = maker()
    draw = random.Random(1)
    words = tokenizer.get_vocab_size()
    for _ in range(20):
        ids = [draw.choice([draw.randrange(words), 256, 257]) for _ in range(200)]
        assert "".join(pieces(tokenizer, ids)) == tokenizer.decode(ids)


class Counting:
    """A tokenizer that notes how many tokens it decodes at once."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.longest = 0

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    def decode(self, ids, **options):
        self.longest = max(self.longest, len(ids))
        return self.tokenizer.decode(ids, **options)


@pytest.mark.parametrize("number", [255, 256])
def test_a_step_decodes_few_tokens_however_long_the_text_is(number):
    counting = Counting(byte_level())
    assert "".join(pieces(counting, [number] * 500)) == byte_level().decode([number] * 500)
    assert counting.longest <= 17


def test_what_each_token_adds():
    texts = TokenTexts(byte_fallback())
    assert texts.byte_kind == "byte_fallback"
    assert [texts.later(number) for number in (228, 256, 257, 258, 259, 999)] == [
        b"\xe4", b" ", b" a", b"b", b"</s>", None
    ]  # fmt: skip
    assert [texts.first(number) for number in (228, 32, 256, 257, 258, 999)] == [
        b"\xe4", b"", b"", b"a", b"b", None
    ]  # fmt: skip
    assert texts.special == {259}
    assert [texts.in_text(number) for number in (258, 259, 999)] == [True, False, False]


def test_what_each_token_adds_without_a_decoder():
    texts = TokenTexts(words_alone("[UNK]", "a", decoder=None))
    assert (texts.byte_kind, texts.first(1), texts.later(1)) == (None, b"a", b" a")


def test_what_tokens_add_where_the_tokenizer_reads_nothing():
    silent = Tokenizer(models.BPE(vocab={"x": 0, "y": 1}, merges=[]))  # no unknown token
    silent.decoder = decoders.Fuse()
    assert silent.encode("abcdef").tokens == []
    assert TokenTexts(silent).later(1) == b"y"
