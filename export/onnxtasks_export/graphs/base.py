"""What a graph is before it is captured: a module, its inputs and its dynamic axes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from onnxtasks.session import Array

Axes = tuple[str | int, ...]
"""One entry an axis: a name where it is dynamic, its size where it is fixed."""
Sizes = Mapping[str, int]
"""Axis name -> size."""


@dataclass(frozen=True)
class Graph:
    """A small module that *is* the graph: flat tensors in, flat tensors out."""

    module: nn.Module
    """In evaluation mode; its forward takes the inputs in their order, as positional arguments."""
    inputs: dict[str, Axes]
    outputs: dict[str, Axes]
    feeds: Callable[[Sizes, np.random.Generator], dict[str, Array]]
    """Makes valid inputs of the given sizes."""
    sizes: tuple[Sizes, ...]
    """The first is captured, every other is checked: all dynamic axes >= 2 and different in the
    first (an axis of 1, or two equal ones, would be baked in)."""
