"""A terminal table's title, columns and labels in the language of the settings.

Belongs here: choosing, and an empty table with its heads. Does not belong: the words (`contracts.wording.terminal`),
the rows (`tables` and the commands).
"""

from collections.abc import Callable

from rich.table import Table

from eth_pipeline.contracts.wording import TERMINAL
from eth_pipeline.settings import Language


def terminal(language: Language) -> Callable[..., str]:
    """A function from the English text of a label to the label, filled in."""
    return lambda english, /, **values: TERMINAL[english].say(language, **values)


def headed(
    title: str,
    /,
    *columns: str,
    language: Language,
    caption: str | None = None,
    show_lines: bool = False,
    **values: object,
) -> Table:
    """A table without rows yet; what does not fit a column is folded, never cut.

    Args:
        title: English text of a label; `values` fill it in.
        columns: English texts of labels.
        caption: below the table, as it is.
        show_lines: a line between rows.
    """
    words = terminal(language)
    table = Table(
        title=words(title, **values),
        caption=caption,
        title_justify="left",
        caption_justify="left",
        show_lines=show_lines,
    )
    for name in columns:
        table.add_column(words(name), overflow="fold")
    return table
