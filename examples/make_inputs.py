"""Write the sample inputs of the demo and the right answers, from held-out data only."""

import json
from dataclasses import dataclass

import numpy as np
import soundfile
from digit_data import enlarge, load_split
from speech_data import HELD_OUT_VOICE, RATE, Utterance, speak, trim
from story_data import sample_stories
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

# Held-out names, mostly in held-out clauses: a sentence, then each entity and its label.
ENTITIES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Greta Hoffmann moved from Warsaw to Brussels in March 2021.",
        (("Greta Hoffmann", "PER"), ("Warsaw", "LOC"), ("Brussels", "LOC"), ("March 2021", "DATE")),
    ),
    (
        "On 17 May 2019, University of Rotterdam hired Rafael O'Connor.",
        (("17 May 2019", "DATE"), ("University of Rotterdam", "ORG"), ("Rafael O'Connor", "PER")),
    ),
    ("The coffee was cold, but the garden was beautiful.", ()),
    (
        "My friend Amélie Fernández wrote a book about Bogotá.",
        (("Amélie Fernández", "PER"), ("Bogotá", "LOC")),
    ),
    (
        "Solvaro Records has a new office in San Francisco!",
        (("Solvaro Records", "ORG"), ("San Francisco", "LOC")),
    ),
    (
        "Tobias, Naomi and Jean-Paul live in Köln now.",
        (
            ("Tobias", "PER"),
            ("Naomi", "PER"),
            ("Jean-Paul", "PER"),
            ("Köln", "LOC"),
        ),
    ),
    (
        "The contract with Brandt & Vogel was signed by E. Yamamoto.",
        (("Brandt & Vogel", "ORG"), ("E. Yamamoto", "PER")),
    ),
    ("Have you told Leila Banerjee?", (("Leila Banerjee", "PER"),)),
)

# Held-out names, wordings and values: question, passage, answer.
QUESTIONS = (
    (
        "Which city does Greta live in?",
        "For years Greta has lived in Seville. Greta's job is librarian. Greta came from Oslo.",
        "Seville",
    ),
    (
        "What is Hugo's job?",
        "Hugo is just 43 years old. Hugo now works as a plumber. Hugo owns a dog called Bruno.",
        "plumber",
    ),
    (
        "What is the name of the dog of Søren?",
        "Søren still lives in Bogotá. At home Søren speaks Danish. Søren's dog is called Fenja.",
        "Fenja",
    ),
    (
        "In what year was Tarvex Bank founded?",
        "Tarvex Bank is now based in Osaka. Since 1957 Tarvex Bank has existed. Miriam now runs "
        "Tarvex Bank.",
        "1957",
    ),
    (
        "How many workers are there at Solvaro?",
        "The company Solvaro was founded in 1983. At Solvaro there are 2487 people. The day was "
        "long and nice.",
        "2487",
    ),
    (
        "What does the kettle cost?",
        "The kettle was painted purple. The kettle now costs 29 dollars. Félix Moreau also owns "
        "the kettle.",
        "29 dollars",
    ),
    (
        "Where do you find the wallet?",
        "The wallet now belongs to Irene. You can find the wallet in the pantry. Grey is the "
        "colour of the wallet.",
        "pantry",
    ),
    (
        "Please tell me, who does the violin belong to?",
        "For the violin you pay 380 euros. The violin now belongs to Samuel Banerjee. Orange is "
        "the colour of the violin.",
        "Samuel Banerjee",
    ),
)


# Held-out numbers, days, years and times: a phrase and its translation.
PHRASES = (
    ("The meeting is on Thursday, the third of May.", "La réunion est le jeudi 3 mai."),
    ("Marie was born on 14 July 1988.", "Marie est née le 14 juillet 1988."),
    (
        "The train leaves at a quarter past six in the morning and arrives at twenty to four.",
        "Le train part à six heures et quart du matin et arrive à quatre heures moins vingt.",
    ),
    ("My sister is fifty-one years old.", "Ma sœur a cinquante et un ans."),
    (
        "Claire sold seven hundred and fifty-one chairs for $95.",
        "Claire a vendu sept cent cinquante et une chaises pour 95 $.",
    ),
    (
        "The swimming pool is closed until Monday, 1 September 2014.",
        "La piscine est fermée jusqu'au lundi 1er septembre 2014.",
    ),
    ("six thousand five hundred ninety-two", "six mille cinq cent quatre-vingt-douze"),
    (
        "Please pay €681.38 before December 31.",
        "Veuillez payer 681,38 € avant le 31 décembre.",
    ),
    ("Does the race begin at 7:44 p.m.?", "Est-ce que la course commence à 19 h 44 ?"),
    (
        "The library is nine hundred and ninety-six metres from here.",
        "La bibliothèque est à neuf cent quatre-vingt-seize mètres d'ici.",
    ),
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
DIGITS = (
    Recording("seven", ".wav", 16000),
    Recording("three", ".flac", 44100),
    Recording("zero", ".wav", 8000, channels=2),
    Recording("five", ".ogg", 22050),
    Recording("nine", ".flac", 16000),
    Recording("two", ".wav", 11025),
)

# In these greedy decoding makes mistakes that the 3-gram of commands mends.
COMMANDS = (
    Recording("no go left two five", ".flac", 16000),
    Recording("right three go left three", ".flac", 16000),
    Recording("yes go down five", ".flac", 16000),
)
# What is said in a recording of several windows, each with the silence before it in seconds.
MOVES = (
    (0.8, "go left two"),
    (1.2, "no go right five stop"),
    (9.5, "yes stop"),
    (2.0, "go up one zero"),
)


def write_lines(name: str, lines: list[str]) -> None:
    """Write a text file under examples/inputs."""
    (INPUTS / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


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


def write_recordings(name: str, recordings: tuple[Recording, ...]) -> dict[str, str]:
    """Write utterances of the held-out voice into a folder; returns the words of each file."""
    folder = INPUTS / name
    folder.mkdir(parents=True, exist_ok=True)
    answers = {}
    for item in recordings:
        said = Utterance(item.text, HELD_OUT_VOICE, speed=160, pitch=50, pauses=False)
        wave = speak(said, item.rate)
        if item.channels == 2:  # a speaker a little to the left
            wave = np.stack([wave, 0.6 * wave], axis=1)
        path = folder / (item.text.replace(" ", "_") + item.suffix)
        soundfile.write(path, wave, item.rate)
        answers[path.relative_to(INPUTS).as_posix()] = item.text
    return answers


def write_moves() -> dict[str, str]:
    """Write the sample recordings of Whisper: a long one, one sentence, and silence."""
    folder = INPUTS / "whisper"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [np.zeros(0, np.float32)]
    for pause, text in MOVES:
        said = Utterance(text, HELD_OUT_VOICE, speed=160, pitch=50, pauses=False)
        parts += [np.zeros(round(pause * RATE), np.float32), trim(speak(said), 0)]
    wave = np.concatenate([*parts, np.zeros(RATE, np.float32)])
    noise = np.random.default_rng(0).normal(0.0, 0.0005, len(wave)).astype(np.float32)
    soundfile.write(folder / "moves.ogg", wave + noise, RATE)
    soundfile.write(folder / "silence.flac", noise[: 3 * RATE], RATE)
    answers = {"whisper/moves.ogg": " ".join(text for _, text in MOVES), "whisper/silence.flac": ""}
    return {**answers, **write_recordings("whisper", (Recording("go right two", ".wav", 22050),))}


def main() -> None:
    """Write everything under examples/inputs."""
    INPUTS.mkdir(parents=True, exist_ok=True)
    write_lines("reviews.txt", [text for text, _ in REVIEWS])
    write_lines("entities.txt", [text for text, _ in ENTITIES])
    asked = [json.dumps([ask, passage], ensure_ascii=False) for ask, passage, _ in QUESTIONS]
    write_lines("questions.jsonl", asked)
    write_lines("phrases.txt", [english for english, _ in PHRASES])
    stories = sample_stories()
    write_lines("stories.txt", [story.sentences[0] for story in stories])
    expected = {
        "text": {"reviews.txt": [label for _, label in REVIEWS]},
        "digits": write_pictures(),
        "speech": {
            **write_recordings("speech", RECORDINGS),
            **write_recordings("commands", COMMANDS),
        },
        "whisper": write_moves(),
        "sounds": write_recordings("sounds", DIGITS),
        "entities": {"entities.txt": [entities for _, entities in ENTITIES]},
        "questions": {"questions.jsonl": [answer for _, _, answer in QUESTIONS]},
        "translator": {"phrases.txt": [french for _, french in PHRASES]},
        "writer": {"stories.txt": [[story.name, story.thing] for story in stories]},
    }
    (INPUTS / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
