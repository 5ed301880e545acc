"""Small random text checkpoints: every family with every head, on vocabularies built by hand.

The weights come from NumPy's legacy generator, whose stream never changes, so that a checkpoint is
the same in every environment; answers of another transformers version can be frozen for it.
"""

import string
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

POSITIONS = 96  # tokens that a model takes
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")
WORDS = (
    *("the", "a", "an", "of", "in", "is", "was", "not", "good", "bad", "very", "film", "end"),
    *("who", "where", "what", "lives", "city", "river", "cafe", "new", "york", "john", "anna"),
    *("example", "this", "sports", "politics", "about", "and", "they", "to", "hello", "world"),
)
PIECES = ("ing", "ed", "ly", "er", "est", "tion", "s", "th", "on", "an", "re", "in", "st", "en")
LETTERS = (
    *string.ascii_lowercase,
    *string.ascii_uppercase,
    *string.digits,
    *string.punctuation,
    *"äöüßéèçñøå\u0301\u4f60\u597d\u6771\u4eac\u0645\u0631\u062d\u0628\u05e9\u05dc\u05d5\u05dd",
    *"\u041f\u0440\u0438\u0432\u0435\u0442\u0e2a\u0e27\u0e31\u0e14\u20ac\u2014\u201c\u201d",
)


def word_pieces(*special: str) -> dict[str, int]:
    """A WordPiece vocabulary: special tokens, letters, words, pieces."""
    pieces = [f"##{piece}" for piece in (*PIECES, *LETTERS)]
    names = dict.fromkeys((*special, *LETTERS, *WORDS, *map(str.capitalize, WORDS), *pieces))
    return {name: index for index, name in enumerate(names)}


def byte_pairs(*special: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A byte-level BPE vocabulary and its merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    names = dict.fromkeys((*special, *alphabet))
    for word in (*PIECES, *WORDS, *(f"\u0120{word}" for word in WORDS)):
        made = word[0]
        for letter in word[1:]:
            if made + letter not in names:
                merges.append((made, letter))
                names[made + letter] = None
            made += letter
    return {name: index for index, name in enumerate(names)}, merges


def unigrams(*special: str) -> list[tuple[str, float]]:
    """A Unigram vocabulary with log-probabilities."""
    scored = dict.fromkeys(special, 0.0)
    scored |= {"\u2581": -2.0}
    for rank, word in enumerate((*WORDS, *map(str.capitalize, WORDS))):
        scored[f"\u2581{word}"] = -4.0 - rank / 50
    for rank, piece in enumerate((*PIECES, *LETTERS)):
        scored.setdefault(piece, -6.0 - rank / 50)
    return list(scored.items())


def tokenizer(family: str, cased: bool = True, max_length: int = POSITIONS) -> Any:
    """The family's own kind of tokenizer."""
    length: dict[str, Any] = {"model_max_length": max_length}
    bert = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    fairseq = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    if family in ("bert", "electra", "distilbert"):
        kind = transformers.DistilBertTokenizer if family == "distilbert" else None
        kind = kind or transformers.BertTokenizer
        return kind(vocab=word_pieces(*bert), do_lower_case=not cased, **length)
    if family == "mpnet":
        special = ("<s>", "<pad>", "</s>", "[UNK]", "<mask>")
        return transformers.MPNetTokenizer(vocab=word_pieces(*special), **length)
    if family == "roberta":
        vocab, merges = byte_pairs(*fairseq)
        return transformers.RobertaTokenizer(vocab=vocab, merges=merges, **length)
    if family == "xlm-roberta":
        return transformers.XLMRobertaTokenizer(vocab=unigrams(*fairseq), **length)
    if family == "albert":
        special = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
        return transformers.AlbertTokenizer(vocab=unigrams(*special), **length)
    if family == "deberta-v2":
        special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
        return transformers.DebertaV2Tokenizer(vocab=unigrams(*special), **length)
    if family == "modernbert":
        return _modernbert_tokenizer(bert, length)
    raise KeyError(family)


def _modernbert_tokenizer(special: tuple[str, ...], length: dict[str, Any]) -> Any:
    vocab, merges = byte_pairs(*special)
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(name, vocab[name]) for name in ("[CLS]", "[SEP]")],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_input_names=["input_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        **length,
    )


SHAPE = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": POSITIONS,
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": ("Albert", SHAPE | {"embedding_size": 24}),
    "bert": ("Bert", SHAPE),
    "deberta-v2": (
        "DebertaV2",
        SHAPE
        | {
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": "p2c|c2p",
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    "distilbert": (
        "DistilBert",
        {
            "dim": 48,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 96,
            "max_position_embeddings": POSITIONS,
        },
    ),
    "electra": ("Electra", SHAPE | {"embedding_size": 24}),
    "modernbert": (
        "ModernBert",
        SHAPE
        | {"local_attention": 16, "global_attn_every_n_layers": 2, "classifier_pooling": "mean"},
    ),
    "mpnet": ("MPNet", SHAPE | {"max_position_embeddings": POSITIONS + 2}),
    "roberta": ("Roberta", SHAPE | {"max_position_embeddings": POSITIONS + 2}),
    "xlm-roberta": ("XLMRoberta", SHAPE | {"max_position_embeddings": POSITIONS + 2}),
}
"""Family -> the prefix of its classes, and a small config."""


def text_checkpoint(folder: Path, family: str, head: str, **settings: Any) -> Path:
    """Write a small random checkpoint.

    Args:
        folder: Where to.
        family: A key of `CONFIGS`.
        head: Such as "ForTokenClassification", or "Model" for the encoder alone.
        settings: More of the config, such as `num_labels`.
    """
    prefix, shape = CONFIGS[family]
    words = tokenizer(family)
    ids: dict[str, Any] = {"vocab_size": len(words), "type_vocab_size": 2}
    ids |= {"pad_token_id": words.pad_token_id}
    if family == "modernbert":
        ids |= {"cls_token_id": words.cls_token_id, "sep_token_id": words.sep_token_id}
        ids |= {"bos_token_id": words.cls_token_id, "eos_token_id": words.sep_token_id}
    if head == "ForTokenClassification":
        settings = {
            "id2label": dict(enumerate(LABELS)),
            "label2id": {label: index for index, label in enumerate(LABELS)},
        } | settings
    config = getattr(transformers, f"{prefix}Config")(**(ids | shape | settings))
    model = getattr(transformers, f"{prefix}{head}")(config)
    fill(model, seed=sorted(CONFIGS).index(family))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def fill(model: torch.nn.Module, seed: int) -> None:
    """Random weights, large enough that answers differ and small enough that they stay smooth."""
    rng = np.random.RandomState(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            drawn = torch.from_numpy(rng.standard_normal(tuple(weight.shape)).astype(np.float32))
            if weight.ndim > 1:
                weight.copy_(min(0.2, 2 / weight.shape[-1] ** 0.5) * drawn)
            else:  # norms stay near 1, biases near 0
                weight.copy_(
                    0.1 * drawn + (1.0 if "norm" in name.lower() and "weight" in name else 0.0)
                )
    tie = getattr(model, "tie_weights", None)
    if tie is not None:
        tie()
