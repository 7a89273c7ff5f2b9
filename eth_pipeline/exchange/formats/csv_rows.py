"""Archive CSV text into typed columns, whether or not the file starts with a header line.

Belongs here: the one way CSV is read. Does not belong: what columns mean (`bars`, `funding`, `open_interest`).
"""

from collections.abc import Mapping

import polars as pl

from eth_pipeline.errors import ContractViolation
from eth_pipeline.exchange.formats.archive_files import ArchiveFile


def read_rows(content: bytes, fields: Mapping[str, pl.DataType | type[pl.DataType]], file: ArchiveFile) -> pl.DataFrame:
    """Columns of `fields`, by position; an empty field is null.

    No field is ever quoted. A quotation mark is an ordinary character here: as a quote, a single one at the end of a
    file makes polars 1.x panic, which no `except Exception` catches.

    Futures files carry a header only from about 2022-05, spot files never: a first byte that is no digit is one.

    Raises:
        ContractViolation: another number of columns, or a field that is not of its type.
    """
    has_header = not content[:1].isdigit()
    width = content.split(b"\n", 1)[0].count(b",") + 1
    if content and width != len(fields):
        raise ContractViolation(f"{file.key}: {width} columns instead of {len(fields)} ({', '.join(fields)}).")
    try:
        return pl.read_csv(content, has_header=False, skip_rows=int(has_header), schema=dict(fields), quote_char=None)
    except pl.exceptions.NoDataError:
        return pl.DataFrame(schema=dict(fields))
    except pl.exceptions.PolarsError as error:
        raise ContractViolation(f"{file.key}: not the documented CSV ({error}). File not used.") from error
