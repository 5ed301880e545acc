"""Prompt-lookup decoding: several tokens a step where the text repeats what was read before.

What followed the latest earlier occurrence of the last few tokens is proposed, all of it is read in
one run, and the longest beginning that greedy search would have chosen is taken. The tokens are
those of greedy search. After transformers' `PromptLookupCandidateGenerator` (which takes the first
occurrence) and its schedule of how many tokens are proposed.
"""

from collections.abc import Iterator

import numpy as np

from onnxtasks.generation.history import History
from onnxtasks.generation.reader import Float, Int
from onnxtasks.generation.result import Event
from onnxtasks.generation.search import (
    Greedy,
    Request,
    Sentence,
    advance,
    apply_rules,
    close_rows,
)

BORDER = -1
"""Stands between the looked-up text and the prompt; no token, so nothing is found across it."""
PRICE = 0.15
"""What reading a proposed token costs, in steps; measured on CPUs it is 0.05 to 0.2."""
CREDIT = 4.0
"""Steps that proposals may waste before they pause."""
REST = 0.05
"""What a step without a proposal gives back: about one try in twenty steps."""


class Proposer:
    """Proposes how a text goes on, and learns how much to propose."""

    def __init__(self, before: Int | None, prompt: Int, most: int, longest: int) -> None:
        """Start with the prompt.

        Args:
            before: Another text to look in [token], or None.
            prompt: Token ids.
            most: Most tokens to propose.
            longest: Longest end of the text to look for.
        """
        texts = [prompt] if before is None else [before, np.array([BORDER]), prompt]
        self.start = 0 if before is None else len(before) + 1
        self.size = sum(map(len, texts))
        self.tokens = np.concatenate([*texts, np.zeros(256, np.int64)])
        self.most = most
        self.longest = longest
        self.count = most
        self.credit = CREDIT

    def append(self, token: int) -> None:
        """Add a token that was taken."""
        if self.size == len(self.tokens):
            self.tokens = np.concatenate([self.tokens, np.zeros_like(self.tokens)])
        self.tokens[self.size] = token
        self.size += 1

    def propose(self, room: int) -> Int:
        """What may come next [token]: at most `room` tokens, maybe none."""
        count = min(self.count, room)
        if count < 1 or self.credit < PRICE * count:
            self.credit += REST
            return self.tokens[:0]
        end = latest_match(self.tokens[: self.size], self.start, self.longest)
        found = self.tokens[end : min(end + count, self.size)] if end else self.tokens[:0]
        border = np.flatnonzero(found == BORDER)
        return found[: border[0]] if len(border) else found

    def learn(self, proposed: int, taken: int) -> None:
        """Adapt to how many of the proposed tokens were taken."""
        if proposed:
            self.credit = min(CREDIT, self.credit + taken - PRICE * proposed)
            self.count = min(self.most, self.count + 2) if taken == proposed else self.count - 1
            self.count = max(self.count, 1)


def latest_match(tokens: Int, start: int, longest: int) -> int:
    """Where the latest earlier occurrence of the end of a text ends; 0 where there is none.

    Args:
        tokens: What is looked in, with the text at its end [token].
        start: Where the text begins; what is looked for lies in it.
        longest: Longest end to look for; shorter ones are taken where it is not found.
    """
    places = np.flatnonzero(tokens[:-1] == tokens[-1])
    if not len(places):
        return 0
    for size in range(2, min(longest, len(tokens) - start) + 1):
        longer = places[places >= size - 1]
        longer = longer[tokens[longer - size + 1] == tokens[-size]]
        if not len(longer):
            break
        places = longer
    return int(places[-1]) + 1


def search_with_lookup(request: Request, before: Int | None) -> Iterator[Event]:
    """Greedy search of one sentence, reading proposed tokens ahead.

    Args:
        request: One prompt, no sampling.
        before: Another text to look in [token], or None.
    """
    reader, settings = request.reader, request.settings
    sentence = Sentence(0, int(request.limits[0]), 1)
    history = request.history(1)
    choose = Greedy(request.logprobs)
    proposer = Proposer(
        before,
        request.prompts[0],
        settings.prompt_lookup_num_tokens or 0,
        settings.max_matching_ngram_size,
    )
    scores = reader.prompt(request.prompts).all_logits()[0]
    proposal = proposer.tokens[:0]
    while True:
        taken = 0
        for token, logprob in chosen(choose, request, history, scores):
            if history is not None:
                history.append(token)
            proposer.append(int(token[0]))
            yield from advance([sentence], token, logprob)
            if close_rows([sentence], history, request.stopping, frozenset(settings.eos_token_id)):
                yield sentence.finished(request.logprobs)
                return
            if taken == len(proposal) or token[0] != proposal[taken]:
                break
            taken += 1
        if taken < len(proposal):
            reader.forget(len(proposal) - taken)
        proposer.learn(len(proposal), taken)
        proposal = proposer.propose(sentence.limit - len(sentence.tokens[0]) - 1).copy()
        last = np.array(sentence.tokens[0][-1:], np.int64)
        scores = reader.chain(np.concatenate([last, proposal])).all_logits()[0]


def chosen(
    choose: Greedy, request: Request, history: History | None, scores: Float
) -> Iterator[tuple[Int, Float | None]]:
    """The word after each row of scores [row, word], one after the other.

    The rules see the history as it is when the next word is asked for.
    """
    active = np.ones(1, np.bool_)
    for row in range(len(scores)):
        ruled = apply_rules(request.rules, history, scores[row : row + 1])
        yield choose(ruled, active)
