"""The decode loop: prompts -> tokens as they come. It knows no model and no task.

A task's `predict` is `endings(generate(...))`, and its `stream` a loop over the `NewToken`s of one
prompt.
"""

from collections.abc import Generator, Sequence

import numpy as np

from onnxtasks.generation.beams import search_beams
from onnxtasks.generation.lookup import search_with_lookup
from onnxtasks.generation.options import Settings, check_room
from onnxtasks.generation.reader import Int, Reader
from onnxtasks.generation.result import Event
from onnxtasks.generation.search import Request, Rule, Stopping, Warp, search


def generate(
    reader: Reader,
    prompts: Sequence[Int],
    settings: Settings,
    *,
    rules: Sequence[Rule] = (),
    warp: Warp | None = None,
    stopping: Stopping | None = None,
    sources: Sequence[Int] | None = None,
    lookup: Sequence[Int] | None = None,
    logprobs: bool = True,
) -> Generator[Event, None, None]:
    """Write on after each prompt.

    Prompts of different lengths in one call give what each gives alone. The reader is closed at the
    end, also when the iterator is closed before it (a cancelled stream) or something fails.

    Args:
        reader: The model; of an encoder-decoder, with its sources already given.
        prompts: Token ids of each, at least one; of an encoder-decoder, the decoder's start tokens.
        settings: How to search and where to end.
        rules: What changes the scores, in order.
        warp: What gives the candidates of a sample; only for `do_sample`.
        stopping: Asked once a step which rows must stop, and why.
        sources: What the encoder read, for the rules that look at it.
        lookup: For prompt-lookup decoding, a text of each prompt, in the words of the output, whose
            tokens may come again, besides the prompt itself; of an encoder-decoder, its source.
        logprobs: Whether log-probabilities are wanted; without them greedy steps cost less.

    Yields:
        Greedy and sampling: a `NewToken` for each token. All: a `Finished` for each prompt, as soon
        as all its sequences have ended.

    Raises:
        InputError: A prompt that leaves no room, or rules that leave nothing to choose.
    """
    try:
        if not prompts:
            return
        for prompt in prompts:
            check_room(settings, len(prompt), reader.room)
        limits = [settings.limit(len(prompt), reader.room) - len(prompt) for prompt in prompts]
        request = Request(
            reader=reader,
            prompts=prompts,
            settings=settings,
            limits=np.array(limits, np.int64),
            rules=rules,
            warp=warp,
            stopping=stopping,
            sources=sources,
            logprobs=logprobs,
        )
        if settings.num_beams > 1:
            yield from search_beams(request)
        elif looks_up(request):
            yield from search_with_lookup(request, None if lookup is None else lookup[0])
        else:
            yield from search(request)
    finally:
        reader.close()


def looks_up(request: Request) -> bool:
    """Whether tokens of the prompt are proposed: for one prompt, greedily."""
    settings = request.settings
    return bool(
        settings.prompt_lookup_num_tokens and not settings.do_sample and len(request.prompts) == 1
    )
