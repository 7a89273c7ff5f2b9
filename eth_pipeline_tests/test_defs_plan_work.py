"""What of a stage is finished, read from materializations: at every boundary between two assets of every stage.

The assets here carry the names of the real ones and make nothing; what is asked is real: instance, runs, tags, lake.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from eth_pipeline.cli.plan.outlook import why_of
from eth_pipeline.definitions import defs
from eth_pipeline.defs.jobs import PLAN_JOBS
from eth_pipeline.defs.plan_work import (
    INPUTS_TAG,
    PLAN_TAG,
    STAGE_TAG,
    StageWork,
    close_dead_runs,
    set_pools,
    stage_work,
)
from eth_pipeline.defs.pools import network_pool
from eth_pipeline.lake import Lake
from eth_pipeline.operations.plan.spec import load_plan
from eth_pipeline.operations.plan.state import StageRecord
from eth_pipeline.settings import Settings, load_settings

GRAPH = defs.resolve_asset_graph()
BOUNDARIES = [(job, made) for job, assets in PLAN_JOBS.items() for made in range(len(assets) + 1)]


class Bench:
    """An instance and a lake of its own, and makers of materializations."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance

    def settings(self, **changed: object) -> Settings:
        return load_settings(home=self.folder, **changed)

    def work(self, job: str, **changed: object) -> StageWork:
        settings = self.settings(**changed)
        return stage_work(job, instance=self.instance, graph=GRAPH, settings=settings, lake=Lake.of(settings))

    def make(self, *names: str, digest: str, folder: Path | None = None) -> str:
        """One run that materializes assets of these names, with the tag of a plan's run."""

        def asset(name: str) -> dg.AssetsDefinition:
            @dg.asset(name=name)
            def nothing() -> dg.MaterializeResult:
                metadata = {} if folder is None else {"folder": dg.MetadataValue.path(str(folder))}
                return dg.MaterializeResult(metadata=metadata)

            return nothing

        tags = {PLAN_TAG: "p", STAGE_TAG: "s", INPUTS_TAG: digest}
        return dg.materialize([asset(name) for name in names], instance=self.instance, tags=tags).run_id


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield Bench(tmp_path, instance)


@pytest.mark.parametrize(("job", "made"), BOUNDARIES)
def test_whatever_was_stored_before_the_interruption_is_not_made_again(bench: Bench, job: str, made: int) -> None:
    """`made` assets of the stage were stored when it died; the rest, and only the rest, is open."""
    before = bench.work(job)
    assets = PLAN_JOBS[job]
    assert before.open == assets
    run = bench.make(*assets[:made], digest=before.digest) if made else ""
    after = bench.work(job)
    assert after.digest == before.digest
    assert after.finished == dict.fromkeys(assets[:made], run)
    assert after.open == assets[made:]


def test_a_stage_is_repeated_when_its_settings_change_and_says_so(bench: Bench) -> None:
    before = bench.work("plan_base")
    bench.make(*PLAN_JOBS["plan_base"], digest=before.digest)
    assert not bench.work("plan_base").open
    changed = bench.work("plan_base", training={"seed": 7})
    assert changed.open == PLAN_JOBS["plan_base"]
    why = why_of(changed, StageRecord(inputs=before.inputs, digest=before.digest))
    assert why.startswith("settings changed (")
    assert not bench.work("plan_base", alerts={"hold_off_minutes": 1}).open, "alerts train nothing"


def test_a_stage_is_repeated_when_what_it_reads_was_made_again(bench: Bench) -> None:
    before = bench.work("plan_stacking")
    bench.make("candidate_bundle", digest=before.digest)
    assert not bench.work("plan_stacking").open
    bench.make("lstm_model", digest="another plan")
    after = bench.work("plan_stacking")
    assert after.open == ("candidate_bundle",)
    assert why_of(after, StageRecord(inputs=before.inputs, digest=before.digest)).startswith(
        "lstm_model changed (absent"
    )


def test_what_another_run_made_since_does_not_count_as_the_plans(bench: Bench) -> None:
    digest = bench.work("plan_data").digest
    bench.make("features", "labels", digest=digest)
    bench.make("features", digest="")
    assert bench.work("plan_data").open == ("features",)


def test_a_model_whose_folder_is_gone_is_trained_again(bench: Bench, tmp_path: Path) -> None:
    digest = bench.work("plan_base").digest
    bench.make("tft_model", digest=digest, folder=tmp_path)
    assert "tft_model" in bench.work("plan_base").finished
    bench.make("tft_model", digest=digest, folder=tmp_path / "removed")
    assert "tft_model" in bench.work("plan_base").open


def test_a_killed_run_is_closed_and_gives_its_place_in_the_pool_back(tmp_path: Path) -> None:
    """Without this the next stage would wait for ever for the place of a process that is dead."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        set_pools(instance, {"gpu": 1})
        dead = instance.add_run(_run("dead", {PLAN_TAG: "p"}))
        other = instance.add_run(_run("other", {}))
        storage = instance.event_log_storage
        assert storage.claim_concurrency_slot("gpu", dead.run_id, "lstm_model").is_claimed
        assert not storage.claim_concurrency_slot("gpu", other.run_id, "lstm_model").is_claimed
        assert close_dead_runs(instance) == [dead.run_id]
        assert storage.claim_concurrency_slot("gpu", other.run_id, "lstm_model").is_claimed
        closed, left = instance.get_run_by_id(dead.run_id), instance.get_run_by_id(other.run_id)
        assert closed is not None
        assert left is not None
        assert (closed.status, left.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED)


def _run(name: str, tags: dict[str, str]) -> dg.DagsterRun:
    run_id = dg._core.utils.make_new_run_id()
    return dg.DagsterRun(job_name=name, run_id=run_id, status=dg.DagsterRunStatus.STARTED, tags=tags)


@pytest.mark.parametrize(
    ("device", "driver", "pool"),
    [
        ("auto", True, "gpu"),
        ("auto", False, "training"),
        ("cuda", False, "gpu"),
        ("cpu", True, "training"),
    ],
)
def test_networks_take_turns_where_they_train(device: str, driver: bool, pool: str, tmp_path: Path) -> None:
    if driver:
        (tmp_path / "nvidiactl").touch()
    settings = load_settings(home=tmp_path, networks={"device": device})
    assert network_pool(settings, driver=tmp_path / "nvidiactl") == pool


def test_vintages_do_not_wait_for_a_pool_that_a_plan_limits() -> None:
    """A plan lets one training run at a time on its instance; every later fan-out there took turns for ever."""
    limited = load_plan(Path(__file__).resolve().parents[1] / "h800" / "plan.yaml").pools
    steps = {node.name: node.pool for node in defs.resolve_implicit_global_asset_job_def().all_node_defs}
    assert {steps["lightgbm_model"], steps["model_vintage"], steps["other_vintage"]} == {"training", "vintages"}
    assert "training" in limited
    assert "vintages" not in limited
