"""A `Reader` whose scores are a table: what follows depends on the last token only."""

import numpy as np

from onnxtasks.generation.reader import Scores


class TableReader:
    """Scores of the next word are a row of `table` [word, word], by the last token.

    Keeps the whole text of each row, so that a test can see that parents were followed, and a
    `log` of what was called.
    """

    def __init__(self, table, room=None):
        self.table = np.array(table, np.float32)
        self.words = len(self.table)
        self.room = room
        self.texts = []
        self.log = []
        self.open = True

    @property
    def sentences(self):
        return len(self.texts)

    def prompt(self, prompts, *, top=0, normalized=False):
        self.log.append(("prompt", [list(map(int, prompt)) for prompt in prompts]))
        self.texts = [[list(map(int, prompt))] for prompt in prompts]
        return self.scores(top, normalized)

    def step(self, tokens, parents, *, top=0, normalized=False):
        assert tokens.shape == parents.shape
        assert len(tokens) == len(self.texts)
        assert tokens.dtype == parents.dtype == np.int64
        self.log.append(("step", tokens.tolist()))
        self.texts = [
            [[*rows[p], t] for t, p in zip(ts, ps, strict=True)]
            for rows, ts, ps in zip(self.texts, tokens.tolist(), parents.tolist(), strict=True)
        ]
        return self.scores(top, normalized)

    def chain(self, tokens):
        ((text,),) = self.texts
        self.log.append(("chain", tokens.tolist()))
        self.texts = [[text + tokens.tolist()]]
        return Scores(logits=self.table[tokens][None])

    def forget(self, tokens):
        assert tokens > 0
        self.log.append(("forget", tokens))
        self.texts = [[self.texts[0][0][:-tokens]]]

    def keep(self, sentences):
        assert list(sentences) == sorted(set(sentences))
        self.log.append(("keep", list(sentences)))
        self.texts = [self.texts[i] for i in sentences]

    def close(self):
        self.open = False

    def scores(self, top, normalized):
        last = np.array([[text[-1] for text in rows] for rows in self.texts])
        logits = self.table[last]
        chances = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        if not top:
            return Scores(logits=chances if normalized else logits)
        ids = np.argsort(-chances, axis=-1, kind="stable")[..., :top]
        return Scores(top_scores=np.take_along_axis(chances, ids, axis=-1), top_ids=ids)

    def calls(self, name):
        """The arguments of all calls of one method."""
        return [argument for called, argument in self.log if called == name]


def logits(chances):
    """The logarithms of chances, with -inf for 0."""
    with np.errstate(divide="ignore"):
        return np.log(np.array(chances, np.float32))


def prompts(*texts):
    return [np.array(text, np.int64) for text in texts]
