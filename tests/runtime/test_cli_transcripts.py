"""`onnxtasks run --format`: transcripts on stdout and in files, while they come."""

import json
from contextlib import ExitStack

import pytest

from onnxtasks.cli.progress import Counter
from onnxtasks.cli.transcripts import told
from onnxtasks.errors import GraphError, InputError
from onnxtasks.speech.transcript import Span, Transcript
from tests.runtime.answering import Answering, Telling, fake, run

SEGMENTS = (Span("Hello there.", 0.5, 1.5, 0.9), Span("Bye!", 2.0, 3.0, 0.9))
WORDS = (
    Span("Hello", 0.5, 1.0, 0.9),
    Span("there.", 1.0, 1.5, 0.9),
    Span("Bye!", 2.0, 3.0, 0.9),
)
SRT = "1\n00:00:00,500 --> 00:00:01,500\nHello there.\n\n2\n00:00:02,000 --> 00:00:03,000\nBye!\n\n"


def whisper(words):
    return Transcript("Hello there. Bye!", SEGMENTS, words, (), "en", ())


class Listening(Telling):
    """Hears the same in every recording, segment by segment; refuses whatever says "bad".

    Words have times where they are asked for.
    """

    def __init__(self):
        super().__init__(lambda path: path)
        self.streamed = []
        self.closed_streams = 0
        self.failing = False

    def predict(self, items, **options):
        super().predict(items, **options)
        if any("bad" in str(item) for item in items):
            raise InputError("it says bad")
        words = WORDS if options.get("timestamps") == "word" else ()
        return [whisper(words) for _ in items]

    def stream_segments(self, item, **options):
        self.options = options
        if "bad" in str(item):
            raise InputError("it says bad")
        self.streamed.append(item.name)
        return self._segments()

    def _segments(self):
        try:
            yield SEGMENTS[0]
            if self.failing:
                raise GraphError("the graph refused it")
            yield SEGMENTS[1]
        finally:
            self.closed_streams += 1


@pytest.fixture
def recordings(tmp_path):
    for name in ("talk.mp3", "bad.wav", "calls/talk.wav", "calls/b.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")


@pytest.fixture
def listening(tmp_path, monkeypatch, recordings):
    """A task like Whisper, which tells segments as it hears them."""
    return fake(tmp_path, monkeypatch, "automatic-speech-recognition", Listening()).task


@pytest.fixture
def hearing(tmp_path, monkeypatch, recordings):
    """A task like CTC: one segment, and words and characters with times."""
    words = tuple(Span(f"word{i}", i / 2, i / 2 + 0.4, 0.5) for i in range(12))
    text = " ".join(word.text for word in words)
    segment = Span(text, 0.0, words[-1].end, 0.5)
    answer = Transcript(text, (segment,), words, words, None, ())
    return fake(
        tmp_path, monkeypatch, "automatic-speech-recognition", Telling(lambda _: answer)
    ).task


@pytest.fixture
def terminal(monkeypatch):
    """A person reads stdout."""
    for module in ("run", "streaming", "transcripts"):
        monkeypatch.setattr(f"onnxtasks.cli.{module}.is_terminal", lambda: True)


class TestStdout:
    @pytest.mark.parametrize(
        ("form", "expected"),
        [
            ("srt", SRT),
            (
                "vtt",
                "WEBVTT\n\n00:00.500 --> 00:01.500\nHello there.\n\n"
                "00:02.000 --> 00:03.000\nBye!\n\n",
            ),
            ("tsv", "start\tend\ttext\n500\t1500\tHello there.\n2000\t3000\tBye!\n"),
            ("txt", "Hello there.\nBye!\n"),
        ],
    )
    def test_segments_as_they_are_heard_or_at_once(self, listening, form, expected):
        ran = run("talk.mp3", "--format", form)
        assert (ran.exit_code, ran.stdout, ran.stderr) == (0, expected, "")
        assert listening.streamed == ["talk.mp3"] and listening.closed_streams == 1
        assert run("talk.mp3", "--format", form, "--no-stream").stdout == expected
        assert listening.streamed == ["talk.mp3"]

    def test_json_is_of_the_whole_recording(self, listening):
        heard = json.loads(run("talk.mp3", "--format", "json").stdout)
        assert heard["language"] == "en" and len(heard["segments"]) == 2
        assert "words" not in heard["segments"][0]
        assert listening.streamed == [] and listening.options == {}

    def test_the_times_of_words_are_asked_for(self, listening):
        heard = json.loads(run("talk.mp3", "--format", "json", "--timestamps").stdout)
        assert [word["word"] for word in heard["segments"][0]["words"]] == [" Hello", " there."]
        assert listening.options == {"timestamps": "word"}

    def test_a_layout_needs_them_too(self, listening):
        ran = run("talk.mp3", "--format", "srt", "--max-words-per-line", "1")
        assert ran.stdout.startswith("1\n00:00:00,500 --> 00:00:01,000\nHello\n\n2\n")
        assert listening.options == {"timestamps": "word"}
        ran = run("talk.mp3", "--format", "vtt", "--highlight-words")
        assert "Hello <u>there.</u>" in ran.stdout
        ran = run("talk.mp3", "--format", "vtt", "--max-line-width", "6", "--max-line-count", "2")
        assert "\nHello\nthere.\n\n" in ran.stdout

    def test_what_ctc_hears_is_cut_into_readable_subtitles(self, hearing):
        ran = run("talk.mp3", "--format", "srt")
        lines = ran.stdout.split("\n")
        assert lines[2] == "word0 word1 word2 word3 word4 word5 word6"
        assert lines[1] == "00:00:00,000 --> 00:00:05,900"
        assert run("talk.mp3", "--format", "txt").stdout.count("\n") == 1
        assert hearing.options == {}

    def test_a_terminal_cannot_be_steered(self, hearing, terminal):
        evil = Transcript("", (Span("\x1b[2Jbad", 0.0, 1.0, 0.5),), (), (), None, ())
        hearing.answer = lambda _: evil
        assert run("talk.mp3", "--format", "txt").stdout == " [2Jbad\n"

    def test_a_bad_recording(self, listening):
        for stream in ("--stream", "--no-stream"):
            ran = run("bad.wav", "--format", "srt", stream)
            assert (ran.exit_code, ran.stdout) == (1, "")
            assert ran.stderr == "error: bad.wav: it says bad\n"

    def test_no_such_recording(self, listening):
        ran = run("nothing.wav", "--format", "srt")
        assert (ran.exit_code, ran.stdout) == (1, "")
        assert "nothing.wav: no such file; check the path" in ran.stderr

    def test_words_without_times(self, hearing):
        hearing.answer = lambda _: whisper(())
        ran = run("talk.mp3", "--format", "srt", "--highlight-words")
        assert (ran.exit_code, ran.stdout) == (1, "")
        assert ran.stderr.startswith("error: talk.mp3: the words of this transcript have no times")


class TestFiles:
    def test_they_get_the_names_of_their_recordings(self, listening, tmp_path):
        ran = run("talk.mp3", "calls", "--format", "srt", "--out", "made/subtitles")
        assert ran.exit_code == 0
        assert [line.split() for line in ran.stdout.splitlines()] == [
            ["talk.mp3", "made/subtitles/talk.srt"],
            ["calls/b.flac", "made/subtitles/b.srt"],
            ["calls/talk.wav", "made/subtitles/talk-2.srt"],
        ]
        found = sorted((tmp_path / "made/subtitles").iterdir())
        assert [path.name for path in found] == ["b.srt", "talk-2.srt", "talk.srt"]
        assert all(path.read_text() == SRT for path in found)
        assert listening.streamed == []  # several share runs

    def test_one_is_written_as_it_is_heard(self, listening, tmp_path):
        assert run("talk.mp3", "--format", "vtt", "--out", ".").exit_code == 0
        assert (tmp_path / "talk.vtt").read_text().startswith("WEBVTT\n\n00:00.500")
        assert listening.streamed == ["talk.mp3"]

    def test_several_on_request(self, listening, tmp_path):
        ran = run("calls", "--format", "txt", "--out", "texts", "--stream")
        assert ran.exit_code == 0
        assert listening.streamed == ["b.flac", "talk.wav"]
        assert (tmp_path / "texts/b.txt").read_text() == "Hello there.\nBye!\n"

    def test_a_bad_recording_has_no_file(self, listening, tmp_path):
        ran = run("bad.wav", "talk.mp3", "--format", "srt", "--out", "made", "--stream")
        assert ran.exit_code == 1 and "error: bad.wav: it says bad" in ran.stderr
        assert [path.name for path in (tmp_path / "made").iterdir()] == ["talk.srt"]

    def test_nothing_is_left_half_written(self, listening, tmp_path):
        listening.failing = True
        (tmp_path / "talk.srt").write_text("what was there")
        ran = run("talk.mp3", "--format", "srt", "--out", ".")
        assert ran.exit_code == 1 and "talk.mp3: the graph refused it" in ran.stderr
        assert (tmp_path / "talk.srt").read_text() == "what was there"
        assert not list(tmp_path.glob("*.part"))

    def test_a_folder_that_cannot_be_made(self, listening):
        ran = run("talk.mp3", "--format", "srt", "--out", "talk.mp3")
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert "error: --out: " in ran.stderr


class TestSegmentsWithoutAFormat:
    def test_a_terminal_shows_them_as_they_are_heard(self, listening, terminal):
        assert run("talk.mp3").stdout == "Hello there.\nBye!\n"
        assert listening.streamed == ["talk.mp3"]

    def test_elsewhere_a_transcript_is_a_row(self, listening):
        assert run("talk.mp3").stdout == "talk.mp3  Hello there. Bye!\n"
        assert listening.streamed == []

    def test_several_on_request_below_their_names(self, listening):
        ran = run("talk.mp3", "bad.wav", "calls/b.flac", "--stream")
        assert ran.exit_code == 1 and ran.stderr == "error: bad.wav: it says bad\n"
        assert ran.stdout == (
            "talk.mp3\nHello there.\nBye!\n\ncalls/b.flac\nHello there.\nBye!\n\n"
        )

    def test_a_folder_is_not_one_recording(self, listening, terminal):
        ran = run("calls")
        assert ran.stdout.startswith("calls/b.flac    Hello there. Bye!\n")
        assert listening.streamed == []

    def test_words_are_asked_for_with_their_times(self, listening, terminal):
        ran = run("talk.mp3", "--timestamps")
        assert ran.stdout.splitlines()[1] == "  0.50  1.00  Hello"
        assert listening.options == {"timestamps": "word"} and listening.streamed == []


class TestProgress:
    def test_where_the_last_segment_ended_is_told(self):
        with ExitStack() as stack:
            counter = Counter(True, stack)
            spans = told([SEGMENTS[0], Span("Late.", 3600.0, 4205.5, 0.5)], counter.heard)
            shown = [counter._progress.tasks[0].description for _ in spans]
            shown.append(counter._progress.tasks[0].description)
        assert shown == ["0 answered", "0 answered, 0:00:01 heard", "0 answered, 1:10:05 heard"]

    def test_nobody_is_told_where_it_is_not_wanted(self, listening):
        ran = run("talk.mp3", "--format", "txt", "--no-progress")
        assert (ran.stdout, ran.stderr) == ("Hello there.\nBye!\n", "")
        assert "1 answered" in run("talk.mp3", "--format", "txt", "--progress").stderr


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ("calls", "--format", "srt"),
                "--format prints one transcript; for several recordings add --out FOLDER",
            ),
            (("talk.mp3", "calls/b.flac", "--format", "srt"), "--format prints one transcript"),
            (("*.mp3", "--format", "srt"), "--format prints one transcript"),
            (("-", "--format", "srt"), "--format prints one transcript"),
            (("talk.mp3", "--out", "made"), "--out needs --format, such as --format srt"),
            (
                ("talk.mp3", "--format", "txt", "--highlight-words"),
                "--highlight-words needs --format srt or --format vtt",
            ),
            (("talk.mp3", "--max-line-width", "20"), "--max-line-width needs --format srt or"),
            (
                ("talk.mp3", "--format", "srt", "--max-line-count", "2"),
                "max_line_count needs max_line_width",
            ),
            (("talk.mp3", "--format", "srt", "--json"), "--json and --format exclude each other"),
            (
                ("talk.mp3", "--format", "json", "--stream"),
                "--stream shows segments; the times of words and JSON need the whole recording",
            ),
            (("talk.mp3", "--timestamps", "--stream"), "--stream shows segments; the times of"),
        ],
    )
    def test_wrong_usage_is_one_sentence(self, listening, arguments, message):
        ran = run(*arguments)
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert ran.stderr.startswith(f"error: {message}") and ran.stderr.count("\n") == 1

    def test_an_unknown_format(self, listening):
        ran = run("talk.mp3", "--format", "ass")
        assert ran.exit_code == 2 and "Invalid value for '--format'" in ran.stderr

    @pytest.mark.parametrize(
        "arguments", [("--format", "srt"), ("--out", "made"), ("--highlight-words",)]
    )
    def test_they_are_for_speech(self, tmp_path, monkeypatch, arguments):
        fake(tmp_path, monkeypatch, "text-classification", Answering())
        ran = run("a text", *arguments)
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert ran.stderr == (
            f"error: {arguments[0]} is for automatic-speech-recognition; this bundle is for "
            "text-classification\n"
        )

    def test_a_model_that_cannot_stream(self, hearing):
        ran = run("talk.mp3", "--stream")
        assert ran.exit_code == 1
        assert "this model writes a recording down as a whole; leave --stream out" in ran.stderr


def test_recordings_that_a_pipe_names(listening, tmp_path):
    ran = run("-", "--format", "txt", "--out", "made", input="talk.mp3\ncalls/b.flac\n")
    assert ran.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["b.txt", "talk.txt"]
