"""The nouns and frames that translated texts are made of, in English and in French."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """A value in both languages."""

    english: str
    french: str
    feminine: bool = False


@dataclass(frozen=True)
class Noun:
    """What can be counted or paid."""

    english: str
    english_plural: str
    french: str
    french_plural: str
    feminine: bool


def _rows(text: str) -> list[list[str]]:
    return [[part.strip() for part in row.split(",")] for row in text.splitlines()]


def _nouns(text: str) -> tuple[Noun, ...]:
    """A noun a line: English, its plural, French, its plural, m or f."""
    return tuple(
        Noun(one, many, un, des, gender == "f") for one, many, un, des, gender in _rows(text)
    )


def _slots(text: str) -> tuple[Slot, ...]:
    """A phrase a line: English without "the", French with its article, m or f."""
    return tuple(Slot(english, french, gender == "f") for english, french, gender in _rows(text))


MONEY = _nouns(
    """euro, euros, euro, euros, m
    dollar, dollars, dollar, dollars, m
    pound, pounds, livre, livres, f"""
)
COUNTED = _nouns(
    """page, pages, page, pages, f
    student, students, étudiant, étudiants, m
    ticket, tickets, billet, billets, m
    chair, chairs, chaise, chaises, f
    letter, letters, lettre, lettres, f
    house, houses, maison, maisons, f
    tree, trees, arbre, arbres, m
    car, cars, voiture, voitures, f
    photo, photos, photo, photos, f
    apple, apples, pomme, pommes, f
    key, keys, clé, clés, f
    glass, glasses, verre, verres, m
    box, boxes, boîte, boîtes, f
    stamp, stamps, timbre, timbres, m"""
)
DURATIONS = _nouns(
    """minute, minutes, minute, minutes, f
    hour, hours, heure, heures, f
    day, days, jour, jours, m
    week, weeks, semaine, semaines, f"""
)
AGES = _nouns("year, years, an, ans, m")
DISTANCES = _nouns(
    """kilometre, kilometres, kilomètre, kilomètres, m
    metre, metres, mètre, mètres, m"""
)
EVENTS = _slots(
    """meeting, la réunion, f
    concert, le concert, m
    exam, l'examen, m
    party, la fête, f
    lesson, la leçon, f
    film, le film, m
    show, le spectacle, m
    trip, le voyage, m
    race, la course, f
    visit, la visite, f
    wedding, le mariage, m
    exhibition, l'exposition, f"""
)
THINGS = _slots(
    """book, le livre, m
    bicycle, le vélo, m
    table, la table, f
    lamp, la lampe, f
    watch, la montre, f
    room, la chambre, f
    meal, le repas, m
    coat, le manteau, m"""
)
PLACES = _slots(
    """shop, le magasin, m
    museum, le musée, m
    library, la bibliothèque, f
    station, la gare, f
    school, l'école, f
    bank, la banque, f
    restaurant, le restaurant, m
    swimming pool, la piscine, f"""
)
PEOPLE = _slots(
    """Marie, Marie, f
    Paul, Paul, m
    Anna, Anna, f
    Luc, Luc, m
    Sophie, Sophie, f
    Pierre, Pierre, m
    Julie, Julie, f
    Thomas, Thomas, m
    Claire, Claire, f
    Hugo, Hugo, m
    My sister, ma sœur, f
    My brother, mon frère, m"""
)

# Of an item that is no sentence.
VALUES = (
    ("{number}", "{number}"),
    ("{date}", "le {date}"),
    ("{time}", "{time}"),
    ("{price}", "{price}"),
    ("{count}", "{count}"),
)
# "{e}" is the ending of a feminine participle or adjective. A French frame may start with a phrase
# in small letters: the first letter is made a capital.
SENTENCES = (
    ("The {event} is on {date}.", "{event} est le {date}."),
    ("The {event} begins at {time}.", "{event} commence à {time}."),
    ("The {event} ends at {time}.", "{event} se termine à {time}."),
    ("The {event} lasts {duration}.", "{event} dure {duration}."),
    ("The {event} took place on {date}.", "{event} a eu lieu le {date}."),
    ("The {event} will take place on {date} at {time}.", "{event} aura lieu le {date} à {time}."),
    ("The {event} takes place from {date} to {date2}.", "{event} a lieu du {date} au {date2}."),
    ("Does the {event} begin at {time}?", "Est-ce que {event} commence à {time} ?"),
    ("Is the {event} on {date}?", "Est-ce que {event} est le {date} ?"),
    ("We are waiting for the {event} of {date}.", "Nous attendons {event} du {date}."),
    ("The {thing} costs {price}.", "{thing} coûte {price}."),
    ("I bought the {thing} for {price}.", "J'ai acheté {thing} pour {price}."),
    ("The {place} opens at {time}.", "{place} ouvre à {time}."),
    ("The {place} closes at {time}.", "{place} ferme à {time}."),
    ("The {place} is closed until {date}.", "{place} est fermé{e} jusqu'au {date}."),
    ("The {place} is open until {time}.", "{place} est ouvert{e} jusqu'à {time}."),
    ("The {place} is {distance} from here.", "{place} est à {distance} d'ici."),
    ("{person} was born on {date}.", "{person} est né{e} le {date}."),
    ("{person} is {age} old.", "{person} a {age}."),
    ("{person} arrives at {time}.", "{person} arrive à {time}."),
    ("{person} will come on {date}.", "{person} viendra le {date}."),
    ("{person} leaves on {date} at {time}.", "{person} part le {date} à {time}."),
    ("{person} stays until {date}.", "{person} reste jusqu'au {date}."),
    ("{person} has lived here since {date}.", "{person} habite ici depuis le {date}."),
    ("{person} gets up at {time}.", "{person} se lève à {time}."),
    ("{person} has {count}.", "{person} a {count}."),
    ("{person} sold {count} for {price}.", "{person} a vendu {count} pour {price}."),
    ("{person} paid {price}.", "{person} a payé {price}."),
    ("It is {time}.", "Il est {time}."),
    ("Today is {date}.", "Aujourd'hui, nous sommes le {date}."),
    ("There are {count}.", "Il y a {count}."),
    ("I need {count} before {date}.", "Il me faut {count} avant le {date}."),
    ("Please pay {price} before {date}.", "Veuillez payer {price} avant le {date}."),
    ("See you on {date} at {time}.", "Rendez-vous le {date} à {time}."),
    ("The answer is {number}.", "La réponse est {number}."),
    (
        "The train leaves at {time} and arrives at {time2}.",
        "Le train part à {time} et arrive à {time2}.",
    ),
    ("We walked {distance} on {date}.", "Nous avons marché {distance} le {date}."),
)
