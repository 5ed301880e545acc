"""Makes subtitles.json: what the writers of openai/whisper write of random transcripts.

In an environment with openai-whisper==20250625 (nothing of this repository is imported there):

    python tests/parity/frozen/make_subtitles.py

writes subtitles.json beside this file.
"""

import io
import json
import random
from pathlib import Path
from typing import Any

SUBTITLES = Path(__file__).with_name("subtitles.json")
REFERENCE = "20250625"
SEED = 7
COUNT = 8
WORDS = (
    *(" the", " a", " Hello,", " world.", " speech", " recognition", " don't", " (yes)", " 3.5"),
    *(" antidisestablishmentarianism", " naïve", " I", " said:", " “no”!", " e-mail", "-free"),
)
LAYOUTS: tuple[dict[str, Any], ...] = (
    {},
    {"highlight_words": True},
    {"max_line_width": 20},
    {"max_line_width": 24, "max_line_count": 2},
    {"max_line_width": 42, "max_line_count": 1, "highlight_words": True},
    {"max_words_per_line": 3},
    {"max_words_per_line": 1, "highlight_words": True},
)


def transcript(random_numbers: random.Random, *, words: bool) -> dict[str, Any]:
    """Segments with pauses between them, some of more than an hour."""
    now = random_numbers.choice((0.0, 0.37, 3599.2))
    segments: list[dict[str, Any]] = []
    for number in range(random_numbers.randint(2 if words else 1, 4)):
        spoken: list[dict[str, Any]] = []
        for _ in range(random_numbers.randint(1, 14)):
            now += random_numbers.choice((0.0, 0.0, 0.04, 0.5, 4.0))
            start, now = now, now + random_numbers.uniform(0.02, 0.9)
            word = random_numbers.choice(WORDS if spoken else WORDS[:-1])
            spoken.append({"word": word, "start": round(start, 2), "end": round(now, 2)})
        text = "".join(each["word"] for each in spoken)
        if not words:
            text += random_numbers.choice(("", " -->", " a\tb", " --> 3"))
        segment: dict[str, Any] = {
            "id": number, "start": spoken[0]["start"], "end": spoken[-1]["end"], "text": text
        }  # fmt: skip
        segments.append(segment | ({"words": spoken} if words else {}))
    return {"text": "".join(each["text"] for each in segments), "segments": segments}


def main() -> None:
    """Write the file."""
    from whisper import utils  # type: ignore[import-not-found]  # of the other environment

    numbers = random.Random(SEED)
    cases = []
    for count in range(COUNT):
        given = transcript(numbers, words=count % 4 != 0)
        # Without the times of words there is nothing to lay out; the others know no layout.
        asked = [("txt", 0), ("tsv", 0), ("srt", 0), ("vtt", 0)]
        asked += [(form, place) for place in range(1, len(LAYOUTS)) for form in ("srt", "vtt")]
        written = []
        for form, place in asked if count % 4 else asked[:4]:
            file = io.StringIO()
            utils.get_writer(form, ".").write_result(given, file, dict(LAYOUTS[place]))
            written.append([form, place, file.getvalue()])
        cases.append({"transcript": given, "written": written})
    made = {"openai-whisper": REFERENCE, "cases": cases}
    SUBTITLES.write_text(json.dumps(made, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
