"""Whisper's algorithm against `WhisperForConditionalGeneration.generate`, on the same model.

The features are the same on both sides, and transformers computes every step: what is compared is
what is asked of the model, and what becomes of its scores.
"""

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers.generation.logits_process import WhisperNoSpeechDetection
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from onnxtasks.generation import search
from onnxtasks.speech.whisper_batched import Batched, Window
from onnxtasks.speech.whisper_fallback import write
from onnxtasks.speech.whisper_languages import CODES
from onnxtasks.speech.whisper_long import Model, Sequential, WholeFeatures, detect
from onnxtasks.speech.whisper_options import whisper_settings
from onnxtasks.speech.whisper_prompt import Conversation
from onnxtasks_export.quiet import quiet
from tests.speech_checkpoints import RATE, WHISPER_CHECKPOINTS
from tests.whisper_reader import TorchHeard, listen, sound, whisper_spec

NAMES = ("whisper", "whisper-en", "whisper-turbo")
PLAIN: dict[str, Any] = {
    "temperature": 0.0,
    "compression_ratio_threshold": None,
    "logprob_threshold": None,
    "no_speech_threshold": None,
}
"""What `generate` does where it is given no thresholds."""
LONG = (9.0, 13.0, 17.5)
"""Seconds of recordings of several windows."""


class Checkpoint:
    """A checkpoint, asked by both sides."""

    def __init__(self, name, folder):
        torch.manual_seed(0)
        WHISPER_CHECKPOINTS[name](folder)
        kind: Any = transformers.WhisperForConditionalGeneration
        with quiet():
            self.model = kind.from_pretrained(folder, attn_implementation="eager").eval()
        self.extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder)
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        self.tokenizer = tokenizer
        self.spec = whisper_spec(self.model, self.extractor)
        self.parts = Model(listen(self.model), self.spec, self.tokenize, tokenizer.decode)
        self.task = {"task": "transcribe"} if self.spec.multilingual else {}

    def tokenize(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def features(self, seed, seconds):
        """Log-mel features of a recording: one window at least."""
        samples = sound(seed, seconds)
        longer = len(samples) > self.extractor.n_samples
        found = self.extractor(
            samples,
            sampling_rate=RATE,
            return_tensors="np",
            truncation=False,
            padding="longest" if longer else "max_length",
        )
        return found["input_features"].astype(np.float32)[0]

    def original(self, features, **options):
        """Segments and seek positions of `generate`."""
        seeks = []
        options = {"return_timestamps": True, **self.task, **options}
        with quiet(), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            found = self.model.generate(
                torch.from_numpy(features[None]),
                return_segments=True,
                monitor_progress=lambda progress: seeks.append(int(progress[0, 0])),
                **options,
            )
        return found["segments"][0], seeks

    def ours(self, features, **options):
        """Segments and seek positions, without thresholds that are not given."""
        settings = whisper_settings(self.spec, {**PLAIN, **self.task, **options})
        run = Sequential(self.parts, WholeFeatures(features), settings)
        return list(run.segments()), run.seeks

    def compare(self, features, ours=None, **shared):
        """Both, with the same options; `ours` are those that are called otherwise."""
        expected, expected_seeks = self.original(features, **shared)
        given = {name: shared[name] for name in shared.keys() & whisper_names()}
        if "return_timestamps" in shared and not shared["return_timestamps"]:
            given["timestamps"] = "none"
        found, seeks = self.ours(features, **{**given, **(ours or {})})
        assert [list(one.tokens) for one in found] == [one["tokens"].tolist() for one in expected]
        assert seeks == expected_seeks
        times = [(float(one["start"]), float(one["end"])) for one in expected]
        np.testing.assert_allclose([(one.start, one.end) for one in found], times, atol=1e-9)
        return found


def whisper_names():
    names = "language task num_beams suppress_tokens repetition_penalty no_repeat_ngram_size"
    more = "length_penalty max_new_tokens temperature compression_ratio_threshold prompt_condition_"
    return {*names.split(), *f"{more}type logprob_threshold no_speech_threshold".split()}


@pytest.fixture(scope="module", params=NAMES)
def checkpoint(request, tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are so small that threads only wait for each other
    yield Checkpoint(request.param, tmp_path_factory.mktemp(request.param))
    torch.set_num_threads(threads)


@pytest.mark.parametrize("beams", [1, 2, 4])
@pytest.mark.parametrize("times", [True, False])
def test_one_window(checkpoint, beams, times):
    texts = set()
    for seed in range(4):
        features = checkpoint.features(seed, 1.5)
        found = checkpoint.compare(features, num_beams=beams, return_timestamps=times)
        texts.add(tuple(one.tokens for one in found))
    assert len(texts) > 1


@pytest.mark.parametrize("beams", [1, 2, 4])
@pytest.mark.parametrize("seconds", LONG)
def test_several_windows(checkpoint, beams, seconds):
    found = checkpoint.compare(checkpoint.features(7, seconds), num_beams=beams)
    assert len({one.seek for one in found}) > 2


@pytest.mark.parametrize(
    "options",
    [
        {"suppress_tokens": [5, 40, 41, 42]},
        {"repetition_penalty": 1.7},
        {"no_repeat_ngram_size": 2},
        {"num_beams": 3, "length_penalty": 2.0},
        {"max_new_tokens": 9},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_of_the_decode_loop(checkpoint, options):
    checkpoint.compare(checkpoint.features(3, 6.5), **options)


def test_language_and_task(checkpoint):
    features = checkpoint.features(1, 5.0)
    if not checkpoint.spec.multilingual:
        checkpoint.compare(features)
        return
    texts = {
        tuple(one.tokens for one in checkpoint.compare(features, language=code, task=task))
        for code in checkpoint.spec.languages
        for task in ("transcribe", "translate")
    }
    assert len(texts) == 8
    checkpoint.compare(features, language="de")  # the task that is meant


def test_names_of_languages():
    assert CODES == TO_LANGUAGE_CODE


def test_detected_languages(checkpoint):
    if not checkpoint.spec.multilingual:
        assert checkpoint.spec.languages == {}
        return
    spec = checkpoint.spec
    windows = np.stack([checkpoint.features(seed, 1.9) for seed in range(6)])
    found = detect(TorchHeard(checkpoint.model, windows), range(6), spec)
    expected = checkpoint.model.detect_language(torch.from_numpy(windows)).tolist()
    assert [spec.languages[next(iter(one))] for one in found] == expected
    start = torch.tensor([[spec.start_token]])
    for one, features in zip(found, windows, strict=True):
        with torch.no_grad():
            logits = checkpoint.model(torch.from_numpy(features[None]), decoder_input_ids=start)
        chances = logits.logits[0, 0, list(spec.languages.values())].softmax(0).tolist()
        assert one == pytest.approx(dict(zip(spec.languages, chances, strict=True)), abs=1e-5)


@pytest.mark.parametrize("condition", [None, "first-segment", "all-segments"])
@pytest.mark.parametrize("prompt", [None, "the quick brown fox"])
def test_previous_text(checkpoint, condition, prompt):
    shared: dict[str, Any] = {"prompt_condition_type": condition} if condition else {}
    ours: dict[str, Any] = {}
    if condition:
        shared["condition_on_prev_tokens"] = ours["condition_on_previous_text"] = True
    if prompt is not None:
        ids = checkpoint.tokenizer.get_prompt_ids(prompt, return_tensors="pt")
        shared["prompt_ids"], ours["prompt"] = ids, prompt
    found = checkpoint.compare(checkpoint.features(11, 11.0), ours, temperature=0.0, **shared)
    plain, _ = checkpoint.ours(checkpoint.features(11, 11.0))
    if condition or prompt:
        assert [one.tokens for one in found] != [one.tokens for one in plain]


@pytest.fixture
def second_best(monkeypatch):
    """Both sides draw the second best candidate, so that samples can be compared."""

    def drawn(probabilities, num_samples):
        values, ids = probabilities.topk(2)
        return torch.where(values[:, 1:] > 0, ids[:, 1:], ids[:, :1])

    def draw(scores, points):
        order = np.argsort(-scores, axis=1, kind="stable")[:, :2]
        rows = np.arange(len(scores))
        second = np.isfinite(scores[rows, order[:, 1]]) if order.shape[1] > 1 else rows < 0
        chosen = np.where(second, order[:, -1], order[:, 0])
        totals = np.log(np.exp(scores.astype(np.float64)).sum(axis=1))
        return chosen, (scores[rows, chosen] - totals).astype(np.float32)

    monkeypatch.setattr(torch, "multinomial", drawn)
    monkeypatch.setattr(search, "draw", draw)


@pytest.fixture
def judged(monkeypatch):
    """What `generate` judges its texts by, and how."""
    found = []
    kind: Any = transformers.WhisperForConditionalGeneration
    original, average = kind._need_fallback, kind._retrieve_avg_logprobs

    def noted_average(scores, tokens, temperature):
        value = average(scores, tokens, temperature)
        found.append([float(value), temperature])
        return value

    def noted(self, sequence, outputs, index, processors, config, words, temperature):
        given = original(self, sequence, outputs, index, processors, config, words, temperature)
        speech = [p.no_speech_prob for p in processors if hasattr(p, "no_speech_prob")]
        ratio = self._retrieve_compression_ratio(sequence, words)
        found[-1] += [ratio, float(speech[0][index]), *given]
        return given

    monkeypatch.setattr(kind, "_retrieve_avg_logprobs", staticmethod(noted_average))
    monkeypatch.setattr(kind, "_need_fallback", noted)
    return found


@pytest.fixture
def mended(monkeypatch):
    """Two faults of `generate` with beams and samples, out of the way.

    After the first sample of a recording it searches greedily for all the rest, as it keeps the
    `num_beams` of that sample. And where only <|startoftranscript|> is read first, it takes the
    logits of a sample for log-probabilities, so that <|nospeech|> has a "probability" of 46, say.
    """
    kind: Any = transformers.WhisperForConditionalGeneration
    original, silence = kind.generate_with_fallback, WhisperNoSpeechDetection.__call__

    def forgetful(self, *, generation_config, **given):
        return original(self, generation_config=copy.deepcopy(generation_config), **given)

    def told(self, input_ids, scores):
        self.is_scores_logprobs = bool((scores <= 0).all())
        return silence(self, input_ids, scores)

    monkeypatch.setattr(kind, "generate_with_fallback", forgetful)
    monkeypatch.setattr(WhisperNoSpeechDetection, "__call__", told)


THRESHOLDS: dict[str, Any] = {
    "temperature": (0.0, 0.3, 0.7),
    "compression_ratio_threshold": 1.35,
    "logprob_threshold": -1.0,
    "no_speech_threshold": 0.6,
}


@pytest.mark.parametrize("beams", [1, 3])
def test_what_texts_are_judged_by(checkpoint, beams, second_best, mended, judged):
    """At every temperature, on the same texts."""
    features = checkpoint.features(5, 1.8)
    checkpoint.original(features, num_beams=beams, **{**THRESHOLDS, "logprob_threshold": 0.0})
    settings = whisper_settings(checkpoint.spec, {**checkpoint.task, "num_beams": beams})
    heard = TorchHeard(checkpoint.model, features[None])
    language = None
    if checkpoint.spec.multilingual:
        language = next(iter(detect(heard, [0], checkpoint.spec)[0]))
    talk = Conversation(checkpoint.spec, settings, checkpoint.tokenize, language=language)
    first = judged[:3]
    assert [one[1] for one in first] == [0.0, 0.3, 0.7]
    for logprob, temperature, ratio, silence, *_ in first:
        once = whisper_settings(
            checkpoint.spec,
            {**PLAIN, **checkpoint.task, "num_beams": beams, "temperature": temperature},
        )
        (found,) = write(heard, [0], [talk.prompt()], once, checkpoint.spec)
        assert found.average_logprob == pytest.approx(logprob, abs=1e-4)
        assert found.compression_ratio == ratio
        assert found.no_speech_probability == pytest.approx(silence, abs=1e-5)


@pytest.mark.parametrize("condition", [False, True])
@pytest.mark.parametrize("beams", [1, 2])
def test_fallback_and_silence(checkpoint, beams, condition, second_best, mended, judged):
    """With thresholds in the midst of what is judged, so that all decisions are taken."""
    features = checkpoint.features(2, 16.0)
    once = {**THRESHOLDS, "temperature": (0.0,), "no_speech_threshold": 1.0}
    checkpoint.original(features, num_beams=beams, **once)
    likely = between([one[0] for one in judged])
    silence = between([one[3] for one in judged if one[0] < likely])
    shared = {
        "temperature": (0.0, 0.3, 0.7),
        "logprob_threshold": likely,
        "compression_ratio_threshold": between([one[2] for one in judged], 0.8),
        "no_speech_threshold": silence,
    }
    judged.clear()
    ours = {"condition_on_previous_text": condition}
    found = checkpoint.compare(
        features, ours, num_beams=beams, condition_on_prev_tokens=condition, **shared
    )
    decided = {(needs, skips) for *_, needs, skips in judged}
    assert len(decided) > 1
    if beams == 1 and not condition:
        assert decided == {(False, False), (True, False), (False, True)}
        assert len({one.window.temperature for one in found}) > 1


def between(values, share=0.5):
    """A threshold that no value is near: in the widest gap around the middle."""
    ordered = np.sort(np.unique(values))
    last = len(ordered) - 2
    first = min(last, int(len(ordered) * (share - 0.2)))
    place = first + np.diff(ordered[first : int(last * (share + 0.2)) + 2]).argmax()
    return float((ordered[place] + ordered[place + 1]) / 2)


def test_prefix(checkpoint):
    """`decoder_input_ids` of `generate`, which take the place of all that is read first."""
    spec, prefix = checkpoint.spec, "quick fox"
    features = checkpoint.features(4, 1.9)
    start = [spec.start_token]
    options: dict[str, Any] = {}
    if spec.multilingual:
        start += [spec.languages["es"], spec.transcribe_token]
        options["language"] = "es"
    for times in (True, False):
        read = [*start, *([] if times else [spec.no_timestamps_token])]
        read += checkpoint.tokenize(f" {prefix}")
        expected, _ = checkpoint.original(
            features,
            decoder_input_ids=torch.tensor([read]),
            return_timestamps=times,
            **options,
        )
        timestamps = "segment" if times else "none"
        found, _ = checkpoint.ours(features, prefix=prefix, timestamps=timestamps, **options)
        assert list(found[0].tokens) == expected[0]["tokens"].tolist()


def test_times_of_tokens(checkpoint):
    """The last edge of each token is what `return_token_timestamps` gives for it."""
    features = checkpoint.features(6, 8.5)
    expected, _ = checkpoint.original(
        features,
        return_token_timestamps=True,
        attention_mask=torch.ones(1, features.shape[1], dtype=torch.int64),
    )
    found, _ = checkpoint.ours(features, timestamps="word")
    assert any(one.words for one in found)
    for one, other in zip(found, expected, strict=True):
        assert list(one.tokens) == other["tokens"].tolist()
        ends = dict(zip(other["tokens"].tolist(), other["token_timestamps"].tolist(), strict=True))
        for word in one.words:
            if one.tokens.count(word.tokens[-1]) == 1:
                assert word.end == pytest.approx(ends[word.tokens[-1]], abs=0.0151)


@pytest.mark.parametrize("beams", [1, 2])
def test_windows_side_by_side(checkpoint, beams):
    """Each window of a batch is what it is alone, whichever falls back."""
    features = checkpoint.features(8, 12.0)
    size = checkpoint.spec.mel.frames
    stops = [*range(size, features.shape[1], size // 2), features.shape[1]]
    windows = [Window(max(0, stop - size + 10 * place), stop) for place, stop in enumerate(stops)]
    options = {**PLAIN, **checkpoint.task, "num_beams": beams, "timestamps": "word"}
    if checkpoint.spec.multilingual:
        options["language"] = "en"
    settings = whisper_settings(checkpoint.spec, {**options, "method": "batched"})
    heard = WholeFeatures(features)
    found = list(Batched(checkpoint.parts, heard, windows, settings, together=4).segments())
    alone = [
        one
        for window in windows
        for one in Batched(checkpoint.parts, heard, [window], settings).segments()
    ]
    assert [(one.start, one.tokens, one.words) for one in found] == [
        (one.start, one.tokens, one.words) for one in alone
    ]
