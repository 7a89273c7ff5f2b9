"""`eth-pipeline start`: become a program, after noting in the home what starts.

Belongs here: the note of a start, by this command and by `up`. Does not belong: what a note holds
(`operations.processes`), supervision (`up`, service units).
"""

import os
import sys
from typing import Annotated

import typer

from eth_pipeline.cli.console import err, refuse_on_error
from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.settings import load_settings


def start(
    name: Annotated[str, typer.Argument(help="What the process is called here, for example `daemon`.")],
    command: Annotated[list[str], typer.Argument(help="Program and arguments, after `--`.")],
) -> None:
    """Note when, with which code, configuration and bundle a process starts, print that, and become the program.

    The pid stays the same, so whoever supervises this supervises the program.
    """
    if not name.replace("-", "").isalnum() or not name.islower():
        raise typer.BadParameter("write small letters, digits and dashes", param_hint="NAME")
    with refuse_on_error():
        try:
            sys.stdout.write(noted(name, os.getpid()) + "\n")
            sys.stdout.flush()
        except OSError as error:  # a disk that is full is told by others; the daemon must be there to tell it
            err.print(f"The start of {name} could not be noted: {error}", highlight=False, markup=False)
        try:
            os.execvp(command[0], command)  # noqa: S606  # nosec B606  # the operator's own command line, no shell
        except OSError as error:
            raise NeedsHuman(f"{command[0]} cannot be started: {error.strerror}. Name an installed program.") from error


def noted(name: str, pid: int) -> str:
    """Note a process of this home that starts now; the line for its log."""
    from eth_pipeline.operations.processes import note_start

    return note_start(load_settings(), name=name, pid=pid, now=SystemClock().now())
