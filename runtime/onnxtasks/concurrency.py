"""Callers at once: how many answers a second several threads get, and how long each one waits."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Together:
    """What callers saw who called at the same time."""

    latencies: tuple[float, ...]
    """Seconds of each call, in the order in which they ended."""
    per_second: float
    """Calls that ended in a second, of all callers together."""
    calls: int
    """All that were made, those that ended late too."""


def call_together(
    call: Callable[[Any], object],
    items: Sequence[Any],
    *,
    callers: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Together:
    """Call from several threads, each again as soon as it is answered.

    What ends after the time is not counted, for the last calls have fewer beside them; where
    nothing ends in time, all is.

    Args:
        call: Answers one item.
        items: Given to it in turn; caller n begins with the n-th.
        callers: Threads.
        seconds: No call starts later than this; each caller makes one at least.
        clock: Seconds that only grow.

    Raises:
        Exception: The first that a call raises; the other callers stop.
    """
    ended: list[tuple[float, float]] = []  # when, and after how long; appending is atomic
    failed: list[BaseException] = []
    begun: list[float] = []
    gate = threading.Barrier(callers, action=lambda: begun.append(clock()))

    def caller(number: int) -> None:
        gate.wait()
        turn = number
        try:
            while True:
                start = clock()
                if failed or (turn != number and start >= begun[0] + seconds):
                    return
                call(items[turn % len(items)])
                end = clock()
                ended.append((end, end - start))
                turn += callers
        except BaseException as error:  # raised again where the caller waits
            failed.append(error)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return summarise(ended, begun[0], seconds)


def summarise(ended: Sequence[tuple[float, float]], begun: float, seconds: float) -> Together:
    """Put calls together.

    Args:
        ended: When each call ended, and how long it took.
        begun: When all began, on the same clock.
        seconds: What ended later than this after the beginning does not count.
    """
    ordered = sorted(ended)
    counted = [one for one in ordered if one[0] <= begun + seconds] or ordered
    lasted = counted[-1][0] - begun
    return Together(tuple(took for _, took in counted), len(counted) / lasted, len(ended))
