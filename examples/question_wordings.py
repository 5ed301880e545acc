"""The facts that generated questions are about, and the words to tell and to ask them."""

from dataclasses import dataclass

Pair = tuple[tuple[str, ...], tuple[str, ...]]  # one part for training, one for the test


@dataclass(frozen=True)
class Relation:
    """One sort of fact: {s} is its subject, {v} its value."""

    subject: str  # sort of the subject
    value: str  # sort of the value
    statements: Pair
    questions: Pair  # for the value


RELATIONS = (
    Relation(
        "person",
        "place",
        (
            (
                "{s} lives in {v}",
                "{s} has lived in {v} for years",
                "{s} now lives near the station in {v}",
                "{s} has a home in {v}",
                "the home of {s} is in {v}",
                "{s}'s home is in {v}",
                "today {s} lives in {v}",
                "{v} is where {s} lives",
                "{v} is the home of {s}",
            ),
            ("{s} still lives in {v}", "for years {s} has lived in {v}", "{v} is {s}'s home"),
        ),
        (
            (
                "where does {s} live?",
                "in which city does {s} live?",
                "what city does {s} live in?",
                "where is {s}'s home?",
                "where is the home of {s}?",
            ),
            ("which city does {s} live in?", "in what city is {s}'s home?"),
        ),
    ),
    Relation(
        "person",
        "place",
        (
            (
                "{s} was born in {v}",
                "{s} comes from {v}",
                "{s} is from {v}",
                "the birthplace of {s} is {v}",
                "{v} is where {s} was born",
                "{s} was born and grew up in {v}",
                "{s} was born close to {v}",
                "{v} was the birthplace of {s}",
                "{s} first came here from {v}",
                "{v} is {s}'s birthplace",
                "{s} grew up in {v}",
            ),
            ("{s} was born near {v}", "{v} is the birthplace of {s}", "{s} came from {v}"),
        ),
        (
            (
                "where was {s} born?",
                "in which city was {s} born?",
                "where does {s} come from?",
                "what city does {s} come from?",
                "where did {s} come from?",
                "what was the birthplace of {s}?",
                "what is the birthplace of {s}?",
                "where did {s} grow up?",
            ),
            ("which city does {s} come from?", "what is {s}'s birthplace?"),
        ),
    ),
    Relation(
        "person",
        "job",
        (
            (
                "{s} works as a {v}",
                "{s} is a {v}",
                "{s} has a job as a {v}",
                "{s} earns a living as a {v}",
                "the job of {s} is {v}",
                "{s} has worked as a {v} for years",
                "by profession {s} is a {v}",
                "{s} still works as a {v}",
                "{s} once had a job as a {v}",
                "{s} has found a new job as a {v}",
                "{v} is the job of {s}",
            ),
            ("{s} now works as a {v}", "{s} has a good job as a {v}", "{s}'s job is {v}"),
        ),
        (
            (
                "what is the job of {s}?",
                "what does {s} do for a living?",
                "what does {s} work as?",
                "what is {s}'s profession?",
                "which job does {s} have?",
                "what job has {s}?",
                "which is {s}'s job?",
            ),
            ("what is {s}'s job?", "what job does {s} have?"),
        ),
    ),
    Relation(
        "person",
        "small",
        (
            (
                "{s} is {v} years old",
                "the age of {s} is {v}",
                "{s} turned {v} last week",
                "{s} is now {v}",
                "at {v}, {s} is the oldest in the street",
            ),
            ("{s} is just {v} years old", "{s}'s age is {v}", "{s} is already {v} years of age"),
        ),
        (
            ("how old is {s}?", "what is the age of {s}?", "what age is {s}?"),
            ("what is {s}'s age?", "how many years old is {s}?"),
        ),
    ),
    Relation(
        "person",
        "name",
        (
            (
                "{s} has a dog called {v}",
                "{s} has a dog named {v}",
                "the dog of {s} is called {v}",
                "{s}'s dog is {v}",
                "{s} has a dog whose name is {v}",
                "{s} walks a dog called {v}",
                "{v} is {s}'s dog",
                "{v} was the dog of {s}",
                "{s} still owns a dog named {v}",
            ),
            ("{s} owns a dog called {v}", "{s}'s dog is called {v}", "{v} is the dog of {s}"),
        ),
        (
            (
                "what is the dog of {s} called?",
                "what is the name of {s}'s dog?",
                "how is the dog of {s} named?",
                "which dog does {s} have?",
                "what does {s} call the dog?",
                "what name does {s}'s dog have?",
            ),
            ("what is {s}'s dog called?", "what is the name of the dog of {s}?"),
        ),
    ),
    Relation(
        "person",
        "language",
        (
            (
                "{s} speaks {v}",
                "{s} speaks {v} at home",
                "the language of {s} is {v}",
                "{s} learns {v}",
                "{s} studied {v} for years",
            ),
            ("{s} also speaks {v}", "{s}'s language is {v}", "at home {s} speaks {v}"),
        ),
        (
            (
                "which language does {s} speak?",
                "what does {s} speak?",
                "what is the language of {s}?",
                "which language does {s} learn?",
            ),
            ("what language does {s} speak?", "what is {s}'s language?"),
        ),
    ),
    Relation(
        "company",
        "year",
        (
            (
                "{s} was founded in {v}",
                "{s} has existed since {v}",
                "in {v} {s} was founded",
                "{s} opened in {v}",
                "the company {s} began in {v}",
            ),
            ("the company {s} was founded in {v}", "{s} began in {v}", "since {v} {s} has existed"),
        ),
        (
            (
                "when was {s} founded?",
                "in which year was {s} founded?",
                "since when does {s} exist?",
                "when did {s} begin?",
                "in what year did {s} open?",
            ),
            ("in what year was {s} founded?", "when was the company {s} founded?"),
        ),
    ),
    Relation(
        "company",
        "place",
        (
            (
                "{s} has its office in {v}",
                "{s} is based in {v}",
                "the office of {s} is in {v}",
                "{s} has its main office in {v}",
                "{v} is where {s} is based",
            ),
            ("{s} is now based in {v}", "{s}'s office is in {v}", "the main office of {s} is {v}"),
        ),
        (
            (
                "where is {s} based?",
                "where is the office of {s}?",
                "in which city is {s} based?",
                "where does {s} have its office?",
            ),
            ("in what city is {s} based?", "where is {s}'s office?"),
        ),
    ),
    Relation(
        "company",
        "person",
        (
            (
                "{v} runs {s}",
                "{v} is the head of {s}",
                "{s} is run by {v}",
                "the head of {s} is {v}",
                "{s} is led by {v}",
                "{v} still runs {s}",
                "{v} is {s}'s head",
                "the person who runs {s} is {v}",
                "{s} has {v} as its head",
            ),
            ("{v} now runs {s}", "{s}'s head is {v}", "{v} is now the head of {s}"),
        ),
        (
            (
                "who runs {s}?",
                "who is the head of {s}?",
                "by whom is {s} run?",
                "who leads {s}?",
                "which person leads {s}?",
                "which person is the head of {s}?",
                "who is now {s}'s boss?",
            ),
            ("which person runs {s}?", "who is {s}'s head?"),
        ),
    ),
    Relation(
        "company",
        "large",
        (
            (
                "{s} has {v} workers",
                "{v} people work for {s}",
                "{s} employs {v} people",
                "there are {v} workers at {s}",
            ),
            ("{s} now has {v} workers", "at {s} there are {v} people"),
        ),
        (
            (
                "how many workers does {s} have?",
                "how many people work for {s}?",
                "how many people does {s} employ?",
            ),
            ("how many workers are there at {s}?", "how many people are there at {s}?"),
        ),
    ),
    Relation(
        "thing",
        "spot",
        (
            (
                "the {s} is in the {v}",
                "the {s} lies in the {v}",
                "you find the {s} in the {v}",
                "somebody put the {s} in the {v}",
                "in the {v} is the {s}",
            ),
            ("the {s} is now in the {v}", "you can find the {s} in the {v}"),
        ),
        (
            (
                "where is the {s}?",
                "where does the {s} lie?",
                "where can you find the {s}?",
                "where did somebody put the {s}?",
            ),
            ("where is the {s} now?", "where do you find the {s}?"),
        ),
    ),
    Relation(
        "thing",
        "price",
        (
            (
                "the {s} costs {v}",
                "the price of the {s} is {v}",
                "the {s} was bought for {v}",
                "you pay {v} for the {s}",
                "for {v} you get the {s}",
            ),
            ("the {s} now costs {v}", "for the {s} you pay {v}", "{v} is the price of the {s}"),
        ),
        (
            (
                "how much does the {s} cost?",
                "what is the price of the {s}?",
                "how much is the {s}?",
                "how much do you pay for the {s}?",
                "what do you pay for the {s}?",
                "what would the {s} cost?",
                "what price has the {s}?",
            ),
            ("what does the {s} cost?", "how much do you have to pay for the {s}?"),
        ),
    ),
    Relation(
        "thing",
        "colour",
        (
            (
                "the {s} is {v}",
                "the colour of the {s} is {v}",
                "the {s} has a {v} colour",
                "somebody painted the {s} {v}",
                "{v} is the {s}",
                "the {s} is painted {v}",
                "the {s} is now {v}",
                "{v} was chosen as the colour for the {s}",
            ),
            ("the {s} was painted {v}", "{v} is the colour of the {s}"),
        ),
        (
            (
                "what colour is the {s}?",
                "what is the colour of the {s}?",
                "which colour has the {s}?",
                "what colour was the {s} painted?",
                "in what colour is the {s}?",
            ),
            ("which colour is the {s}?", "what colour does the {s} have?"),
        ),
    ),
    Relation(
        "thing",
        "person",
        (
            (
                "the {s} belongs to {v}",
                "{v} owns the {s}",
                "{v} is the owner of the {s}",
                "the owner of the {s} is {v}",
                "the {s} is owned by {v}",
                "the {s} still belongs to {v}",
                "{v} once owned the {s}",
                "{v} is now the owner of the {s}",
                "the {s} is {v}'s",
            ),
            ("the {s} now belongs to {v}", "{v} also owns the {s}"),
        ),
        (
            (
                "who owns the {s}?",
                "who is the owner of the {s}?",
                "to whom does the {s} belong?",
                "whose is the {s}?",
                "which person is the owner of the {s}?",
                "who has the {s} now?",
                "who did the {s} belong to last year?",
            ),
            ("which person owns the {s}?", "who does the {s} belong to?"),
        ),
    ),
)
