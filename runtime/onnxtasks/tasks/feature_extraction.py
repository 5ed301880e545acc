"""Feature extraction: a text -> a vector (sentence embedding), or one for each token."""

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import msgspec
import numpy as np
from tokenizers import Encoding

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.ops.pooling import (
    Pooling,
    Similarity,
    Vectors,
    check_pooling,
    normalise,
    pool,
    similarity,
)
from onnxtasks.ops.scores import Float
from onnxtasks.ops.text import (
    LongText,
    TextEncoder,
    TextSpec,
    check_long_text,
    checked_text,
    text_size,
)
from onnxtasks.session import Session
from onnxtasks.tasks.base import Task, check_items
from onnxtasks.tasks.text_runs import BUDGET, plan_runs
from onnxtasks.timing import stage


class FeatureExtractionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a feature-extraction bundle."""

    text: TextSpec
    dim: int
    """Numbers of a vector that the graph gives, before it is cut."""
    hidden_size: int
    """Numbers of a token's hidden state."""
    pooling: tuple[
        Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"], ...
    ]
    """How the graph pools; several results stand side by side. Names of sentence-transformers."""
    normalize: bool
    """Whether the graph ends in vectors of length 1."""
    prompts: dict[str, str]
    """Name -> what is put in front of the text."""
    default_prompt: str | None = None
    """Name of the prompt of texts for which none is chosen."""
    include_prompt: bool = True
    """Whether the prompt's tokens are pooled too; else the graph takes a `pooling_mask`."""
    truncate_dim: int | None = None
    """How many of the first numbers a vector keeps."""
    similarity: Similarity = "cosine"
    """What the checkpoint's vectors are compared with."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if not self.pooling:
            raise ValueError("no pooling")
        if self.default_prompt is not None and self.default_prompt not in self.prompts:
            raise ValueError(f"no prompt {self.default_prompt!r} among {list(self.prompts)}")
        if self.truncate_dim is not None and self.truncate_dim < 1:
            raise ValueError(f"truncate_dim is {self.truncate_dim}; it is at least 1")
        if self.text.padding_side != "right":
            raise ValueError("texts are padded on the left; the graph pools what begins at 0")


class Embedder(Task[str, Float]):
    """Turns texts into vectors that are close where the texts mean the same."""

    name = "feature-extraction"
    unit = "tokens"
    budget = BUDGET
    plans_runs = True

    def __init__(self, session: Session, spec: FeatureExtractionSpec, text: TextEncoder) -> None:
        self.session = session
        self.spec = spec
        self.text = text

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        spec = bundle.spec(FeatureExtractionSpec)
        text = TextEncoder.load(bundle.file("tokenizer.json"), spec.text)
        return cls(sessions["model"], spec, text)

    def predict(
        self,
        items: Sequence[str],
        *,
        pooling: Pooling | None = None,
        normalize: bool | None = None,
        dimensions: int | None = None,
        prompt: str | None = None,
        prompt_text: str | None = None,
        long_text: LongText = "truncate",
        budget: float = BUDGET,
    ) -> list[Float]:
        """Embed texts; without options, as `SentenceTransformer.encode` of the checkpoint.

        Args:
            items: The texts.
            pooling: None for the checkpoint's own way, its Dense layers included. "mean", "cls",
                "max" and "last" make one vector of the hidden states alone; "none" gives them.
            normalize: Length 1 after cutting; None as the checkpoint does, False never.
            dimensions: Keep the first so many numbers (Matryoshka); None as the checkpoint does.
            prompt: Name of one of the bundle's prompts, such as "query" or "document"; None takes
                the checkpoint's default, if it has one.
            prompt_text: A prompt of your own; "" for none.
            long_text: "truncate" cuts a text longer than the model, with a `TruncationWarning`;
                "error" refuses it.
            budget: Padded tokens of one run.

        Returns:
            float32 [dim] of each text, or [token, hidden] with pooling "none".

        Raises:
            InputError: An empty or wrong text, a wrong option.
        """
        check_items(items)
        check_pooling(pooling)
        check_long_text(long_text)
        self._check_vector(pooling, normalize, dimensions)
        chosen = self._prompt(prompt, prompt_text)
        if not items:
            return []
        with stage("preprocess"):
            encodings = self.preprocess(items, chosen, long_text)
            skip = 0 if self.spec.include_prompt else self._prompt_tokens(chosen)
        output = "embeddings" if pooling is None else "last_hidden_state"
        rows = self.run(encodings, output, skip, budget)
        with stage("postprocess"):
            made = [row if pooling is None else _pooled(row, pooling, skip) for row in rows]
            return [self.postprocess(row, pooling, normalize, dimensions) for row in made]

    def preprocess(
        self, items: Sequence[str], prompt: str = "", long_text: LongText = "truncate"
    ) -> list[Encoding]:
        """Turn texts into tokens, with the prompt in front and special tokens around both."""
        for item in items:
            if not isinstance(item, str):
                raise InputError(f"a text to embed is a str, got {type(item).__name__}")
            checked_text(item)  # with a prompt in front, an empty text would pass
        return [self.text.encode(prompt + item, long_text) for item in items]

    def run(
        self, encodings: Sequence[Encoding], output: str, skip: int = 0, budget: float = BUDGET
    ) -> list[Float]:
        """Run the graph; only the wanted output is copied out of the engine.

        Args:
            encodings: The texts.
            output: "embeddings" or "last_hidden_state".
            skip: How many of the first tokens are not pooled.
            budget: Padded tokens of one run.

        Returns:
            [dim], or [token, hidden] without padding, of each text.
        """
        lengths = [len(encoding.ids) for encoding in encodings]
        if skip and skip >= min(lengths):
            raise InputError(
                f"the prompt takes all {min(lengths)} tokens of a text, and this model does not "
                "pool its prompt; shorten the prompt"
            )

        found: dict[int, Float] = {}
        for batch, feeds in plan_runs(self.text, encodings, budget):
            if not self.spec.include_prompt:
                mask = feeds["attention_mask"].copy()
                mask[:, :skip] = 0
                feeds["pooling_mask"] = mask
            with stage("run"):
                values = self.session.run(feeds, [output])[output]
            for row, index in zip(values, batch, strict=True):
                found[index] = _own(row, output, lengths[index])
        return [found[index] for index in range(len(encodings))]

    def postprocess(
        self,
        vector: Float,
        pooling: Pooling | None,
        normalize: bool | None,
        dimensions: int | None,
    ) -> Float:
        """Normalise and cut what was pooled, as sentence-transformers does and in its order.

        Its Normalize module, the checkpoint's own way, comes before cutting;
        `normalize_embeddings` comes after it.
        """
        if pooling not in (None, "none") and normalize is None and self.spec.normalize:
            vector = normalise(vector)
        if pooling != "none" and dimensions is None:
            dimensions = self.spec.truncate_dim
        vector = vector[..., :dimensions]
        return normalise(vector) if normalize else np.ascontiguousarray(vector)

    def similarity(self, a: Vectors, b: Vectors) -> Float:
        """Compare vectors by the checkpoint's own function; see `onnxtasks.similarity`.

        Args:
            a: Vectors [n, dim], a list of them, or a single one [dim].
            b: Vectors [m, dim], likewise.

        Returns:
            [n, m], more is closer.
        """
        return similarity(a, b, self.spec.similarity)

    def measure(self, item: str) -> float:
        """About the number of tokens, without a prompt."""
        return text_size(item)

    def example(self) -> str:
        """A text of a few words."""
        return "A few words to warm up."

    def _prompt(self, name: str | None, text: str | None) -> str:
        if name is not None and text is not None:
            raise InputError("prompt and prompt_text exclude each other; give one of them")
        if text is not None:
            if not isinstance(text, str):
                raise InputError(f"prompt_text is {text!r}; it is a str")
            return text
        name = self.spec.default_prompt if name is None else name
        if name is None:
            return ""
        if name not in self.spec.prompts:
            known = ", ".join(self.spec.prompts) or "none"
            raise InputError(
                f"no prompt {name!r}; the bundle has: {known}. prompt_text takes one of your own"
            )
        return self.spec.prompts[name]

    def _prompt_tokens(self, prompt: str) -> int:
        """How many of the first tokens are the prompt's, as sentence-transformers counts them.

        Those of the prompt alone, special tokens in front included, the one at its end not.
        """
        if not prompt:
            return 0
        alone = self.text.windows(prompt)[0]
        return len(alone.ids) - alone.special_tokens_mask[-1]

    def _check_vector(
        self, pooling: Pooling | None, normalize: bool | None, dimensions: int | None
    ) -> None:
        if normalize is not None and not isinstance(normalize, bool):
            raise InputError(f"normalize is {normalize!r}; it is True, False or None")
        if normalize is False and pooling is None and self.spec.normalize:
            raise InputError(
                "normalize is False, and the checkpoint's own vectors have length 1; name a "
                "pooling too, such as pooling='mean'"
            )
        most = self.spec.dim if pooling is None else self.spec.hidden_size
        if dimensions is None:
            return
        if isinstance(dimensions, bool) or not isinstance(dimensions, int):
            raise InputError(f"dimensions is {dimensions!r}; it is a whole number or None")
        if not 1 <= dimensions <= most:
            raise InputError(f"dimensions is {dimensions}; the vectors have 1 to {most}")


def _own(row: Float, output: str, length: int) -> Float:
    """A text's own array: a view would hold its whole batch in memory."""
    return (row if output == "embeddings" else row[:length]).copy()


def _pooled(hidden: Float, pooling: Pooling, skip: int) -> Float:
    return hidden if pooling == "none" else pool(hidden[skip:], pooling)
