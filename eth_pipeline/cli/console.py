"""What every command shares: consoles, JSON output, errors that end in one clear sentence and exit code 1.

Belongs here: presentation on a terminal. Does not belong: anything a test of logic would want.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from deltalake.exceptions import DeltaError
from pydantic import ValidationError
from rich.console import Console

from eth_pipeline.errors import EthPipelineError

out = Console()
err = Console(stderr=True)

STATE_STYLE = {"tradeable": "bold green", "degraded": "bold yellow", "blocked": "bold red"}


@contextmanager
def refuse_on_error() -> Iterator[None]:
    """Turn our errors into one message on stderr and exit code 1; anything else is a bug and keeps its trace."""
    try:
        yield
    except EthPipelineError as error:
        err.print(f"[bold red]{type(error).__name__}[/]", highlight=False)
        err.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except DeltaError as error:
        err.print("[bold red]The lake cannot be read[/]", highlight=False)
        err.print(str(error).partition("\n")[0], highlight=False, markup=False, soft_wrap=True)
        err.print("Check the lake's location and access (eth-pipeline config show), or restore the table.")
        raise typer.Exit(1) from error
    except ValidationError as error:
        err.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


def print_json(value: object) -> None:
    """One JSON document on stdout, nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
