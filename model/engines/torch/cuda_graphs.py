"""Passes by their shape: the first of a shape runs as it is, the second is captured, every later one is replayed.

Only two shapes are captured ahead, of some 60: most are never met. A shape's first run is the warm-up that a
capture needs anyway (libraries initialize, kernels load), and a capture asks of the host what one run does, so that an
editor waits for one such run at a time and no thread is needed for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from model.engines.torch.cuda_network import Shape

logger = logging.getLogger(__name__)

Run = Callable[[], None]
# Records what a run does to the static tensors, without doing it, and returns what does it.
Capture = Callable[[Run], Run]


@dataclass(frozen=True)
class Grid:
    """The shapes there are. Rows are padded to the next width; a pass looks at a power of two of positions."""

    widths: tuple[int, ...] = (1, 4, 8, 16, 32, 64, 128, 256, 512)
    tree_widths: tuple[int, ...] = (1, 4, 8, 16, 32, 64, 128)
    shortest_span: int = 512

    @property
    def widest(self) -> int:
        return self.widths[-1]

    @property
    def widest_tree(self) -> int:
        return self.tree_widths[-1]

    def length(self, capacity: int) -> int:
        """Positions to allocate for `capacity` that count: padding is written too, and masks want to be aligned."""
        return -(-(capacity + self.widest) // 64) * 64

    def width(self, n: int, *, tree: bool) -> int:
        return next(width for width in (self.tree_widths if tree else self.widths) if width >= n)

    def shape(self, n: int, past: int, length: int, *, tree: bool) -> Shape:
        """For n rows behind `past` positions in a cache of `length`."""
        width, span = self.width(n, tree=tree), self.shortest_span
        # Padding has to see itself: a row that sees nothing is not a number, and would stay in the cache.
        while span < past + width:
            span *= 2
        return Shape(width, min(span, length), tree)


GRID = Grid()


class Graphs:
    """Runs `step`; without `capture` every pass runs as it is."""

    def __init__(self, step: Callable[[Shape], None], capture: Capture | None) -> None:
        self._step = step
        self._capture = capture
        self._seen: set[Shape] = set()
        self._captured: dict[Shape, Run] = {}

    def run(self, shape: Shape) -> None:
        if shape not in self._captured and shape in self._seen and self._capture:
            self._try_to_capture(shape, self._capture)
        self._seen.add(shape)
        self._captured.get(shape, lambda: self._step(shape))()

    def _try_to_capture(self, shape: Shape, capture: Capture) -> None:
        try:
            self._captured[shape] = capture(lambda: self._step(shape))
        except RuntimeError as problem:  # No memory left for it, or a driver that cannot.
            logger.warning("CUDA graphs are off, decoding is slower: %s", problem)
            self._capture = None


class CudaCapture:
    """Captures on one stream into one memory pool: passes never overlap and leave nothing behind in it."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._stream = stream
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Run) -> Run:
        graph = torch.cuda.CUDAGraph()
        # Another thread may use the GPU while this one captures.
        with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
            run()
        return graph.replay
