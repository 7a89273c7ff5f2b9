"""Model plane, after the candidate: is its bundle what will run, and how do its algorithms compare.

Belongs here: asking the newest candidate bundle. Does not belong: making it (`defs.assets.candidate`), the decision
(`defs.assets.registry`).
"""

import json

import dagster as dg
import polars as pl

from eth_pipeline.defs.assets.candidate import newest_candidate
from eth_pipeline.defs.assets.features import GROUP
from eth_pipeline.defs.assets.training_set import new_folder
from eth_pipeline.defs.presentation import OWNERS, markdown_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.operations.plan.bundle_check import REFERENCE_ROWS, check_bundle
from eth_pipeline.operations.plan.summary import comparison_json, comparison_markdown
from eth_pipeline.registry.atomic import replaced_folder
from eth_pipeline.registry.bundles.verification import fingerprint, read_contract, read_report

COMPARISON_MARKDOWN, COMPARISON_JSON = "comparison.md", "comparison.json"


@dg.asset(
    group_name=GROUP,
    deps=["candidate_bundle", "features"],
    description=(
        "The newest candidate bundle, asked as the hourly run will ask it: sound files, the newest hours answered "
        "alike by ONNX Runtime and by ONNX's reference evaluator, and fast enough."
    ),
    kinds={"onnx"},
    owners=OWNERS,
    code_version="1",
)
def bundle_check(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Check the files, compare two runtimes, measure one hour."""
    settings, folder = pipeline.settings(), newest_candidate(context.instance)
    contract, proved = read_contract(folder), read_report(folder).parity
    table = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    rows = pipeline.lake().read(table, where=pl.col("symbol") == settings.symbol).sort("decision_time")
    found = check_bundle(folder, contract, rows.tail(contract.window_hours + REFERENCE_ROWS - 1))
    content = fingerprint(folder)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(content),
        metadata={
            "fingerprint": content,
            "p50_milliseconds": found.p50_milliseconds,
            "p95_milliseconds": found.p95_milliseconds,
            "largest_difference": max(each.max_abs_difference for each in found.files),
            "files": markdown_table(
                ("file", "outputs", "largest difference", "p50, ms"),
                [(f.file, f.outputs, f"{f.max_abs_difference:.1e}", f"{f.p50_milliseconds:.3f}") for f in found.files],
                notes=[
                    f"The primary's export was proved on {proved.rows:,} rows: {proved.max_abs_difference:.1e} at most."
                ],
            ),
        },
    )


@dg.asset(
    group_name=GROUP,
    deps=["bundle_check"],
    description=(
        "How the algorithms of the newest candidate and their stack compare out of fold, as Markdown and JSON for "
        "people and for the host that decides."
    ),
    kinds={"markdown"},
    owners=OWNERS,
    code_version="1",
)
def training_report(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Write the comparison beside the candidates."""
    bundle = newest_candidate(context.instance)
    report, contract, content = read_report(bundle), read_contract(bundle), fingerprint(bundle)
    text = comparison_markdown(report, fingerprint=content)
    folder = new_folder(context, pipeline, name="report", under="training_reports")
    with replaced_folder(folder) as unfinished:
        figures = comparison_json(report, contract, fingerprint=content)
        (unfinished / COMPARISON_JSON).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        (unfinished / COMPARISON_MARKDOWN).write_text(text + "\n", encoding="utf-8")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(content),
        metadata={
            "folder": dg.MetadataValue.path(str(folder)),
            "fingerprint": content,
            "comparison": dg.MetadataValue.md(text),
        },
    )
