"""A task that writes without a model: what a fake answers, and what it was asked."""

from collections.abc import Iterator, Sequence
from typing import Any

from onnxtasks.errors import InputError
from onnxtasks.generation.result import Generation
from tests.runtime.answering import Answering


class Writing(Answering):
    """Writes "say" and its input in capitals, a word at a time; refuses whatever says "bad".

    With beams there is nothing to stream; several texts differ in their number.
    """

    def __init__(
        self, key: str = "generated_text", stops: Sequence[int] = (), space: str = ""
    ) -> None:
        """Remember everything.

        Args:
            key: What `to_dict` calls the text.
            space: What the text begins with.
            stops: Streams, counted from 0, in which Ctrl-C comes after the first word.
        """
        super().__init__()
        self.key = key
        self.stops = stops
        self.space = space
        self.options: dict[str, Any] = {}
        self.streamed: list[Any] = []
        self.closed_streams = 0

    def predict(self, items: Sequence[Any], **options: Any) -> list[Any]:
        self.options = options
        self._check(options)
        if items:
            self.batches.append(list(items))
        if any("bad" in str(item) for item in items):
            raise InputError("it says bad")
        if [] in items:
            raise InputError("the chat is empty")
        return [self._texts(item, options) for item in items]

    def stream(self, item: Any, **options: Any) -> Iterator[str]:
        self.options = options
        self._check(options)
        if options.get("num_beams", 1) > 1:
            raise InputError("num_beams is above 1; pass num_beams=1")
        if "bad" in str(item):
            raise InputError("it says bad")
        self.streamed.append(item)
        return self._pieces(words(item), len(self.streamed) - 1 in self.stops)

    def _pieces(self, text: str, stops: bool) -> Iterator[str]:
        try:
            for number, word in enumerate(text.split(" ")):
                if stops and number:
                    raise KeyboardInterrupt
                yield f" {word}" if number else self.space + word
        finally:
            self.closed_streams += 1

    def _check(self, options: dict[str, Any]) -> None:
        if options.get("temperature") == 0:
            raise InputError("temperature is 0.0; it is above 0")

    def _texts(self, item: Any, options: dict[str, Any]) -> list[Generation]:
        count = options.get("num_return_sequences", 1)
        shown = item if options.get("return_full_text") else ""
        return [
            Generation(
                self.space + words(item) + (f" {number}" if count > 1 else ""),
                (1, 2),
                "stop",
                -0.5 - number,
                (-0.25, -0.25 - number),
                self.key,
                shown,
            )
            for number in range(count)
        ]


def words(item: Any) -> str:
    """What is written: of a chat, the answer to its last turn."""
    return f"say {item if isinstance(item, str) else item[-1]['content']}".upper()
