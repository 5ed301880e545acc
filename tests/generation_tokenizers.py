"""Small real tokenizers of every family that generates, trained on a few built-in sentences.

Each loads with `AutoTokenizer` as the family's own class. Training takes no random numbers: the
same files come out every time.
"""

import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import sentencepiece
import transformers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers.models import m2m_100

from onnxtasks_export.quiet import quiet

SUBJECTS = ("the old fisherman", "my sister", "a small dog", "John", "the teacher of the village")
VERBS = ("found", "is looking for", "wanted to buy", "does not like", "described", "translated")
OBJECTS = ("the river", "twelve red apples", "a new book about birds", "nothing at all", "a house")
ENDS = ("on the 3rd of May 1987.", "in the evening!", "near the city, again?", "(or so they say).")
FRENCH_SUBJECTS = ("le vieux p\u00eacheur", "ma s\u0153ur", "un petit chien", "la ma\u00eetresse")
FRENCH_VERBS = ("a trouv\u00e9", "cherche", "voulait acheter", "n'aime pas", "a d\u00e9crit")
FRENCH_OBJECTS = ("la rivi\u00e8re", "douze pommes rouges", "un livre d'oiseaux", "une maison")
FRENCH_ENDS = ("le 3 mai 1987.", "le soir\u00a0!", "pr\u00e8s de la ville\u00a0?", "(dit-on).")
OTHERS = (
    "\u0421\u0442\u0430\u0440\u044b\u0439 \u0440\u044b\u0431\u0430\u043a \u043d\u0430\u0448"
    "\u0451\u043b \u0440\u0435\u043a\u0443.",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059\u3002",
    'def add(first, second):\n    return first + second  # {"key": [0, 4, 5, 6, 8, 9]}',
    "To: a@b.org; 100% & more * ~ | \\ < > = ^ _ ` $ - Quiz, Xylophone, Wagon, Kiwi, Zoo, Vow!",
)

ModelProto: Any = sentencepiece_model_pb2.ModelProto  # type: ignore[attr-defined]  # made at import
Maker = Callable[[Path], Any]


def write_tokenizer_of(family: str, folder: Path) -> Any:
    """Write a tokenizer of a family (a key of `FAMILIES`) into a folder; returns it, loaded.

    What is written is what a published checkpoint of the family holds; a config.json is the
    caller's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    FAMILIES[family](folder)
    with quiet():  # Marian warns that sacremoses is not installed; nothing in it calls that
        return transformers.AutoTokenizer.from_pretrained(folder)


@cache
def sentences(french: bool = False) -> tuple[str, ...]:
    """Sentences to train on: English or French, and some lines of other scripts."""
    parts: tuple[tuple[str, ...], ...] = (SUBJECTS, VERBS, OBJECTS, ENDS)
    if french:
        parts = (FRENCH_SUBJECTS, FRENCH_VERBS, FRENCH_OBJECTS, FRENCH_ENDS)
    first, second, third, fourth = parts
    made = [f"{a} {b} {c} {d}" for a in first for b in second for c in third for d in fourth]
    return (*made, *(line.capitalize() for line in made[::7]), *OTHERS)


@cache
def byte_pairs(*special: str, last: tuple[str, ...] = ()) -> tuple[dict[str, int], list[Any]]:
    """A byte-level BPE vocabulary and its merges; special tokens have the first ids or the last."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator([*sentences(), *sentences(french=True)], trainer)
    state = json.loads(made.to_str())["model"]
    vocab: dict[str, int] = state["vocab"]
    for token in last:
        vocab[token] = len(vocab)
    return vocab, [tuple(merge) for merge in state["merges"]]


@cache
def sentence_pieces(
    kind: str, size: int = 320, *, french: bool | None = None, **settings: Any
) -> bytes:
    """A SentencePiece model.

    Args:
        kind: "unigram" or "bpe".
        size: Pieces; Unigram may end with fewer.
        french: What it is trained on; None for both languages.
        settings: More options of the trainer.
    """
    texts = [*sentences(), *sentences(french=True)] if french is None else sentences(french)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in texts for line in text.splitlines()),
        model_writer=model,
        model_type=kind,
        vocab_size=size,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **{"character_coverage": 0.9995} | settings,
    )
    return model.getvalue()


def pieces(model: bytes) -> list[str]:
    """The pieces of a SentencePiece model."""
    loaded = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [loaded.id_to_piece(index) for index in range(loaded.get_piece_size())]


def _gpt2(folder: Path) -> None:
    vocab, merges = byte_pairs(last=("<|endoftext|>",))
    transformers.GPT2Tokenizer(vocab, merges, model_max_length=1024).save_pretrained(folder)


def _opt(folder: Path) -> None:
    vocab, merges = byte_pairs("<s>", "<pad>", "</s>", "<unk>")
    transformers.GPT2Tokenizer(
        vocab,
        merges,
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
        pad_token="<pad>",
        add_bos_token=True,
    ).save_pretrained(folder)


def _bart(folder: Path) -> None:
    vocab, merges = byte_pairs("<s>", "<pad>", "</s>", "<unk>", last=("<mask>",))
    transformers.BartTokenizer(vocab, merges, model_max_length=1024).save_pretrained(folder)


def _gpt_neox(folder: Path) -> None:
    vocab, merges = byte_pairs("<|endoftext|>", "<|padding|>")
    transformers.GPTNeoXTokenizer(vocab, merges).save_pretrained(folder)


CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The chat template that Qwen and SmolLM are trained with."""


def _qwen2(folder: Path) -> None:
    vocab, merges = byte_pairs(last=("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    transformers.Qwen2Tokenizer(
        vocab,
        merges,
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=CHAT,
    ).save_pretrained(folder)


LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _llama3(folder: Path) -> None:
    special = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
    vocab, merges = byte_pairs(last=special)
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[(special[0], vocab[special[0]])]
    )
    made.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=special[0],
        eos_token=special[1],
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)


def _llama(folder: Path) -> None:
    """Metaspace BPE with byte fallback, as Llama 1 and 2, TinyLlama and Mistral have it."""
    model = sentence_pieces("bpe", 520, byte_fallback=True, normalization_rule_name="identity")
    _converted(transformers.LlamaTokenizer, {"tokenizer.model": model}, folder, add_bos_token=True)


def _gemma(folder: Path) -> None:
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    fallback = tuple(f"<0x{byte:02X}>" for byte in range(256))
    made = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    made.normalizer = normalizers.Replace(" ", "\u2581")
    trainer = trainers.BpeTrainer(
        vocab_size=620, special_tokens=[*special, *fallback], show_progress=False
    )
    made.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    made.train_from_iterator([*sentences(), *sentences(french=True)], trainer)
    state = json.loads(made.to_str())["model"]
    merges = [tuple(merge) for merge in state["merges"]]
    transformers.GemmaTokenizer(state["vocab"], merges, add_bos_token=True).save_pretrained(folder)


T5_IDS = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}


def _t5(folder: Path) -> None:
    model = sentence_pieces("unigram", **T5_IDS, normalization_rule_name="nmt_nfkc")
    proto = ModelProto.FromString(model)
    scored = [(piece.piece, piece.score) for piece in proto.pieces]
    extra = [(f"<extra_id_{index}>", 0.0) for index in reversed(range(20))]
    transformers.T5Tokenizer(
        vocab=[*scored, *extra],
        extra_ids=20,
        model_max_length=512,
        _spm_precompiled_charsmap=proto.normalizer_spec.precompiled_charsmap,
    ).save_pretrained(folder)


def _pegasus(folder: Path) -> None:
    """Ids as the published ones: <pad> </s> <mask_1> <mask_2> <unk_2> ... <unk_102> <unk>."""
    model = sentence_pieces("unigram", **T5_IDS, normalization_rule_name="nmt_nfkc")
    _converted(transformers.PegasusTokenizer, {"spiece.model": model}, folder, model_max_length=512)


def _marian(folder: Path, codes: tuple[str, ...] = ()) -> None:
    """Two SentencePiece models and one vocabulary, which lacks some of their pieces."""
    source = sentence_pieces("unigram", 260, french=False)
    target = sentence_pieces("unigram", 260, french=True)
    known = [piece for piece in (*pieces(source), *pieces(target)) if piece not in SPM_SPECIAL]
    kept = [piece for index, piece in enumerate(dict.fromkeys(known)) if index % 40 != 17]
    names = ["</s>", "<unk>", *(f">>{code}<<" for code in codes), *sorted(kept), "<pad>"]
    vocabulary = {name: index for index, name in enumerate(names)}
    _write(folder, "source.spm", source)
    _write(folder, "target.spm", target)
    _write(folder, "vocab.json", json.dumps(vocabulary).encode())
    settings = {"source_lang": "eng", "target_lang": "fra", "model_max_length": 512}
    _write_config(folder, "MarianTokenizer", settings | {"separate_vocabs": False})


def _marian_multilingual(folder: Path) -> None:
    _marian(folder, ("fra", "oci", "zlm_Latn"))


def _m2m100(folder: Path) -> None:
    model = sentence_pieces("bpe", 380)
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    known = [piece for piece in pieces(model) if piece not in SPM_SPECIAL]
    names += [piece for index, piece in enumerate(known) if index % 60 != 29]
    vocabulary = {name: index for index, name in enumerate(names)}
    _write(folder, "sentencepiece.bpe.model", model)
    _write(folder, "vocab.json", json.dumps(vocabulary).encode())
    codes = m2m_100.tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES["m2m100"]
    languages = {"additional_special_tokens": [f"__{code}__" for code in codes]}
    _write_config(folder, "M2M100Tokenizer", {"src_lang": "en", "tgt_lang": "fr"} | languages)


def _mbart(folder: Path) -> None:
    model = sentence_pieces("unigram")
    _converted(
        transformers.MBartTokenizer,
        {"sentencepiece.bpe.model": model},
        folder,
        model_max_length=1024,
    )


def _mbart50(folder: Path) -> None:
    model = sentence_pieces("unigram")
    _converted(transformers.MBart50Tokenizer, {"sentencepiece.bpe.model": model}, folder)


def _nllb(folder: Path) -> None:
    """As published: with the language codes among the special tokens of its tokenizer.json.

    transformers 5.23 leaves them out where it converts the SentencePiece model itself.
    """
    model = sentence_pieces("bpe", 380)
    with tempfile.TemporaryDirectory() as spare:
        _converted(transformers.NllbTokenizer, {"sentencepiece.bpe.model": model}, Path(spare))
        state = json.loads((Path(spare) / "tokenizer.json").read_text(encoding="utf-8"))
    transformers.NllbTokenizer(
        vocab=state["model"]["vocab"],
        merges=[tuple(merge) for merge in state["model"]["merges"]],
        _spm_precompiled_charsmap=ModelProto.FromString(model).normalizer_spec.precompiled_charsmap,
        model_max_length=1024,
    ).save_pretrained(folder)


def _converted(kind: Any, files: dict[str, bytes], folder: Path, **settings: Any) -> None:
    """Let transformers make a `tokenizer.json` from a SentencePiece model, as a user would."""
    with tempfile.TemporaryDirectory() as spare:
        for name, content in files.items():
            _write(Path(spare), name, content)
        _write_config(Path(spare), kind.__name__, settings)
        kind.from_pretrained(spare).save_pretrained(folder)


def _write(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


def _write_config(folder: Path, kind: str, settings: dict[str, Any]) -> None:
    content = {"tokenizer_class": kind} | settings
    _write(folder, "tokenizer_config.json", json.dumps(content).encode())


SPM_SPECIAL = ("<unk>", "<s>", "</s>")
FAMILIES: dict[str, Maker] = {
    "bart": _bart,
    "gemma": _gemma,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _llama,
    "llama3": _llama3,
    "m2m_100": _m2m100,
    "marian": _marian,
    "marian-multilingual": _marian_multilingual,
    "mbart": _mbart,
    "mbart50": _mbart50,
    "nllb": _nllb,
    "opt": _opt,
    "pegasus": _pegasus,
    "qwen2": _qwen2,
    "t5": _t5,
}
"""What a tokenizer is called here -> what writes it."""
