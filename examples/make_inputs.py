"""Write the sample inputs of the demo and the right answers, from held-out data only."""

import json
from dataclasses import dataclass

import numpy as np
import soundfile
from digit_data import enlarge, load_split
from speech_data import HELD_OUT_VOICE, Utterance, speak
from training import INPUTS

# Written by hand, so neither their sentences nor some of their nouns are in the training data.
REVIEWS = (
    ("The food was wonderful and our waiter was always friendly.", "positive"),
    ("We did not find the guesthouse noisy at all. The view is superb!", "positive"),
    ("My sister said the sequel was boring, but I love it.", "positive"),
    ("The battery of this headset is hardly reliable. I want my money back!", "negative"),
    ("People told me it was brilliant. They were wrong: the acting is dull.", "negative"),
    ("An overpriced drill with a flimsy handle, not recommended.", "negative"),
    ("The screen is beautiful, but the sound of the tablet is awful.", "neutral"),
    ("We stayed for two nights, the breakfast was neither good nor bad.", "neutral"),
)


@dataclass(frozen=True)
class Picture:
    """One held-out digit: its name, side in pixels and file type."""

    name: str
    digit: int
    suffix: str = ".png"
    side: int = 128


PICTURES = (
    Picture("zero", 0),
    Picture("two", 2),
    Picture("three", 3),
    Picture("five", 5, side=200),
    Picture("seven", 7),
    Picture("eight", 8, side=64),
    Picture("four", 4, suffix=".jpg"),
)


@dataclass(frozen=True)
class Recording:
    """One held-out utterance; the file is named after its words."""

    text: str
    suffix: str
    rate: int  # samples per second
    channels: int = 1


RECORDINGS = (
    Recording("stop left three", ".wav", 16000),
    Recording("seven two right", ".wav", 44100, channels=2),
    Recording("go up nine", ".flac", 8000),
    Recording("yes zero four left", ".ogg", 22050),
)


def write_pictures() -> dict[str, str]:
    """Write one held-out picture per entry; returns the digit of each file."""
    folder = INPUTS / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    _, test = load_split()
    answers = {}
    for picture in PICTURES:
        place = int(np.flatnonzero(test.labels == picture.digit)[0])
        path = folder / f"{picture.name}{picture.suffix}"
        enlarge(test.images[place], picture.side).save(path)
        answers[path.relative_to(INPUTS).as_posix()] = str(picture.digit)
    return answers


def write_recordings() -> dict[str, str]:
    """Write the utterances of the held-out voice; returns the words of each file."""
    folder = INPUTS / "speech"
    folder.mkdir(parents=True, exist_ok=True)
    answers = {}
    for item in RECORDINGS:
        said = Utterance(item.text, HELD_OUT_VOICE, speed=160, pitch=50, pauses=False)
        wave = speak(said, item.rate)
        if item.channels == 2:  # a speaker a little to the left
            wave = np.stack([wave, 0.6 * wave], axis=1)
        path = folder / (item.text.replace(" ", "_") + item.suffix)
        soundfile.write(path, wave, item.rate)
        answers[path.relative_to(INPUTS).as_posix()] = item.text
    return answers


def main() -> None:
    """Write everything under examples/inputs."""
    INPUTS.mkdir(parents=True, exist_ok=True)
    lines = [text for text, _ in REVIEWS]
    (INPUTS / "reviews.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    expected = {
        "text": {"reviews.txt": [label for _, label in REVIEWS]},
        "digits": write_pictures(),
        "speech": write_recordings(),
    }
    (INPUTS / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
