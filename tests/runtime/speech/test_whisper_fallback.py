"""When a window is written again, and when it is skipped."""

import zlib

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.speech.whisper_fallback import compression_ratio, write
from onnxtasks.speech.whisper_options import whisper_settings
from onnxtasks.speech.whisper_prompt import Prompt
from tests.runtime.speech.whisper_script import DE, END, START, TRANSCRIBE, Say, Script, spec_of

PROMPT = Prompt(np.array([START, DE, TRANSCRIBE], np.int64), 0)
LOOP = [1, 2] * 9


def heard(*said):
    """One window for each: what it says at each attempt."""
    script = Script(dict(enumerate(said)))
    features = np.zeros((len(said), 4, 100), np.float32)
    features[:, 0, 0] = range(len(said))
    return script, script(features)


def written(*said, **options):
    script, windows = heard(*said)
    spec = spec_of()
    settings = whisper_settings(spec, {"timestamps": "none", **options})
    return script, write(windows, range(len(said)), [PROMPT] * len(said), settings, spec)


def test_the_ratio_is_of_the_bytes_of_ids():
    tokens = [1, 2, 3, 4] * 10
    for words, size in ((250, 1), (70000, 3)):
        raw = b"".join(token.to_bytes(size, "little") for token in tokens)
        assert compression_ratio(tokens, words) == len(raw) / len(zlib.compress(raw))


def test_a_good_text_is_written_once():
    script, (found,) = written(Say(1, 2, 3))
    assert (found.tokens, found.temperature, script.attempts) == ((1, 2, 3), 0.0, {0: 1})
    assert found.written == 4
    assert found.average_logprob == pytest.approx(np.log(0.9), abs=1e-5)
    np.testing.assert_allclose(found.token_logprobs, np.log([0.9] * 3), rtol=1e-4)
    assert found.no_speech_probability == pytest.approx(0.01, abs=1e-5)


def test_only_bad_windows_are_written_again_each_as_often_as_it_is_bad():
    unsure = Say(4, sure=0.2)
    script, found = written(
        Say(1),
        [Say(*LOOP), Say(2, sure=0.999)],
        [unsure, unsure, Say(3, sure=0.999)],
        logprob_threshold=-1.0,
    )
    assert [one.tokens for one in found] == [(1,), (2,), (3,)]
    assert [one.temperature for one in found] == [0.0, 0.2, 0.4]
    assert script.attempts == {0: 1, 1: 2, 2: 3}


def test_the_last_temperature_is_taken_as_it_is():
    script, (found,) = written(Say(*LOOP, sure=0.9999), temperature=(0, 0.5))
    assert (found.temperature, script.attempts) == (0.5, {0: 2})
    assert found.compression_ratio > 1.35


def test_thresholds_that_are_off():
    script, (found,) = written(Say(*LOOP), compression_ratio_threshold=None)
    assert (found.temperature, script.attempts) == (0.0, {0: 1})
    script, _ = written(Say(4, sure=0.2), logprob_threshold=None)
    assert script.attempts == {0: 1}


def test_silence_needs_both_and_is_not_written_again():
    settings = whisper_settings(spec_of(), {})
    script, (quiet,) = written(Say(4, sure=0.1, silence=0.7))
    assert quiet.silent(settings)
    assert script.attempts == {0: 1}
    _, (sure,) = written(Say(4, silence=0.7))
    assert not sure.silent(settings)
    _, (spoken,) = written(Say(4, sure=0.1, silence=0.5), temperature=0)
    assert not spoken.silent(settings)
    alone = whisper_settings(spec_of(), {"logprob_threshold": None})
    assert sure.silent(alone)
    assert not sure.silent(whisper_settings(spec_of(), {"no_speech_threshold": None}))


def test_the_likeliest_of_several_samples_is_taken():
    options = {"temperature": 1.0, "timestamps": "none", "seed": 5, "top_k": 0}
    found = {}
    for best_of in (1, 12):
        _, (found[best_of],) = written(Say(1, 2, 3, sure=0.4), best_of=best_of, **options)
    assert found[12].average_logprob > found[1].average_logprob


def test_beams_end_and_are_judged_by_what_the_rules_leave():
    _, (found,) = written(Say(1, 2), num_beams=3, suppress_tokens=[5, 6])
    assert found.tokens == (1, 2)
    left = 0.9 + 0.1 / 69 * 67
    assert found.average_logprob == pytest.approx(np.log(0.9 / left), abs=1e-5)


def test_a_text_that_the_length_ends_has_no_end_token():
    _, (found,) = written(Say(1, 2, 3, 4, 5), max_new_tokens=2)
    assert (found.tokens, found.written) == ((1, 2), 2)
    assert END not in found.tokens


def test_rules_that_leave_nothing():
    with pytest.raises(InputError, match="the rules forbid every token"):
        written(Say(1), suppress_tokens=list(range(70)))
