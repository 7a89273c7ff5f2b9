"""Which benchmark runs with which arguments, so that all of them together stay under a quarter of an hour.

Belongs here: arguments and time limits, full and tiny. Does not belong: running them (`table`). A script without an
entry runs without arguments, and does so in the tiny table too.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
MACHINERY = ("figure", "growing_home", "page", "sizes", "table")
DATA, HOME = "{data}", "{home}"
"""Words among the arguments that stand for a folder of recordings and for a home with a production bundle."""


@dataclass(frozen=True)
class Size:
    """How one script is run.

    Attributes:
        full: arguments of `make bench`; what they leave out of the script's own defaults is said in the table.
        tiny: arguments that show the form of the figures and nothing of their size.
        limit_seconds: of the full run; a script that needs longer is stopped and shown as failed.
    """

    full: tuple[str, ...] = ()
    tiny: tuple[str, ...] = ()
    limit_seconds: int = 180


SIZES = {
    "decisions": Size((DATA,), (DATA,)),
    "fan_out": Size(("tasks=8",), ("tasks=4", "hours=600", "features=8", "workers=2")),
    "features": Size((), ("1000",)),
    "forecast": Size((HOME,), (HOME, "200")),
    "hour": Size(("hours=24", "warm=3"), ("hours=2", "warm=1")),
    "ingest": Size((), ("--years", "0.3", "--symbols", "2")),
    "lived_hours": Size(("hours=6",), ("hours=2",)),
    "networks": Size((), ("hours=600", "features=12")),
    "null_coverage": Size(("seeds=1",), ("seeds=1", "rows=4000", "refit_every_hours=1200")),
    "plan_memory": Size(("hours=6000", "minutes=60", "stages=base"), ("hours=6000", "minutes=60", "stages=base")),
    "quantiles": Size((DATA, "horizons=5", "refit_every_days=546"), (DATA, "horizons=5", "refit_every_days=1092")),
    "real_history": Size((DATA, "horizons=5"), (DATA, "horizons=5", "refit_days=1092", "max_rounds=110")),
    "rebuild": Size((DATA, "vintages=2"), (DATA, "vintages=1"), limit_seconds=240),
    "scaling": Size((), ("tiny",)),
    "walk_forward": Size(("refits", "training"), ("refits", "refits=6"), limit_seconds=300),
}


def benchmarks(folder: Path = FOLDER) -> list[str]:
    """Every benchmark script by name, in the order in which the table shows them."""
    return sorted(path.stem for path in folder.glob("*.py") if path.stem not in MACHINERY)


def size_of(name: str) -> Size:
    """How a script is run; one without an entry has no arguments."""
    return SIZES.get(name, Size())
