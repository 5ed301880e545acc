"""A Whisper that says what a script tells it: no model, windows of one second, 70 words."""

from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.reader import Scores
from onnxtasks.generation.spec import DecoderSpec
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.speech.whisper_long import Model
from onnxtasks.speech.whisper_spec import MelSpec, WhisperSpec

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
END, START, EN, DE, TRANSLATE, TRANSCRIBE, PREVIOUS, SILENT, PLAIN, ZERO = range(10, 20)
"""Special tokens; ZERO is <|0.00|>, ZERO + n is n * 0.02 s."""
COUNT = ZERO + 51
FRAMES = 100
LANGUAGES = {"en": EN, "de": DE}


def spec_of(**changed) -> WhisperSpec:
    """Settings of a multilingual model; `changed` fields are others."""
    fields: dict[str, Any] = {
        "audio": AudioSpec(
            sampling_rate=16000, normalize=False, padding_value=0.0, min_samples=1, max_seconds=9e4
        ),
        "mel": MelSpec(n_fft=400, hop_length=160, n_mels=4, sampling_rate=16000, chunk_seconds=1.0),
        "decoder": DecoderSpec(
            layers=1,
            kv_heads=1,
            head_size=2,
            words=COUNT,
            room=24,
            encoder=True,
            source_heads=1,
        ),
        "defaults": GenerationDefaults(eos_token_id=(END,)),
        "start_token": START,
        "no_timestamps_token": PLAIN,
        "timestamp_begin": ZERO,
        "end_token": END,
        "previous_token": PREVIOUS,
        "no_speech_token": SILENT,
        "transcribe_token": TRANSCRIBE,
        "translate_token": TRANSLATE,
        "languages": LANGUAGES,
        "multilingual": True,
        "max_target_positions": 24,
        "max_source_positions": 50,
        "alignment_heads": ((0, 0),),
        "median_filter_width": 1,
        "words": COUNT,
    }
    return WhisperSpec(**(fields | changed))


ENGLISH: dict[str, Any] = {
    "languages": {},
    "multilingual": False,
    "transcribe_token": None,
    "translate_token": None,
}


class Say:
    """What a window says, and how sure the model is."""

    def __init__(self, *tokens, sure=0.9, silence=0.01):
        self.tokens = [*tokens, END]
        self.sure = sure
        self.silence = silence


class ScriptReader:
    """Gives each window's next token its probability, and the rest to all others."""

    def __init__(self, scripts, prompts):
        self.scripts = scripts
        self.prompts = prompts
        self.words = COUNT
        self.room = 24
        self.noted = None
        self.places = None
        self.step_number = 0

    @property
    def sentences(self):
        return len(self.scripts)

    def note(self, places):
        self.places = list(places)

    def prompt(self, prompts, *, top=0, normalized=False):
        assert not top
        self.prompts += [prompt.tolist() for prompt in prompts]
        if self.places is not None:
            assert [p[at] for p, at in zip(prompts, self.places, strict=True)] == [START] * len(
                prompts
            )
            self.noted = np.stack([row(SILENT, say.silence) for say in self.scripts])
        return self.scores(1)

    def step(self, tokens, parents, *, top=0, normalized=False):
        self.step_number += 1
        return self.scores(tokens.shape[1])

    def scores(self, rows):
        last = [
            row(say.tokens[min(self.step_number, len(say.tokens) - 1)], say.sure)
            for say in self.scripts
        ]
        return Scores(logits=np.repeat(np.stack(last)[:, None], rows, axis=1))

    def keep(self, sentences):
        self.scripts = [self.scripts[i] for i in sentences]

    def close(self):
        pass

    def chain(self, tokens):
        raise NotImplementedError

    def forget(self, tokens):
        raise NotImplementedError


def row(word, chance):
    """Log-probabilities of all words."""
    found = np.full(COUNT, (1 - chance) / (COUNT - 1), np.float32)
    found[word] = chance
    return np.log(found)


class Script:
    """Windows by the number in their first feature: what each says at each attempt."""

    def __init__(self, said):
        """Args: number -> a `Say`, or several, one an attempt; numbers without one say nothing."""
        self.said = {k: v if isinstance(v, list) else [v] for k, v in said.items()}
        self.prompts: list[list[int]] = []
        self.listened: list[list[int]] = []
        self.attempts: dict[int, int] = {}
        self.language = Say(EN)

    def __call__(self, features):
        numbers = [int(window[0, 0]) for window in features]
        assert features.shape[2] == FRAMES
        self.listened.append(numbers)
        return ScriptHeard(self, numbers)


class ScriptHeard:
    """Windows of a script."""

    def __init__(self, script, numbers):
        self.script = script
        self.numbers = numbers

    def reader(self, windows, expected):
        if expected == 0:
            return ScriptReader([self.script.language] * len(windows), self.script.prompts)
        chosen = []
        for window in windows:
            number = self.numbers[window]
            attempt = self.script.attempts.get(number, 0)
            self.script.attempts[number] = attempt + 1
            said = self.script.said.get(number, [Say(silence=0.99, sure=0.05)])
            chosen.append(said[min(attempt, len(said) - 1)])
        return ScriptReader(chosen, self.script.prompts)

    def attention(self, windows, texts):
        """Token i looks at position 2 * i."""
        found = []
        for text in texts:
            weights = np.full((1, len(text), 50), 0.001, np.float32)
            for place in range(len(text)):
                weights[0, place, min(2 * place, 49)] = 1
            found.append(weights)
        return found


def numbered(count):
    """Features whose every value is the number of its frame's window of 100, from 0."""
    return np.repeat((np.arange(count) // FRAMES)[None], 4, axis=0).astype(np.float32)


def by_frame(count):
    """Features whose every value is the number of its frame."""
    return np.repeat(np.arange(count)[None], 4, axis=0).astype(np.float32)


def tokenizer() -> Tokenizer:
    """Ten words, each with a space before it, and the special tokens."""
    vocab = {f"\u0120{word}": place for place, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(vocab | {"?": COUNT}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def model_of(script, **changed) -> Model:
    """A script as the algorithms ask for it."""
    made = tokenizer()
    spec = spec_of(**changed)

    def tokenize(text):
        special = {"<|en|>": EN}
        return [special[text.strip()]] if text.strip() in special else made.encode(text).ids

    return Model(script, spec, tokenize, lambda ids: made.decode([i for i in ids if i < END]))
