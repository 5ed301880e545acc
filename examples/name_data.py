"""Names for generated texts: real ones, apart for training and test, and made-up ones.

Made-up names are joined from pieces at random. Seen once each, they teach a model to read a name
from its capital letter and its surroundings, and to copy it, instead of knowing it.
"""

import random
from dataclasses import dataclass


def words(text: str) -> tuple[str, ...]:
    """Split a list written as one text at its commas."""
    return tuple(part.strip() for part in text.split(","))


@dataclass(frozen=True)
class Names:
    """The names one half of the data is made from."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    places: tuple[str, ...]
    made_up: float  # share of names joined from random pieces


TRAIN_NAMES = Names(
    first=words(
        "Anna, Peter, Maria, John, Laura, David, Sophie, Michael, Emma, Thomas, Julia, Daniel,"
        "Clara, Robert, Helen, Martin, Alice, James, Nora, Paul, Sarah, Mark, Lucy, Simon, Eva,"
        "George, Hannah, Victor, Rosa, Frank, Mia, Oscar, Ingrid, Carlos, Fatima, Ahmed, Yuki,"
        "Wei, Priya, Kofi, René, Chloé, Jürgen, Zoë, André, Agnès, Mónica, Nikolaï, Björn, Mary,"
        "Jean-Luc, Anne-Marie, Tom, Ben, Kim, Max, Ann, Liam, Olivia, Noah, William, Elizabeth"
    ),
    last=words(
        "Smith, Miller, Brown, Johnson, Weber, Fischer, Rossi, Martin, Garcia, Novak, Kowalski,"
        "Andersen, Larsson, Jansen, de Vries, van Dijk, O'Brien, O'Neill, D'Angelo, McDonald,"
        "Taylor, Wilson, Clark, Lewis, Walker, Hall, Young, King, Wright, Hill, Green, Baker,"
        "Sato, Tanaka, Chen, Nguyen, Patel, Khan, Hassan, Silva, Müller, Schröder, García, Núñez,"
        "Lefèvre, Åberg, Sørensen, Dvořák, Çelik, Popescu, Ivanov, Petrov, Wood, Stone, Carter"
    ),
    places=words(
        "Paris, London, Berlin, Madrid, Rome, Vienna, Oslo, Lisbon, Dublin, Athens, Prague, Cairo,"
        "Tokyo, Boston, Chicago, Toronto, Sydney, Delhi, Nairobi, Lima, Havana, New York,"
        "San Diego, Hong Kong, Cape Town, Buenos Aires, Zürich, Málaga, São Paulo, Malmö, Kraków,"
        "Geneva, Hamburg, Lyon, Turin, Leeds, Bristol, Denver, Dallas, Austin, Canada, France,"
        "Germany, Spain, Italy, Japan, Brazil, Kenya, Egypt, Norway, Ireland, New Zealand, Peru"
    ),
    made_up=0.6,
)
TEST_NAMES = Names(
    first=words(
        "Greta, Stefan, Amélie, Hugo, Patricia, Gordon, Miriam, Leon, Beatrice, Samuel, Irene,"
        "Félix, Dorothy, Viktor, Naomi, Tobias, Elena, Marcus, Søren, Valerie, Hiroshi, Leila,"
        "Rafael, Judith, Conrad, Anaïs, Edward, Monika, Pedro, Sandra, Jean-Paul, Bernadette"
    ),
    last=words(
        "Hoffmann, Bernard, Moreau, Lindqvist, Romano, Fernández, O'Connor, O'Sullivan, Robinson,"
        "Thompson, Harris, Campbell, Murphy, Yamamoto, Banerjee, Okafor, Costa, Brandt, Vogel,"
        "Strömberg, Marchetti, D'Amico, van den Berg, Dubois, Kaminski, Horváth, Parker, Mitchell"
    ),
    places=words(
        "Warsaw, Brussels, Helsinki, Budapest, Seville, Glasgow, Marseille, Munich, Seattle,"
        "Montréal, Melbourne, Osaka, Mumbai, Accra, Bogotá, Köln, Porto, Gothenburg, Los Angeles,"
        "San Francisco, New Orleans, Santa Fe, Portugal, Denmark, Mexico, Ghana, Finland, Bologna,"
        "Rotterdam, Salzburg, Manchester, Naples"
    ),
    made_up=0.2,
)

MONTHS = words(
    "January, February, March, April, May, June, July, August, September, October, November,"
    "December"
)

_ONSETS = words(
    "b, br, c, ch, cl, d, dr, f, fl, g, gr, h, j, k, kr, l, m, n, p, ph, pr, qu, r, s, sch, sh,"
    "sl, st, str, t, th, tr, v, w, y, z"
)
_VOWELS = words("a, e, i, o, u, a, e, i, o, ai, au, ea, ee, ei, ia, ie, io, oo, ou, y")
_CODAS = words("n, r, l, s, t, m, nd, ck, rt, st, ng, ll, x, ld, ss, tt, rg, nn, k, d, rs, lt")
_ACCENTED = "áàâäãåéèêëíïóôöõøúüñçšžłřý"
_REAL = [
    name
    for name in TRAIN_NAMES.first + TRAIN_NAMES.last + TRAIN_NAMES.places + MONTHS
    if name.isalpha()
]


def _syllable(rng: random.Random) -> str:
    vowel = rng.choice(_VOWELS) if rng.random() < 0.95 else rng.choice(_ACCENTED)
    onset = rng.choice(_ONSETS) if rng.random() < 0.9 else ""
    return onset + vowel + (rng.choice(_CODAS) if rng.random() < 0.4 else "")


def made_up_word(rng: random.Random) -> str:
    """Join two or three syllables; some are the start or the end of a real name."""
    parts = [_syllable(rng) for _ in range(rng.choice((2, 2, 3)))]
    if rng.random() < 0.3:
        parts[0] = rng.choice(_REAL)[: rng.randint(2, 5)].lower()
    if rng.random() < 0.3:
        parts[-1] = rng.choice(_REAL)[-rng.randint(2, 5) :].lower()
    return "".join(parts)


def made_up_name(rng: random.Random) -> str:
    """A made-up word with a capital letter."""
    return made_up_word(rng).capitalize()


def pick(rng: random.Random, known: tuple[str, ...], made_up: float) -> str:
    """A known name, or with the given chance a made-up one."""
    return made_up_name(rng) if rng.random() < made_up else rng.choice(known)
