"""How much of what a torch model computes on is padding."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onnxtasks.timing import Padding


@contextmanager
def watch_padding(module: Any) -> Iterator[Padding]:
    """Count tokens and padding of the forward passes made inside.

    Args:
        module: A torch module that gets `attention_mask` [batch, token] by name, or, as the modules
            of sentence-transformers do, as an entry of its first argument.

    Yields:
        Counts that grow.
    """
    counts = Padding()

    def count(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        mask = (named if "attention_mask" in named else given[0])["attention_mask"]
        tokens = int(mask.sum())
        counts.tokens += tokens
        counts.padding += mask.numel() - tokens

    hook = module.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield counts
    finally:
        hook.remove()
