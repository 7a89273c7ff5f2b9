"""From rows of the features table to the arrays that a bundle's models take.

Belongs here: order, dtype, missing hours, the training bounds. Does not belong: running a model (`forecast`).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eth_pipeline.contracts.artifact import RuntimeContract
from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.errors import SchemaMismatch

_PRESENT_SHARE = 0.8


@dataclass(frozen=True)
class OnnxInputs:
    """One decision hour as models read it.

    Attributes:
        row: float32 [1, features], the decision hour; NaN where missing.
        window: float32 [hours, features], oldest first, ending with the decision hour; hours without a row are NaN.
        rows_present: bool [hours], which hours of the window have a row.
        coverage: share of the decision hour's inputs that are present.
        out_of_bounds_share: share of its present inputs outside the training rows' 0.1 to 99.9 percentile.
    """

    row: NDArray[np.float32]
    window: NDArray[np.float32]
    rows_present: NDArray[np.bool_]
    coverage: float
    out_of_bounds_share: float

    def shaped(self, window_hours: int) -> NDArray[np.float32] | None:
        """The array for a model that reads `window_hours` rows: [1, features] or [1, window_hours, features].

        None where fewer than 80 % of those hours have a row: a sequence with such holes is not what was trained on.
        """
        if window_hours == 1:
            return self.row
        if self.rows_present[-window_hours:].mean() < _PRESENT_SHARE:
            return None
        return self.window[None, -window_hours:]


@dataclass(frozen=True)
class InputLayout:
    """What a contract says about its inputs, read once: names in order, bounds float32 [features], rows, commit."""

    names: tuple[str, ...]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    hours: int
    code_commit: str

    @classmethod
    def of(cls, contract: RuntimeContract) -> "InputLayout":
        """The layout of `contract`; a bound that is not there is infinite."""
        lower = [-np.inf if item.lower is None else item.lower for item in contract.inputs]
        upper = [np.inf if item.upper is None else item.upper for item in contract.inputs]
        return cls(
            names=tuple(item.name for item in contract.inputs),
            lower=np.array(lower, dtype=np.float32),
            upper=np.array(upper, dtype=np.float32),
            hours=contract.window_hours,
            code_commit=contract.code_commit,
        )


def onnx_inputs(rows: pl.DataFrame, layout: InputLayout) -> OnnxInputs:
    """Arrays for one decision hour.

    Args:
        rows: rows of the features table up to and including the decision hour, the last one; ascending, of one
            symbol. Columns beyond the layout's names are ignored, nulls and infinities become NaN. A bundle whose
            models read one row gets exactly one.
        layout: of the bundle's contract.

    Raises:
        SchemaMismatch: an input column is missing, there is no row, or more rows than the contract's window.
    """
    hours, names = layout.hours, layout.names
    missing = sorted(set(names) - set(rows.columns))
    if missing or not 1 <= rows.height <= hours:
        raise SchemaMismatch(
            f"The bundle needs {'one row' if hours == 1 else f'one to {hours} rows'} of {len(names)} features and got "
            f"{rows.height} rows, without {missing[:5]}. It was trained with other feature code: train again, or run "
            f"the code it names ({layout.code_commit})."
        )
    values = _values(rows, names)
    window = np.full((hours, len(names)), np.nan, dtype=np.float32)
    present = np.zeros(hours, dtype=bool)
    at = [hours - 1] if rows.height == 1 else _places(rows["decision_time"], hours)
    window[at], present[at] = values, True
    row = window[-1:]
    known = np.isfinite(row)
    outside = ((row < layout.lower) | (row > layout.upper)) & known
    return OnnxInputs(
        row=row,
        window=window,
        rows_present=present,
        coverage=float(known.mean()),
        out_of_bounds_share=float(outside.sum() / max(int(known.sum()), 1)),
    )


def _values(rows: pl.DataFrame, names: tuple[str, ...]) -> NDArray[np.float32]:
    """float32 [rows, features]; casting one by one would cost more than all the models."""
    chosen = rows[list(names)]
    if any(dtype != pl.Float32 for dtype in chosen.dtypes):
        chosen = chosen.cast(pl.Float32)
    values = chosen.to_numpy(writable=True)
    values[~np.isfinite(values)] = np.nan
    return values


def _places(times: pl.Series, hours: int) -> list[int]:
    """Position of each row in a window of `hours` that ends with the newest."""
    newest = times[-1]
    places = [hours - 1 - int((newest - time) / HOUR) for time in times]
    if len(set(places)) != len(places) or min(places) < 0 or max(places) != places[-1]:
        raise SchemaMismatch(
            f"The feature rows handed over are not distinct hours of the {hours} before {newest}, ascending. "
            "Read them with the features contract's key."
        )
    return places
