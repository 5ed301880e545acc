"""What beams have written: which token each took at each step, and from which beam it came.

Nothing is copied when beams change places; a text is read back through its parents at the end.
"""

import numpy as np

from onnxtasks.generation.reader import Float, Int

START = 32  # steps; later the room doubles


class Trellis:
    """Tokens, parents and log-probabilities [step, sentence, beam] of the running beams."""

    def __init__(self, sentences: int, beams: int) -> None:
        self.steps = 0
        self.tokens = np.empty((START, sentences, beams), np.int64)
        self.parents = np.empty((START, sentences, beams), np.int64)
        self.logprobs = np.empty((START, sentences, beams), np.float32)

    def append(self, tokens: Int, parents: Int, logprobs: Float) -> None:
        """Add a step, each [sentence, beam]."""
        if self.steps == len(self.tokens):
            self.tokens = np.concatenate([self.tokens, np.empty_like(self.tokens)])
            self.parents = np.concatenate([self.parents, np.empty_like(self.parents)])
            self.logprobs = np.concatenate([self.logprobs, np.empty_like(self.logprobs)])
        self.tokens[self.steps] = tokens
        self.parents[self.steps] = parents
        self.logprobs[self.steps] = logprobs
        self.steps += 1

    def keep(self, sentences: Int) -> None:
        """Only these sentences are present from here on."""
        self.tokens = self.tokens[:, sentences]
        self.parents = self.parents[:, sentences]
        self.logprobs = self.logprobs[:, sentences]

    def path(self, sentence: int, steps: int, beam: int) -> tuple[list[int], list[float]]:
        """Tokens and log-probabilities of the first `steps` steps of a beam's text."""
        tokens: list[int] = []
        logprobs: list[float] = []
        for step in range(steps - 1, -1, -1):
            tokens.append(int(self.tokens[step, sentence, beam]))
            logprobs.append(float(self.logprobs[step, sentence, beam]))
            beam = int(self.parents[step, sentence, beam])
        return tokens[::-1], logprobs[::-1]


class Ends:
    """The best finished beams of each sentence, best first, by their last step."""

    def __init__(self, sentences: int, beams: int, worst: float) -> None:
        self.scores = np.full((sentences, beams), worst, np.float32)
        """With the length penalty; `worst` where there is none yet."""
        self.present = np.zeros((sentences, beams), np.bool_)
        self.logprobs = np.zeros((sentences, beams), np.float32)
        """Of the last token."""
        self.facts = np.zeros((sentences, beams, 4), np.int64)
        """Length, the beam of the step before, the last token, why it ends."""

    def merge(self, scores: Float, logprobs: Float, facts: Int) -> None:
        """Keep the best of the finished beams and of new ones.

        Args:
            scores: [sentence, new].
            logprobs: Of the last token [sentence, new].
            facts: [sentence, new, 4]; why it ends is 0 where there is no new one.
        """
        beams = self.scores.shape[1]
        scores = np.concatenate([self.scores, scores], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :beams]
        rows = np.arange(len(scores))[:, None]
        self.scores = scores[rows, order]
        self.present = np.concatenate([self.present, facts[:, :, 3] > 0], axis=1)[rows, order]
        self.logprobs = np.concatenate([self.logprobs, logprobs], axis=1)[rows, order]
        self.facts = np.concatenate([self.facts, facts], axis=1)[rows, order]

    def keep(self, sentences: Int) -> None:
        """Only these sentences are present from here on."""
        self.scores, self.present = self.scores[sentences], self.present[sentences]
        self.logprobs, self.facts = self.logprobs[sentences], self.facts[sentences]
