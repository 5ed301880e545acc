"""Fill-mask: a text with masks -> for each mask the tokens that fit best."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import numpy as np
from tokenizers import Encoding

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.ops.clean_up import clean_up
from onnxtasks.ops.labels import check_top_k
from onnxtasks.ops.scores import Float, softmax
from onnxtasks.ops.text import Int, LongText, TextEncoder, TextSpec, check_long_text, text_size
from onnxtasks.ops.top import best
from onnxtasks.session import Session
from onnxtasks.tasks.base import Task, check_items
from onnxtasks.tasks.text_runs import BUDGET, plan_runs
from onnxtasks.timing import stage


class FillMaskSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a fill-mask bundle."""

    text: TextSpec
    mask_token: str
    """What stands for a mask in a text, such as "[MASK]"."""
    mask_id: int
    vocabulary: int
    """How many tokens the model scores."""
    clean_up: bool = False
    """Remove spaces before English punctuation and contractions from decoded text."""


@dataclass(frozen=True, slots=True)
class Fill:
    """One token for one mask."""

    token: str
    """As text."""
    token_id: int
    score: float
    """Probability among the whole vocabulary, also where only targets are asked for."""
    text: str
    """The whole text with the token in this mask; other masks are still there."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline."""
        return {
            "score": self.score,
            "token": self.token_id,
            "token_str": self.token,
            "sequence": self.text,
        }


class MaskFiller(Task[str, list[list[Fill]]]):
    """Says which tokens fit best in the masks of a text.

    Source: transformers, `FillMaskPipeline`.
    """

    name = "fill-mask"
    unit = "tokens"
    budget = BUDGET
    plans_runs = True

    def __init__(self, session: Session, spec: FillMaskSpec, text: TextEncoder) -> None:
        self.session = session
        self.spec = spec
        self.text = text

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        spec = bundle.spec(FillMaskSpec)
        text = TextEncoder.load(bundle.file("tokenizer.json"), spec.text)
        return cls(sessions["model"], spec, text)

    def predict(
        self,
        items: Sequence[str],
        *,
        top_k: int | None = 5,
        targets: Sequence[str] | str | None = None,
        long_text: LongText = "truncate",
        budget: float = BUDGET,
    ) -> list[list[list[Fill]]]:
        """Fill the masks of texts; each mask by itself, also where a text has several.

        Args:
            items: Texts that hold the mask token once or more.
            top_k: How many tokens of each mask, best first; None for all.
            targets: The only tokens to choose from. Of one that is not in the vocabulary, the first
                part that is, with a warning.
            long_text: "truncate" cuts a text longer than the model, with a `TruncationWarning`;
                "error" refuses it.
            budget: Padded tokens of one run.

        Returns:
            For each text a list for each of its masks, in their order.

        Raises:
            InputError: A text without a mask, or with one behind the cut; a wrong option.
        """
        check_items(items)
        check_top_k(top_k)
        check_long_text(long_text)
        allowed = None if targets is None else self.target_ids(targets)
        with stage("preprocess"):
            encodings = self.preprocess(items, long_text)
        found: dict[int, list[list[Fill]]] = {}
        for index, logits in self.logits(encodings, budget):
            with stage("postprocess"):
                found[index] = self.postprocess(encodings[index], logits, top_k, allowed)
        return [found[index] for index in range(len(items))]

    def target_ids(self, targets: Sequence[str] | str) -> Int:
        """The ids of target tokens, each once: int64 [target].

        Raises:
            InputError: Not texts, or none of them is anything in the vocabulary.
        """
        names = [targets] if isinstance(targets, str) else list(targets)
        if wrong := [name for name in names if not isinstance(name, str)]:
            raise InputError(f"targets are texts, got {type(wrong[0]).__name__}: {wrong[0]!r}")
        ids = {found for name in names if (found := self._target_id(name)) is not None}
        if not ids:
            raise InputError(f"targets {names} name no token of the vocabulary; give at least one")
        if max(ids) >= self.spec.vocabulary:
            raise InputError(
                f"target {self.text.tokenizer.id_to_token(max(ids))!r} has the id {max(ids)}; the "
                f"model scores {self.spec.vocabulary} tokens"
            )
        return np.array(sorted(ids), np.int64)

    def preprocess(self, items: Sequence[str], long_text: LongText = "truncate") -> list[Encoding]:
        """Turn texts into tokens, special ones included; every mask has to be left."""
        return [self._encode(item, long_text) for item in items]

    def logits(
        self, encodings: Sequence[Encoding], budget: float = BUDGET
    ) -> Iterator[tuple[int, Float]]:
        """Run the graph; yield the index of each encoding with [mask, vocabulary], as they come.

        Not in their order and not all at once: the scores of a thousand masks are 100 MB and more.
        """
        for batch, feeds in plan_runs(self.text, encodings, budget):
            positions = np.argwhere(feeds["input_ids"] == self.spec.mask_id).astype(np.int64)
            with stage("run"):
                outputs = self.session.run({**feeds, "mask_positions": positions}, ("logits",))
            for row, index in enumerate(batch):
                yield index, outputs["logits"][positions[:, 0] == row]

    def postprocess(
        self, encoding: Encoding, logits: Float, top_k: int | None, targets: Int | None = None
    ) -> list[list[Fill]]:
        """Turn the logits [mask, vocabulary] of one text into tokens, best first."""
        ids = np.array(encoding.ids)
        masks = np.flatnonzero(ids == self.spec.mask_id).tolist()
        answers = []
        for mask, scores in zip(masks, softmax(logits), strict=True):
            if targets is None:
                chosen = best(scores, top_k)
            else:
                chosen = targets[best(scores[targets], top_k)]
            answers.append(
                [self._fill(ids, mask, int(i), float(scores[i]), len(masks) == 1) for i in chosen]
            )
        return answers

    def measure(self, item: str) -> float:
        """About the number of tokens."""
        return text_size(item)

    def example(self) -> str:
        """A text of a few words, one of them a mask."""
        return f"A few words to {self.spec.mask_token} up."

    def _encode(self, text: str, long_text: LongText) -> Encoding:
        if not isinstance(text, str):
            raise InputError(f"a text to fill is a str, got {type(text).__name__}")
        mask, limit = self.spec.mask_token, self.spec.text.max_length
        encoding = self.text.encode(text, long_text)
        left = masks = encoding.ids.count(self.spec.mask_id)
        if len(encoding.ids) == limit:  # it may have been cut
            masks = self.text.whole(text).ids.count(self.spec.mask_id)
        if masks == 0:
            raise InputError(
                f"the text {text[:30]!r} has no mask; write {mask} where a token is to be filled in"
            )
        if left < masks:
            raise InputError(
                f"the text {text[:30]!r}... loses {masks - left} of its {masks} masks ({mask}) "
                f"where it is cut to {limit} tokens; shorten it"
            )
        return encoding

    def _target_id(self, target: str) -> int | None:
        """The id of a target, or of the first part that the tokenizer makes of it."""
        found: int | None = self.text.tokenizer.token_to_id(target)
        if found is not None:
            return found
        parts = self.text.whole(target, special=False)
        if not parts.ids:
            warnings.warn(f"target {target!r} is no token; it is left out", stacklevel=4)
            return None
        # The reference cuts to one token, on the side where the tokenizer cuts.
        kept = -1 if self.spec.text.truncation_side == "left" else 0
        warnings.warn(
            f"target {target!r} is not in the vocabulary; {parts.tokens[kept]!r} is taken instead",
            stacklevel=4,
        )
        return int(parts.ids[kept])

    def _fill(self, ids: Int, mask: int, token: int, score: float, single: bool) -> Fill:
        filled = ids.copy()
        filled[mask] = token
        filled = filled[filled != self.spec.text.pad_id]
        # With several masks the special tokens stay in the text: the other masks are among them.
        text = self._decode(filled.tolist(), skip=single)
        return Fill(self._decode([token], skip=False), token, score, text)

    def _decode(self, ids: list[int], *, skip: bool) -> str:
        text: str = self.text.tokenizer.decode(ids, skip_special_tokens=skip)
        return clean_up(text) if self.spec.clean_up else text
