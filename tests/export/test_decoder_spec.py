"""Config -> the sizes of a decoder, and the task of a model that writes."""

import msgspec
import pytest
import transformers

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.generation.spec import DecoderSpec
from onnxtasks_export.specs.decoder import decoder_spec, generation_task, max_source

LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "hidden_size": 64,
    "num_key_value_heads": 2,
    "vocab_size": 99,
    "max_position_embeddings": 128,
}
BART = {
    "model_type": "bart",
    "is_encoder_decoder": True,
    "encoder_layers": 5,
    "vocab_size": 99,
    "decoder_layers": 3,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 4,
    "d_model": 32,
    "max_position_embeddings": 64,
    "num_hidden_layers": 5,
}
T5 = {
    "model_type": "t5",
    "is_encoder_decoder": True,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "d_kv": 16,
    "d_model": 32,
    "vocab_size": 99,
    "n_positions": 512,
    "relative_attention_num_buckets": 32,
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": 64, "vocab_size": 99},
            {"layers": 2, "kv_heads": 4, "head_size": 8, "words": 99, "room": 64},
        ),
        (LLAMA, {"layers": 3, "kv_heads": 2, "head_size": 8, "words": 99, "room": 128}),
        (
            LLAMA | {"head_dim": 32, "sliding_window": 16},
            {"layers": 3, "kv_heads": 2, "head_size": 32, "words": 99, "room": 128, "window": 16},
        ),
        (
            BART | {"decoder_vocab_size": 77},
            {
                "layers": 3,
                "kv_heads": 4,
                "head_size": 8,
                "words": 77,
                "room": 64,
                "encoder": True,
                "source_heads": 4,
            },
        ),
        (
            T5,
            {
                "layers": 3,
                "kv_heads": 4,
                "head_size": 16,
                "words": 99,
                "room": None,
                "encoder": True,
                "source_heads": 4,
                "relative_positions": True,
            },
        ),
    ],
)
def test_the_sizes_of_a_decoder(config, expected):
    assert decoder_spec(config) == DecoderSpec(**expected)


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({}, None),
        ({"sliding_window": None}, None),
        ({"sliding_window": 16}, 16),  # Mistral
        ({"sliding_window": 16, "use_sliding_window": False}, None),  # Qwen2
        ({"sliding_window": 16, "layer_types": ["full_attention"]}, None),
        ({"sliding_window": 16, "layer_types": ["full_attention", "sliding_attention"]}, 16),
        ({"window_size": 8, "attention_layers": ["global", "local"]}, 8),  # GPT-Neo
        ({"window_size": 8, "attention_layers": ["global", "global"]}, None),
    ],
)
def test_the_window_of_a_decoder(changes, window):
    assert decoder_spec(LLAMA | changes).window == window


CLASSES = {
    "Bart": "encoder",
    "Bloom": "",
    "GPT2": "",
    "GPTNeoX": "",
    "Gemma": "",
    "Llama": "",
    "M2M100": "encoder",
    "MBart": "encoder",
    "MT5": "encoder",
    "Marian": "encoder",
    "Mistral": "",
    "OPT": "",
    "Pegasus": "encoder",
    "Phi": "",
    "Qwen2": "",
    "Qwen3": "",
    "SmolLM3": "",
    "T5": "encoder",
}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_sizes_are_those_of_transformers_configs(name):
    config = getattr(transformers, f"{name}Config")()
    text = config.get_text_config(decoder=True)
    made = decoder_spec(config.to_dict())
    heads = text.num_attention_heads
    assert made.encoder == (CLASSES[name] == "encoder")
    assert made.layers == text.num_hidden_layers
    assert made.kv_heads == (getattr(text, "num_key_value_heads", None) or heads)
    size = getattr(text, "head_dim", None) or getattr(text, "d_kv", text.hidden_size // heads)
    assert made.head_size == size
    assert made.words == text.vocab_size


def test_a_config_without_a_size_is_refused():
    with pytest.raises(UnsupportedModelError, match="'llama' has none of .*n_layer, num_layers"):
        decoder_spec({"model_type": "llama", "num_attention_heads": 8, "hidden_size": 64})


@pytest.mark.parametrize(
    ("config", "length", "expected"),
    [
        (BART, 48, 48),
        (BART, int(1e30), 64),
        (T5, 48, None),
        (BART | {"max_encoder_position_embeddings": 256}, 1000, 256),  # LED
    ],
)
def test_how_long_a_source_may_be(config, length, expected):
    assert max_source(config, {"model_max_length": length}) == expected


@pytest.mark.parametrize(
    ("architecture", "family", "tasks", "expected"),
    [
        ("GPT2LMHeadModel", "gpt2", None, "text-generation"),
        ("LlamaForCausalLM", "llama", None, "text-generation"),
        ("MarianMTModel", "marian", None, "translation"),
        ("M2M100ForConditionalGeneration", "m2m_100", None, "translation"),
        ("MBartForConditionalGeneration", "mbart", None, "translation"),
        ("PegasusForConditionalGeneration", "pegasus", None, "summarization"),
        ("BartForConditionalGeneration", "bart", None, "text2text-generation"),
        (
            *("BartForConditionalGeneration", "bart"),
            *(("summarization", "summarization_xsum"), "summarization"),
        ),
        (
            *("T5ForConditionalGeneration", "t5"),
            *(("summarization", "translation_en_to_de"), "text2text-generation"),
        ),
        ("T5ForConditionalGeneration", "t5", ("translation_en_to_de",), "translation"),
        ("WhisperForConditionalGeneration", "whisper", None, None),
        ("BlipForConditionalGeneration", "blip", None, None),
        ("BertForMaskedLM", "bert", None, None),
        ("T5EncoderModel", "t5", None, None),
    ],
)
def test_the_task_that_a_model_was_trained_for(architecture, family, tasks, expected):
    config = {"architectures": [architecture], "model_type": family}
    config |= {"task_specific_params": tasks and {task: {} for task in tasks}}
    assert generation_task(config) == expected


def test_a_config_without_architectures_has_no_task():
    assert generation_task({"model_type": "gpt2", "architectures": None}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers is 0; it is at least 1"),
        ({"window": 0}, "window is 0"),
        ({"encoder": True}, "source_heads is 0 with an encoder"),
        ({"source_heads": 2}, "source_heads is 2 without an encoder"),
    ],
)
def test_decoders_that_there_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        msgspec.structs.replace(decoder_spec(LLAMA), **changes)
