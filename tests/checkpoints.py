"""Small random checkpoints of every exported family, built from configs with fixed seeds."""

import json
import string
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from tests.audio_checkpoints import SOUNDS
from tests.classifier_checkpoints import SEEING
from tests.depth_checkpoints import DEPTH
from tests.detector_checkpoints import DETECTORS
from tests.entity_checkpoints import entity_checkpoint
from tests.generation_checkpoints import GENERATORS
from tests.mask_checkpoints import MASKS
from tests.segmenter_checkpoints import SEGMENTERS
from tests.sentence_checkpoints import SENTENCES, sentences
from tests.speech_checkpoints import WHISPER_CHECKPOINTS
from tests.text_checkpoints import CONFIGS, text_checkpoint

SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}


def word_tokenizer(folder: Path, *, token_types: bool) -> int:
    """A BERT WordPiece tokenizer over letters, pieces and some words; returns its vocabulary."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation, "\u4f60", "\u597d"]
    words += letters + [f"##{letter}" for letter in string.ascii_lowercase]
    words += ["the", "a", "film", "was", "not", "good", "bad", "very", "slow", "great", "end"]
    words += ["##ing", "##ed", "##ly", "cafe"]
    words = list(dict.fromkeys(words))
    kind = transformers.BertTokenizer if token_types else transformers.DistilBertTokenizer
    tokenizer = kind(vocab={word: index for index, word in enumerate(words)}, model_max_length=96)
    tokenizer.save_pretrained(folder)
    return len(words)


def bert(folder: Path, problem_type: str | None = None, labels: int = 3) -> None:
    """BERT with a sequence-classification head."""
    config = transformers.BertConfig(
        vocab_size=word_tokenizer(folder, token_types=True),
        hidden_size=48,
        max_position_embeddings=96,
        num_labels=labels,
        problem_type=problem_type,
        initializer_range=0.2,
        **SIZES,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)


def distilbert(folder: Path) -> None:
    """DistilBERT with a sequence-classification head."""
    config = transformers.DistilBertConfig(
        vocab_size=word_tokenizer(folder, token_types=False),
        dim=48,
        n_layers=2,
        n_heads=4,
        hidden_dim=96,
        max_position_embeddings=96,
        num_labels=4,
        initializer_range=0.2,
    )
    transformers.DistilBertForSequenceClassification(config).save_pretrained(folder)


def vit(folder: Path) -> None:
    """ViT with an image-classification head."""
    config = transformers.ViTConfig(
        hidden_size=48,
        image_size=48,
        patch_size=8,
        num_labels=7,
        initializer_range=0.1,
        **SIZES,
    )
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 48, "width": 48}).save_pretrained(folder)


def convnext(folder: Path) -> None:
    """ConvNeXT with an image-classification head, resized and cropped by its crop_pct rule."""
    config = transformers.ConvNextConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], num_labels=5, initializer_range=0.2
    )
    transformers.ConvNextForImageClassification(config).save_pretrained(folder)
    ConvNextImageProcessorPil(size={"shortest_edge": 64}).save_pretrained(folder)


def speech(folder: Path, family: str, norm: str) -> None:
    """A CTC head on a family's encoder; "group" takes no attention mask, "layer" takes one."""
    vocabulary = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOIN'"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vocab.json"
    path.write_text(json.dumps({symbol: index for index, symbol in enumerate(vocabulary)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(path), word_delimiter_token="|")
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer")
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    config = getattr(transformers, f"{family}Config")(
        hidden_size=48,
        conv_dim=(16,) * 7,
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        vocab_size=len(vocabulary),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        initializer_range=0.3,
        **SIZES,
    )
    getattr(transformers, f"{family}ForCTC")(config).save_pretrained(folder)


def classifier(family: str) -> Callable[[Path], object]:
    """A builder of a text classifier."""
    return lambda folder: text_checkpoint(folder, family, "ForSequenceClassification", num_labels=3)


def answerer(family: str) -> Callable[[Path], object]:
    """A builder of a question answerer."""
    return lambda folder: text_checkpoint(folder, family, "ForQuestionAnswering")


def entity_finder(family: str) -> Callable[[Path], object]:
    """A builder of a token classifier."""
    return lambda folder: entity_checkpoint(folder, family)


def masks(family: str) -> Callable[[Path], object]:
    """A builder of a masked language model."""
    return lambda folder: text_checkpoint(folder, family, "ForMaskedLM")


def inference(family: str, *labels: str) -> Callable[[Path], object]:
    """A builder of a model of natural language inference, with its labels in the order of ids."""
    settings = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    return lambda folder: text_checkpoint(folder, family, "ForSequenceClassification", **settings)


def next_sentence(folder: Path) -> None:
    """BERT with its head for pairs of sentences."""
    text_checkpoint(folder, "bert", "ForNextSentencePrediction")


IDENTITY = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.1.0"}
"""What sentence-transformers 4 and 5 write into the config of a cross-encoder."""


def ranking(family: str, **settings: object) -> Callable[[Path], object]:
    """A builder of a cross-encoder."""
    settings = {"num_labels": 1, **settings}
    return lambda folder: text_checkpoint(folder, family, "ForSequenceClassification", **settings)


CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "bert": bert,
    "bert-embeddings": lambda folder: text_checkpoint(folder, "bert", "Model"),
    "bert-multi-label": lambda folder: bert(folder, "multi_label_classification"),
    "bert-regression": lambda folder: bert(folder, "regression", labels=1),
    "distilbert": distilbert,
    "vit": vit,
    "convnext": convnext,
    "wav2vec2-group": lambda folder: speech(folder, "Wav2Vec2", "group"),
    "wav2vec2-layer": lambda folder: speech(folder, "Wav2Vec2", "layer"),
    "hubert-layer": lambda folder: speech(folder, "Hubert", "layer"),
    "wavlm-layer": lambda folder: speech(folder, "WavLM", "layer"),
    **{f"{family}-answers": answerer(family) for family in CONFIGS},
    **{family: classifier(family) for family in CONFIGS if family not in ("bert", "distilbert")},
    **{f"{family}-entities": entity_finder(family) for family in CONFIGS},
    **{f"{family}-sentences": sentences(family) for family in SENTENCES},
    **{f"{family}-masks": masks(family) for family in CONFIGS},
    **MASKS,
    **SEGMENTERS,
    "bert-zero-shot": inference("bert", "contradiction", "neutral", "entailment"),
    "roberta-zero-shot": inference("roberta", "CONTRADICTION", "NEUTRAL", "ENTAILMENT"),
    "deberta-v2-zero-shot": inference("deberta-v2", "entailment", "neutral", "contradiction"),
    **SEEING,
    **DEPTH,
    **DETECTORS,
    **GENERATORS,
    **SOUNDS,
    **WHISPER_CHECKPOINTS,
    "bert-next-sentence": next_sentence,
    "bert-ranking": ranking("bert", sentence_transformers=IDENTITY),
    "xlm-roberta-ranking": ranking("xlm-roberta"),
}

TASK_OF: dict[str, str] = {
    "bert-zero-shot": "zero-shot-classification",
    "deberta-v2-zero-shot": "zero-shot-classification",
    "roberta-zero-shot": "zero-shot-classification",
    "xlm-roberta-ranking": "text-ranking",
}
"""Checkpoints that are exported for another task than their head says."""

VARIANTS_OF: dict[str, list[str]] = {
    name: ["cpu-fp32"] for name in (*GENERATORS, *WHISPER_CHECKPOINTS, "wav2vec2-sounds-group")
}
"""Checkpoints of which not every usual variant is exported: of random weights, int8 moves texts.

And of one classifier of sounds it moves as much probability as may be, or more on another CPU.
"""


def build(name: str, folder: Path) -> Path:
    """Write the checkpoint `name` into a folder."""
    torch.manual_seed(zlib.crc32(name.encode()))  # its own, whatever other checkpoints there are
    CHECKPOINTS[name](folder)
    return folder
