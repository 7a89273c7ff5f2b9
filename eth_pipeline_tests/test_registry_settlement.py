"""A promotion or rollback that is killed at any step, or meets another one, leaves a registry that can go on."""

from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import pytest

from eth_pipeline.errors import BundleRefused, ContractViolation, RegistryMoved
from eth_pipeline.registry.mlflow_store import PREVIOUS, PRODUCTION, RegistryStore
from eth_pipeline.registry.promotions.alias import check_log
from eth_pipeline.registry.promotions.log_state import open_intent
from eth_pipeline.registry.promotions.settlement import one_at_a_time, run_to_end
from eth_pipeline_tests.registry_host import Host, run_until
from eth_pipeline_tests.registry_maker import registry_folder
from eth_pipeline_tests.waiting import wait_until

PROMOTION = (
    "settled",
    "signed",
    "intended",
    "registered",
    "logged",
    "previous_named",
    "production_named",
    "anchored",
)
ROLLBACK = ("settled", "verified", "logged", "previous_named", "production_named", "anchored", "pointed")


# One server process imports the heavy libraries once; every process that is killed is forked from it.
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["eth_pipeline_tests.registry_host", "mlflow.onnx", "matplotlib.figure", "model_signing.signing", "onnx.checker"]
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host that runs version 2, with version 1 before it; copied for every test."""
    made = Host(registry_folder(tmp_path_factory), tmp_path_factory.mktemp("template"))
    assert made.promote("first", skill=0.3) == "1"
    assert made.promote("second", skill=0.6, hours_later=1) == "2"
    return made


@pytest.fixture
def host(template: Host, tmp_path: Path) -> Host:
    """The host of one test."""
    return template.copy_to(tmp_path)


def exit_codes(host: Host, bundles: Sequence[Path | None], *, last: str = "") -> list[int | None]:
    """Promotions of `bundles`, or a rollback for None, all at once, each in a process killed after the step `last`."""
    arguments = [(host.registry, host.folder, bundle, last) for bundle in bundles]
    processes = [CONTEXT.Process(target=run_until, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    return [process.exitcode for process in processes]


def test_the_steps_of_both_moves_are_the_ones_tested_here(host: Host) -> None:
    """A step that is added without a name here would be a boundary that no test kills at."""
    assert tuple(host.promotion(host.candidate("third", skill=0.9), hours_later=2)) == PROMOTION
    assert tuple(host.rollback(hours_later=3)) == ROLLBACK


@pytest.mark.parametrize("last", PROMOTION)
def test_a_promotion_killed_after_any_step_is_finished_or_closed_by_the_next_command(host: Host, last: str) -> None:
    bundle = host.candidate("third", skill=0.9)
    assert exit_codes(host, [bundle], last=last) == [-9]
    assert host.in_use() == "2", "the hour goes on with what was verified before"

    host.materialize(hours_later=3)
    began = PROMOTION.index(last) >= PROMOTION.index("registered")
    assert host.aliases() == (("3", "2") if began else ("2", "1"))
    assert host.in_use() == host.aliases()[0]
    assert host.disagreements() == ()
    entries = check_log(host.log, home=host.home, store=host.store)
    assert open_intent(entries) is None
    recorded = [] if last in ("settled", "signed") else ["promoting", "promoted" if began else "abandoned"]
    assert [e.action for e in entries[4:]] == recorded

    # The same candidate again, or the one after it: nothing stands in the way.
    _, version = run_to_end(host.promotion(bundle, hours_later=4))
    assert host.aliases()[0] == version
    host.materialize(hours_later=4)
    assert host.disagreements() == ()


@pytest.mark.parametrize("last", ROLLBACK)
def test_a_rollback_killed_after_any_step_is_finished_by_repeating_it_and_goes_no_further(
    host: Host, last: str
) -> None:
    assert exit_codes(host, [None], last=last) == [-9]
    assert host.in_use() == ("1" if last == "pointed" else "2")
    if last != "pointed":  # then it was complete, and a second rollback returns to where the first came from
        run_to_end(host.rollback(hours_later=3))
    assert host.in_use() == "1"
    assert host.aliases() == ("1", "2")
    assert [e.action for e in check_log(host.log, home=host.home, store=host.store)[4:]] == ["rolled_back"]
    assert host.disagreements() == ()


def test_a_promotion_that_died_while_registering_leaves_no_run_that_never_ends(host: Host) -> None:
    bundle = host.candidate("third", skill=0.9)
    steps = host.promotion(bundle, hours_later=2)
    for name in steps:
        if name == "intended":
            break
    steps.close()
    intent = open_intent(host.log.verify())
    assert intent is not None
    with host.store._reached("begin a run as a registration does") as client:
        experiment = client.get_experiment_by_name(host.store.model_name).experiment_id
        run = client.create_run(experiment, tags={"decision_id": intent.decision_id})
        host.materialize(hours_later=3)
        assert client.get_run(run.info.run_id).info.status == "KILLED"
    assert host.log.verify()[-1].action == "abandoned"


def test_two_promotions_at_once_leave_one_production_and_one_chain(host: Host) -> None:
    """Both want production: they take turns, and the weaker one is judged against the stronger, or replaced by it."""
    strong, weak = host.candidate("strong", skill=1.5), host.candidate("weak", skill=0.7)
    assert exit_codes(host, [strong, weak]) == [0, 0]
    entries = check_log(host.log, home=host.home, store=host.store)
    actions = [entry.action for entry in entries[4:]]
    assert actions in (
        ["promoting", "promoted", "refusing", "refused"],
        ["promoting", "promoted", "promoting", "promoted"],
    )
    winner = next(e for e in reversed(entries) if e.action == "promoted")
    assert winner.run_id == "run-strong"
    assert host.aliases()[0] == winner.version
    host.materialize()
    assert host.in_use() == winner.version
    assert host.disagreements() == ()


def test_the_first_keys_of_a_home_are_made_by_one_promotion_at_a_time(host: Host) -> None:
    """Two first promotions at once: the second one found the private key without the public one, or the file taken."""
    keys = (host.settings.private_key_path, *host.settings.public_key_paths)
    for key in keys:
        key.unlink()
    steps = host.promotion(host.candidate("third", skill=0.9), hours_later=2)
    with one_at_a_time(host.log):
        first = Thread(target=next, args=(steps,))
        first.start()
        wait_until(lambda: waits_for_a_lock(host.log.path.parent), seconds=60)
        made_meanwhile = [key.name for key in keys if key.exists()]
    first.join(timeout=60)
    steps.close()
    assert made_meanwhile == []
    assert all(key.exists() for key in keys)


def waits_for_a_lock(folder: Path) -> bool:
    """Whether somebody waits for a file in `folder`; the kernel lists a waiter with an arrow."""
    files = {str(path.stat().st_ino) for path in folder.iterdir()}
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if " -> FLOCK" in line]
    return any(words[6].rpartition(":")[2] in files for words in waiting)


def test_the_same_promotion_asked_for_twice_at_once_is_one(host: Host) -> None:
    """A double click: two processes, one candidate, one instant."""
    bundle = host.candidate("third", skill=0.9)
    assert exit_codes(host, [bundle, bundle]) == [0, 0]
    assert [entry.action for entry in host.log.verify()[4:]] == ["promoting", "promoted"]
    assert host.aliases() == ("3", "2")


def test_a_promotion_gives_way_when_the_alias_moves_under_it(host: Host) -> None:
    steps = host.promotion(host.candidate("third", skill=0.9), hours_later=2)
    while next(steps) != "registered":
        pass
    host.store.name(PRODUCTION, "1")
    with pytest.raises(RegistryMoved, match="moved from version 2"):
        next(steps)
    assert host.aliases() == ("1", "1")
    assert host.log.verify()[-1].action == "abandoned"


def test_a_second_home_with_a_log_of_its_own_is_refused(host: Host, tmp_path: Path) -> None:
    """Two logs about one registry would each be whole and both be wrong."""
    other = Host(host.registry, tmp_path / "other")
    other.store = host.store
    with pytest.raises(ContractViolation, match="belongs to another home"):
        run_to_end(other.promotion(other.candidate("theirs", skill=0.9)))
    assert other.log.entries() == ()
    assert host.aliases() == ("2", "1")


@pytest.mark.parametrize("lines_left", [0, 1, 3])
def test_a_log_cut_at_its_end_is_noticed_by_every_command(host: Host, lines_left: int) -> None:
    """The chain that is left is whole; only somebody who saw the end can say that it is gone."""
    whole = host.log.path.read_bytes()
    host.log.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:lines_left]))
    assert len(host.log.verify()) == lines_left, "the chain alone proves nothing here"
    with pytest.raises(ContractViolation, match="the pointer of this host has seen entry 4"):
        check_log(host.log, home=host.home, store=None)
    assert any("the registry has seen entry 4" in sentence for sentence in host.disagreements())
    with pytest.raises(ContractViolation, match="cut at its end"):
        run_to_end(host.promotion(host.candidate("third", skill=0.9), hours_later=2))
    with pytest.raises(ContractViolation, match="cut at its end"):
        run_to_end(host.rollback())
    with pytest.raises(ContractViolation, match="cut at its end"):
        host.materialize()
    assert (host.in_use(), host.aliases()) == ("2", ("2", "1"))
    host.log.path.write_bytes(whole)
    assert host.disagreements() == ()


def test_an_edited_anchor_is_refused(host: Host) -> None:
    with host.store._reached("edit the anchor as a person in the MLflow UI does") as client:
        client.set_registered_model_tag(host.store.model_name, "promotion_log_head", "4:none")
    with pytest.raises(ContractViolation, match="which nothing here wrote"):
        host.materialize()


def test_a_move_by_hand_to_a_version_that_passed_is_adopted_and_recorded(host: Host) -> None:
    """A person may promote on the registry's page; the log then says so."""
    host.store.name(PRODUCTION, "1")
    assert "moved by another hand" in host.disagreements()[0]
    host.materialize(hours_later=2)
    last = host.log.verify()[-1]
    assert (last.action, last.version, last.run_id) == ("adopted", "1", "registry")
    assert (host.in_use(), host.aliases(), host.disagreements()) == ("1", ("1", "2"), ())


def test_a_registry_that_is_empty_again_is_not_filled_from_the_log(host: Host, tmp_path: Path) -> None:
    host.store = RegistryStore(host.store.tracking_uri, artifact_root=tmp_path, model_name=f"{tmp_path.name}-new")
    with pytest.raises(BundleRefused, match="has no version '1'"):
        host.materialize()
    assert host.store.named_by(PREVIOUS) is None
    assert host.in_use() == "2"
