"""Beam search and beam sampling, a batch of sentences at once.

Token for token what `generate` of transformers 5.23 gives (its `_beam_search`), one prompt at a
time: each step extends the running beams, takes `(1 + end tokens) * beams` continuations (at least
twice the beams), moves those that end to the finished ones if they are among the best `num_beams`,
and goes on with the best of the rest. A sentence leaves when its finished beams cannot be bettered.

A log-probability is that of log-softmax, then rules, then warping, not normalised again: the
reference's `compute_transition_scores` with `beam_indices`. The sum of a sequence's, divided by
`length ** length_penalty`, is its `sequences_scores`.
"""

import copy
from collections.abc import Iterator, Sequence

import numpy as np

from onnxtasks.generation.reader import Int, Scores
from onnxtasks.generation.result import Ending, Finished
from onnxtasks.generation.search import Bool, Request, apply_rules, check_choosable
from onnxtasks.generation.selection import Continuations, best_of_all, best_of_top, drawn
from onnxtasks.generation.trellis import Ends, Trellis

OUT = np.float32(-1e9)
"""The reference's score of what must not be chosen; sums with it are compared, so it is finite."""


class Beams:
    """The running and finished beams of all sentences that are present."""

    def __init__(self, request: Request) -> None:
        settings = request.settings
        self.request = request
        self.beams = settings.num_beams
        self.kept = max(2, 1 + len(settings.eos_token_id)) * self.beams
        words = request.reader.words
        self.ends = np.zeros(words, np.bool_)
        self.ends[[token for token in settings.eos_token_id if token < words]] = True
        sentences = len(request.prompts)
        self.indices = np.arange(sentences)
        self.limits = request.limits
        self.history = request.history(self.beams)
        self.generators = [request.generator(0) for _ in range(sentences)]
        # Only the first beam counts at first, or all beams would find the same words.
        self.running = np.full((sentences, self.beams), OUT, np.float32)
        self.running[:, 0] = 0
        self.trellis = Trellis(sentences, self.beams)
        self.finished = Ends(sentences, self.beams, worst=float(OUT))
        self.reasons = ["", "stop", "length"]

    @property
    def top(self) -> int:
        """How many best words a row the reader is asked for; 0 where all scores are needed."""
        request = self.request
        if request.rules or request.settings.do_sample:
            return 0
        return min(self.kept, request.reader.words)

    def continuations(self, scores: Scores) -> Continuations:
        """The best (or drawn) continuations of each sentence's beams."""
        if self.top:
            top_scores, top_ids = scores.best()
            return best_of_top(top_scores, top_ids, self.running, self.kept)
        log_probs = scores.all_logits()  # normalized
        if log_probs.shape[1] < self.beams:  # the prompt's one row
            log_probs = np.repeat(log_probs, self.beams, axis=1)
        flat = log_probs.reshape(-1, log_probs.shape[-1])
        flat = apply_rules(self.request.rules, self.history, flat)
        if not self.request.settings.do_sample:
            return best_of_all(flat, self.running, self.kept)
        if self.request.warp is None:
            raise TypeError("sampling needs `warp`, which gives the candidates")
        candidates = self.request.warp(flat)
        return drawn(candidates.ids, candidates.scores, self.running, self.kept, self.generators)

    def why(self, found: Continuations) -> Int:
        """Why each continuation ends: index of `reasons` [sentence, kept]; 0 where it goes on."""
        length = self.trellis.steps + 1
        why = np.zeros(found.tokens.shape, np.int64)
        why[self.limits <= length] = 2
        if self.request.stopping is not None and self.history is not None:
            self.ask(why, found)
        why[self.ends[found.tokens]] = 1
        return why

    def ask(self, why: Int, found: Continuations) -> None:
        """Ask the stopping rule about all continuations, as if each were a text of its own."""
        if self.request.stopping is None or self.history is None:
            return
        flat = (found.parents + np.arange(len(why))[:, None] * self.beams).ravel()
        texts = copy.copy(self.history)
        texts.reorder(flat)
        texts.append(found.tokens.ravel())
        for place, reason in enumerate(self.request.stopping(texts)):
            if reason is not None:
                if reason not in self.reasons:
                    self.reasons.append(reason)
                why.flat[place] = self.reasons.index(reason)

    def advance(self, scores: Scores) -> tuple[Int, Int, Bool]:
        """One step of all sentences.

        Returns:
            Tokens and parents of the running beams [sentence, beam], and which sentences are done.
        """
        found = self.continuations(scores)
        check_choosable(found.scores[:, 0], np.ones(len(found.scores), np.bool_))
        why = self.why(found)
        ended = why > 0
        rows = np.arange(len(why))[:, None]
        if ended.any():
            open_scores = np.where(ended, found.scores + OUT, found.scores)
            order = np.argsort(-open_scores, axis=1, kind="stable")[:, : self.beams]
            self.running = open_scores[rows, order]
            best = ended[:, : self.beams]
            if best.any():
                self.finish(found, why)
        else:
            order = np.broadcast_to(np.arange(self.beams), (len(why), self.beams))
            self.running = found.scores[:, : self.beams].copy()
        tokens, parents = found.tokens[rows, order], found.parents[rows, order]
        if not self.trellis.steps:
            parents = np.zeros_like(parents)  # all beams are the prompt's one row
        self.trellis.append(tokens, parents, found.logprobs[rows, order])
        if self.history is not None:
            self.history.reorder((parents + rows * self.beams).ravel())
            self.history.append(tokens.ravel())
        return tokens, parents, self.done() | ended.all(axis=1)

    def finish(self, found: Continuations, why: Int) -> None:
        """Let the best continuations that end compete with the finished beams."""
        length = self.trellis.steps + 1
        best = slice(0, self.beams)  # the rest is only there to go on with
        penalty = np.float32(float(length) ** self.request.settings.length_penalty)
        scores = found.scores[:, best] / penalty
        scores[why[:, best] == 0] += OUT
        facts = (np.full_like(found.parents, length), found.parents, found.tokens, why)
        self.finished.merge(scores, found.logprobs[:, best], np.stack(facts, axis=2)[:, best])

    def done(self) -> Bool:
        """Which sentences have finished beams that no running one is expected to better."""
        settings = self.request.settings
        full: Bool = self.finished.present.sum(axis=1) == self.beams
        if settings.early_stopping == "never" and settings.length_penalty > 0:
            lengths = self.limits.astype(np.float64)
        else:
            lengths = np.full(len(full), self.trellis.steps, np.float64)
        penalties = (lengths**settings.length_penalty).astype(np.float32)
        worst = np.where(full, self.finished.scores.min(axis=1), OUT)
        beaten: Bool = self.running[:, 0] / penalties <= worst
        return beaten | full if settings.early_stopping is True else beaten

    def ending(self, sentence: int) -> Finished:
        """What a sentence returns."""
        places = range(self.request.settings.num_return_sequences)
        endings = [self.text(sentence, place) for place in places if self.real(sentence, place)]
        return Finished(int(self.indices[sentence]), tuple(endings))

    def real(self, sentence: int, place: int) -> bool:
        """Whether a finished beam is a text.

        Where fewer texts are possible than there are beams, the reference fills up with copies that
        go on from the prompt's other rows, and with nothing.
        """
        if not self.finished.present[sentence, place]:
            return False
        length = float(self.finished.facts[sentence, place, 0])
        total = self.finished.scores[sentence, place] * length**self.request.settings.length_penalty
        return bool(total > OUT / 2)

    def text(self, sentence: int, place: int) -> Ending:
        """A finished beam, read back from its end."""
        length, parent, token, why = self.finished.facts[sentence, place].tolist()
        tokens, logprobs = self.trellis.path(sentence, length - 1, parent)
        logprobs.append(float(self.finished.logprobs[sentence, place]))
        return Ending(
            (*tokens, token),
            self.reasons[why],
            tuple(logprobs) if self.request.logprobs else None,
        )

    def keep(self, kept: Sequence[int]) -> None:
        """Only these sentences are present from here on."""
        rows = np.array(kept)
        self.indices, self.limits = self.indices[rows], self.limits[rows]
        self.running = self.running[rows]
        self.generators = [self.generators[i] for i in kept]
        self.trellis.keep(rows)
        self.finished.keep(rows)
        if self.history is not None:
            flat = rows[:, None] * self.beams + np.arange(self.beams)
            self.history.keep(flat.ravel().tolist())


def search_beams(request: Request) -> Iterator[Finished]:
    """Beam search or beam sampling: each sentence when it is done."""
    reader = request.reader
    state = Beams(request)
    scores = reader.prompt(request.prompts, top=state.top, normalized=True)
    while True:
        tokens, parents, done = state.advance(scores)
        if done.any():
            yield from (state.ending(sentence) for sentence in np.flatnonzero(done).tolist())
            kept = np.flatnonzero(~done).tolist()
            if not kept:
                return
            reader.keep(kept)
            state.keep(kept)
            tokens, parents = tokens[kept], parents[kept]
        scores = reader.step(tokens, parents, top=state.top, normalized=True)
