"""Which rows go through a model now, for what is drawn by chance for each of them: dropout in training.

A model that is trained has one `RowsRead`; whoever computes with it names the rows around a forward. A block that
gradient checkpointing computes again in the backward pass reads the rows of its first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from jaxtyping import Int64
from torch import Tensor


class RowsRead:
    """The names of the rows, numbers that tell each from all others; None where nobody named them."""

    names: Int64[Tensor, " rows"] | None = None

    @contextmanager
    def of(self, names: Int64[Tensor, " rows"] | None) -> Iterator[None]:
        """Inside, the rows have these names."""
        before, self.names = self.names, names
        try:
            yield
        finally:
            self.names = before

    def chosen(self, rows: Int64[Tensor, " chosen"]) -> AbstractContextManager[None]:
        """Inside, only some of the rows are read, by their places and in this order."""
        return self.of(None if self.names is None else self.names[rows.to(self.names.device)])
