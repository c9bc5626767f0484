"""`cxrbench.boards`: the boards of a folder of entries, for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmark.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from .standings import Board


@dataclass(frozen=True)
class ShownBoard:
    """A board: `board` has all that is known of it."""

    board: Board

    @property
    def title(self) -> str:
        """Task, version, films and preset."""
        return self.board.title

    def table(self) -> pd.DataFrame:
        """A row an entry, in order of rank, with the texts that the site shows."""
        import pandas as pd

        from .site.exports import board_rows

        return pd.DataFrame(board_rows(self.board))

    def __repr__(self) -> str:
        return f"<board {self.title}: {len(self.board.all)} entries>"

    def _repr_html_(self) -> str:
        from .site.exports import board_markup

        return board_markup(self.board)


class Boards(tuple[ShownBoard, ...]):
    """Boards in the order of the site: those on real films first."""

    def _repr_html_(self) -> str:
        return "".join(board._repr_html_() for board in self)


def boards(entries: str | Path = "submissions") -> Boards:
    """The boards of a folder of entries, each ranked; InputError for what is no such folder, or an entry that cannot be
    read."""
    from .attempts import from_entry
    from .entry import load_entries
    from .sealed import require_sealed
    from .standings import boards as made

    folder = Path(entries).expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; expected one with a folder for each entry (submissions/)")
    found = made([attempt for entry in load_entries(folder) for attempt in from_entry(require_sealed(entry))])
    return Boards(ShownBoard(board) for board in found)
