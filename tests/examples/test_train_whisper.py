"""What the tiny Whisper reads and writes in training."""

import numpy as np
import pytest
import torch
from train_whisper import GUIDED, NOT_ASKED, NOWHERE, Trainee, Writer
from whisper_data import FRAMES, Segment, Window, Word
from whisper_model import END, NO_SPEECH, START, load_or_make, make_processor

GO, LEFT = Word("go", 50, 70), Word("left", 70, 100)
SILENCE = np.zeros(8 * 16000, np.float32)


@pytest.fixture(scope="module")
def processor():
    return make_processor()


@pytest.fixture(scope="module")
def writer(processor):
    return Writer(processor, 0)


def texts(processor, writer, window):
    """What is read and written, in every form that chance gives it."""
    tokenizer = processor.tokenizer
    found = set()
    for seed in range(60):
        line = writer.line(window, np.random.default_rng(seed))
        begin = line.read.index(tokenizer.convert_tokens_to_ids(START))
        assert line.written[:begin] == [NOT_ASKED] * begin
        assert len(line.read) == len(line.written) == len(line.spans)
        written = [token for token in line.written if token != NOT_ASKED]
        found.add(tokenizer.decode(written, decode_with_timestamps=True))
    return found


def test_sentences_with_times_and_without(processor, writer):
    window = Window(SILENCE, (Segment((GO, LEFT), 50, 100),), (GO, LEFT))
    assert texts(processor, writer, window) == {
        f"<|en|><|1.00|> go left<|2.00|>{END}",
        f"<|en|> go left{END}",
    }


def test_a_sentence_that_is_cut_off_is_left_to_the_next_window(processor, writer):
    cut = Segment((), 375, None)
    window = Window(SILENCE, (Segment((GO, LEFT), 50, 100), cut), (GO, LEFT))
    assert f"<|en|><|1.00|> go left<|2.00|><|7.50|>{END}" in texts(processor, writer, window)


def test_silence(processor, writer):
    found = texts(processor, writer, Window(SILENCE, (), ()))
    assert found == {f"{NO_SPEECH}<|0.00|>{END}", f"{NO_SPEECH}{END}"}


def test_each_word_is_looked_for_where_it_is(writer):
    window = Window(SILENCE, (Segment((GO, LEFT), 50, 100),), (GO, LEFT))
    line = writer.line(window, np.random.default_rng(0))
    looked = dict(zip(line.written, line.spans, strict=True))
    assert looked[writer.words["go"]] == (50, 70)
    assert looked[writer.words["left"]] == (70, 100)
    assert looked[writer.find(END)] == NOWHERE


def test_all_weights_of_the_model_learn(processor, writer):
    torch.manual_seed(0)
    model, _ = load_or_make(None, processor.tokenizer)
    trainee = Trainee(model)
    window = Window(SILENCE + 0.01, (Segment((GO, LEFT), 50, 100),), (GO, LEFT))
    batch = writer.batch([window] * 2, np.random.default_rng(0))
    assert batch["frames"][0].count_nonzero() == 50
    assert batch["features"].shape == (2, 80, 2 * FRAMES)
    trainee(**batch).loss.backward()
    still = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not still
    assert max(head for _, head in GUIDED) < model.config.decoder_attention_heads
