"""Texts of users on a terminal: how wide they are, and nothing in them that steers it."""

NAME_WIDTH = 48  # columns that an input takes at most in front of its result
JOINERS = "\u200c\u200d"  # they join or part letters and emoji, and print nothing
LAYOUT = "\n\t"


def visible(text: str) -> str:
    """One line, as long as the text; what could steer a terminal becomes a space."""
    return "".join(
        character if character.isprintable() or character in JOINERS else " " for character in text
    )


def readable(text: str) -> str:
    """A text whose lines and tabs stay; what else could steer a terminal becomes a space."""
    return "".join(character if character in LAYOUT else visible(character) for character in text)


def shorten(text: str, limit: int = NAME_WIDTH) -> str:
    """One line of at most `limit` columns."""
    clean = " ".join(visible(text[: 10 * limit]).split())
    if width(clean) <= limit and len(text) <= 10 * limit:
        return clean
    kept = ""
    for character in clean:
        if width(kept + character) >= limit:
            break
        kept += character
    return kept + "…"


def width(text: str) -> int:
    """Columns of a text on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, columns: int) -> str:
    """The text with spaces behind it up to `columns`."""
    return text + " " * (columns - width(text))
