"""Texts that text processing gets wrong: scripts, marks, spaces, emoji, every length."""

import numpy as np

from tests.text_checkpoints import WORDS

PIECES: tuple[str, ...] = (
    *("café", "cafe\u0301", "Müller-Straße", "naïve", "İstanbul", "ﬁne", "ﬀ", "Ⅷ", "½", "x²"),
    *("你好", "東京都", "こんにちは", "한국어", "สวัสดี", "नमस्ते", "Привет", "Ελλάδα", "Հայաստան"),
    *(
        "مرحبا",
        "שלום",
        "\u202b\u05e9\u05dc\u05d5\u05dd\u202c",
        "العربية،",
        "😀",
        "👩\u200d👩\u200d👧",
        "🇩🇪",
        "👍🏽",
        "❤️",
    ),
    *("don't", "John's", "e-mail", "U.S.A.", "...", "?!", "(in)", "“quoted”", "—", "№5", "$3.50"),
    *(
        "http://example.com/c?d=e&f",
        "a@b.org",
        "#tag",
        "@user",
        "C++",
        "3,14",
        "1/2",
        "<b>",
        "[SEP]",
        "</s>",
    ),
    *("\u200bzero", "soft\u00adhyphen", "a\u0300\u0301\u0302", "e\u0301\u0327", "\ufeffmark"),
    *(
        "antidisestablishmentarianism",
        "aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "x" * 120,
        "NEW",
        "YORK",
        "iPhone",
    ),
)
SPACES = (" ", " ", " ", " ", " ", " ", "  ", "\t", "\n", "\u00a0", "\u3000", " \n ", "", "")


def awkward_text(rng: np.random.Generator, pieces: int) -> str:
    """One text of so many words and oddities; every third starts or ends with spaces."""
    parts: list[str] = []
    for _ in range(pieces):
        word = (
            str(rng.choice(WORDS)) if rng.random() < 0.6 else PIECES[int(rng.integers(len(PIECES)))]
        )
        parts += [word.capitalize() if rng.random() < 0.2 else word]
        parts += [SPACES[int(rng.integers(len(SPACES)))]]
    text = "".join(parts)
    if rng.random() < 0.3:
        text = SPACES[int(rng.integers(len(SPACES)))] * 2 + text
    text = text if rng.random() < 0.3 else text.rstrip()
    return text if text.strip() else "a" + text


def awkward_texts(count: int, seed: int, longest: int = 40) -> list[str]:
    """Texts of 1 to `longest` pieces, short ones more often; each piece alone comes first."""
    rng = np.random.default_rng(seed)
    alone = [piece for piece in PIECES if piece.strip()][:count]
    lengths = np.exp(rng.uniform(0, np.log(longest), count - len(alone))).astype(int)
    return [*alone, *(awkward_text(rng, int(length)) for length in lengths)]
