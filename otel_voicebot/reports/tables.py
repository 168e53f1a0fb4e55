"""What a report needs of the models: tables by name."""

from typing import Protocol

import pyarrow as pa

__all__ = ["Tables"]


class Tables(Protocol):
    """Gives the models' tables of one window as Arrow tables. ``models.Engine`` is one."""

    def table(self, name: str) -> pa.Table:
        """The rows of model ``name``: kpis, wait_ends, components, outcomes, errors, turns, ..."""
        ...
