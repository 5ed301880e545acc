"""What Whisper's algorithm asks of a model, answered by transformers; its spec, and recordings."""

import numpy as np
import torch
from transformers.modeling_outputs import BaseModelOutput

from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.reader import Scores
from onnxtasks.generation.spec import DecoderSpec
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.speech.whisper_spec import MelSpec, WhisperSpec
from tests.generation_reader import Sentence, TorchReader
from tests.speech_checkpoints import RATE


class NotingTorchReader(TorchReader):
    """Also gives the scores after one more token of each prompt."""

    def __init__(self, model, sources):
        super().__init__(model, sources, room=model.config.max_target_positions)
        self.noted = None
        self.places = None

    def note(self, places):
        self.places = list(places)

    @torch.no_grad()
    def prompt(self, prompts, *, top=0, normalized=False):
        self.present = [Sentence(self.model, source, self.cached) for source in self.sources]
        logits = [s.read(p[None])[0] for s, p in zip(self.present, prompts, strict=True)]
        if self.places is not None:
            noted = torch.stack([rows[at] for rows, at in zip(logits, self.places, strict=True)])
            self.noted = self.scores(noted, 0, normalized).all_logits()
        scores: Scores = self.scores(torch.stack([rows[-1:] for rows in logits]), top, normalized)
        return scores


class TorchHeard:
    """Windows that a model's encoder reads."""

    def __init__(self, model, features):
        self.model = model
        self.features = features

    def reader(self, windows, expected):
        return NotingTorchReader(self.model, [self.features[window] for window in windows])

    @torch.no_grad()
    def attention(self, windows, texts):
        found = []
        for window, text in zip(windows, texts, strict=True):
            hidden = self.model.get_encoder()(torch.from_numpy(self.features[window][None]))[0]
            looked = self.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
                decoder_input_ids=torch.from_numpy(text[None]),
                output_attentions=True,
            ).cross_attentions
            heads = self.model.generation_config.alignment_heads
            found.append(np.stack([looked[layer][0, head].numpy() for layer, head in heads]))
        return found


def listen(model):
    """Features -> windows, as the algorithm asks for them."""
    return lambda features: TorchHeard(model, np.ascontiguousarray(features, np.float32))


def whisper_spec(model, extractor):
    """The settings of a checkpoint, by its configs."""
    config, generation = model.config, model.generation_config
    told = generation.to_dict()
    words = config.vocab_size
    no_timestamps = told["no_timestamps_token_id"]
    languages = {code.strip("<|>"): token for code, token in told.get("lang_to_id", {}).items()}
    tasks = told.get("task_to_id", {})
    rate = extractor.sampling_rate
    heads = config.decoder_attention_heads
    return WhisperSpec(
        audio=AudioSpec(sampling_rate=rate, normalize=False, padding_value=0.0, min_samples=1),
        mel=MelSpec(
            n_fft=extractor.n_fft,
            hop_length=extractor.hop_length,
            n_mels=extractor.feature_size,
            sampling_rate=rate,
            chunk_seconds=float(extractor.chunk_length),
        ),
        decoder=DecoderSpec(
            layers=config.decoder_layers,
            kv_heads=heads,
            head_size=config.d_model // heads,
            words=words,
            room=config.max_target_positions,
            encoder=True,
            source_heads=heads,
        ),
        defaults=GenerationDefaults(eos_token_id=(generation.eos_token_id,)),
        start_token=generation.decoder_start_token_id,
        no_timestamps_token=no_timestamps,
        timestamp_begin=no_timestamps + 1,
        end_token=generation.eos_token_id,
        previous_token=told["prev_sot_token_id"],
        no_speech_token=no_timestamps - 1,
        transcribe_token=tasks.get("transcribe"),
        translate_token=tasks.get("translate"),
        languages=languages,
        multilingual=bool(languages),
        suppress_tokens=tuple(generation.suppress_tokens or ()),
        begin_suppress_tokens=tuple(generation.begin_suppress_tokens or ()),
        max_initial_timestamp_index=told.get("max_initial_timestamp_index"),
        max_target_positions=config.max_target_positions,
        max_source_positions=config.max_source_positions,
        alignment_heads=tuple(map(tuple, told.get("alignment_heads", ()))),
        median_filter_width=config.median_filter_width,
        words=words,
    )


def sound(seed, seconds):
    """Tones of different heights and lengths, with silences between them."""
    rng = np.random.default_rng(seed)
    samples = np.zeros(int(seconds * RATE), np.float32)
    for _ in range(int(2 * seconds) + 1):
        start, length = rng.integers(0, len(samples)), rng.integers(3000, 16000)
        times = np.arange(len(samples[start : start + length])) / RATE
        tone = np.sin(2 * np.pi * rng.uniform(100, 3000) * times) * rng.uniform(0.05, 0.5)
        samples[start : start + length] += tone + rng.normal(0, 0.02, len(times))
    quiet_part = rng.integers(0, max(1, len(samples) - 4 * RATE))
    if seconds > 5:
        samples[quiet_part : quiet_part + 3 * RATE] = 0
    return samples
