"""`eth-pipeline shadow-report`: the last days of forecasts, as a page, JSON and plots.

Belongs here: arguments, the clock, files. Does not belong: figures and words (`operations.shadow_report`).
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from eth_pipeline.cli.console import out, print_json, refuse_on_error
from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.settings import load_settings


def shadow_report(
    days: Annotated[int, typer.Option(min=1, help="Length of the window.")] = 7,
    output: Annotated[Path | None, typer.Option(help="Folder for page, JSON and plots; else it is printed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Report ML coverage, agreement, calibration and realised outcome of the last days.

    Only outcomes whose horizon has passed count.
    """
    with refuse_on_error():
        from eth_pipeline.lake import Lake
        from eth_pipeline.operations.alerting.deadman import known_offset
        from eth_pipeline.operations.shadow_report import make_report
        from eth_pipeline.operations.shadow_text import as_markdown
        from eth_pipeline.operations.shadow_window import read_window

        settings = load_settings()
        now = SystemClock().now() + (known_offset(settings) or timedelta(0))
        window = read_window(Lake.of(settings), settings, now=now, days=days)
        report = make_report(window, settings)
        if output is not None:
            from eth_pipeline.operations.shadow_plots import draw

            output.mkdir(parents=True, exist_ok=True)
            plots = {f"{name}.png": content for name, content in draw(report, window).items()}
            for name, content in plots.items():
                (output / name).write_bytes(content)
            (output / "shadow_report.json").write_text(json.dumps(report.as_dict(), indent=2) + "\n")
            (output / "shadow_report.md").write_text(as_markdown(report, plots=list(plots)))
    if as_json:
        print_json(report.as_dict())
    elif output is None:
        out.print(as_markdown(report), markup=False, highlight=False, soft_wrap=True)
    else:
        out.print(f"{output} holds shadow_report.md, shadow_report.json and {len(plots)} plots.", soft_wrap=True)
