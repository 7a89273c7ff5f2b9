"""What the threat model promises and no other test holds: nothing is unpickled by us, and no secret is written down.

The page is docs/threat_model.md; each promise there names its test.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eth_pipeline.registry.runs.run_record import run_params
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.board_home import board_of, raw
from eth_pipeline_tests.registry_maker import contract
from eth_pipeline_tests.shared_folder import shared_folder
from eth_pipeline_tests.small_home import AS_OF, SmallHome, small_home

ROOT = Path(__file__).parents[1]
UNPICKLERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "tempfile.mktemp", "yaml.load", "torch.load"}
BOARD = "ETH_PIPELINE_BOARD__TOKEN_FILE"
CANARIES = {
    "ETH_PIPELINE_INFERENCE__TOKEN": "canary-inference-7f3a91",
    "ETH_PIPELINE_LAKE_STORE__SECRET_ACCESS_KEY": "canary-lake-5d20c4",
    "ETH_PIPELINE_MLFLOW_TRACKING_URI": "canary-mlflow-c81e72",
    "ETH_PIPELINE_ALERTS__TARGETS_FILE": "canary-target-0b9f35",
    "ETH_PIPELINE_BOARD__TOKEN_FILE": "canary-board-94d6aa-of-many-characters",
}
"""Setting to the secret in it, in the file that it names, or in its URL."""

UNDER_WATCH = """
import sys
own = []
def watch(event, arguments):
    if event == "pickle.find_class":
        frame = sys._getframe(1)
        while frame is not None:
            name = frame.f_globals.get("__name__", "")
            if name.startswith("eth_pipeline."):
                own.append((arguments, name))
                break
            frame = frame.f_back
    if event in {"os.system", "os.exec"}:
        own.append((event, arguments))
    if event == "subprocess.Popen" and isinstance(arguments[1], str):
        own.append((event, arguments))
sys.addaudithook(watch)
from eth_pipeline.definitions import defs
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.settings import load_settings
with open_instance(load_settings()) as instance:
    result = defs.resolve_job_def("hourly").execute_in_process(instance=instance, raise_on_error=False)
    print("run", "succeeded" if result.success else "failed")
    print("seen", own)
    import dagster as dg
    from eth_pipeline.defs.alerts import alert_sensor
    refused = defs.resolve_job_def("production").execute_in_process(instance=instance, raise_on_error=False)
    print("production", "succeeded" if refused.success else "failed")
    everything = defs.resolve_implicit_global_asset_job_def()
    promotion = everything.get_subset(asset_selection={dg.AssetKey("promotion_decision")})
    print("promotion", promotion.execute_in_process(instance=instance, raise_on_error=False).success)
    context = dg.build_sensor_context(instance=instance, definitions=defs)
    print("alerts", alert_sensor(context).skip_message)
"""


def own_modules() -> list[Path]:
    """Every Python file that is delivered."""
    return [path for folder in ("eth_pipeline", "h800") for path in sorted((ROOT / folder).rglob("*.py"))]


def called(node: ast.Call) -> str:
    """`module.name` of a call, or the bare name."""
    function = node.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return f"{function.value.id}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else ""


def dangers(source: str) -> list[str]:
    """What a file does that no delivered file may do, as `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: import {name.name}" for name in node.names if name.name in UNPICKLERS]
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLERS:
            found.append(f"{node.lineno}: from {node.module}")
        if isinstance(node, ast.Call):
            if called(node) in FORBIDDEN_CALLS:
                found.append(f"{node.lineno}: {called(node)}")
            for keyword in node.keywords:
                risky = {"shell": True, "allow_pickle": True, "verify": False}
                if (
                    keyword.arg in risky
                    and isinstance(keyword.value, ast.Constant)
                    and keyword.value.value is risky[keyword.arg]
                ):
                    found.append(f"{node.lineno}: {keyword.arg}={keyword.value.value}")
    return found


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "eval('1')", "os.system('l')", "run('l', shell=True)", "yaml.load(f)"],
)
def test_the_search_for_dangers_finds_them(source: str) -> None:
    assert len(dangers(source)) == 1


def test_no_delivered_file_unpickles_evaluates_text_or_asks_a_shell() -> None:
    modules = own_modules()
    assert len(modules) > 200
    assert {str(path.relative_to(ROOT)): found for path in modules if (found := dangers(path.read_text()))} == {}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    with small_home(tmp_path_factory.mktemp("watched"), shared=shared_folder(tmp_path_factory)) as built:
        built.environment.update(CANARIES | {"ETH_PIPELINE_LAKE_STORE__ACCESS_KEY_ID": "somebody"})
        elsewhere = tmp_path_factory.mktemp("operator")
        nobody = "127.0.0.1:9"  # the discard port, where no server of a test listens
        mlflow, target = "ETH_PIPELINE_MLFLOW_TRACKING_URI", "ETH_PIPELINE_ALERTS__TARGETS_FILE"
        built.environment[mlflow] = f"http://mlops:{CANARIES[mlflow]}@{nobody}"
        for name, text in ((target, f"json://{nobody}/{CANARIES[target]}"), (BOARD, CANARIES[BOARD])):
            path = elsewhere / name
            path.write_text(text)
            path.chmod(0o600)
            built.environment[name] = str(path)
        built.environment["ETH_PIPELINE_ALERTS__HOLD_OFF_MINUTES"] = "0"
        yield built


@pytest.fixture(scope="module")
def watched(home: SmallHome) -> subprocess.CompletedProcess[str]:
    """One hour through Dagster in a process whose interpreter reports what it is asked to do.

    Afterwards what goes wrong on a bad day: no registry, a promotion without a candidate, an alert nobody takes.
    """
    return subprocess.run(
        [sys.executable, "-c", UNDER_WATCH],
        env={**os.environ, **home.environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_an_hour_unpickles_nothing_of_ours_and_starts_no_shell(watched: subprocess.CompletedProcess[str]) -> None:
    assert "run succeeded" in watched.stdout, watched.stderr
    assert "seen []" in watched.stdout, watched.stdout


def test_no_secret_of_the_settings_is_written_anywhere_by_an_hour_or_on_a_bad_day(
    home: SmallHome, watched: subprocess.CompletedProcess[str]
) -> None:
    """Logs, Dagster's database with its run configuration and metadata, manifests, configuration snapshots, tables.

    MLflow repeats the address of its server in every error, and Dagster keeps errors with all their causes: the
    password in a tracking URI stood in its event log and in the log of the step until 2026-11-22.
    """
    for said in ("production failed", "promotion False", "alerts 0 messages delivered"):
        assert said in watched.stdout, watched.stdout
    assert "alerts 0 messages delivered, 0 not taken" not in watched.stdout, "an alert was tried and refused"
    written = [path for path in home.folder.rglob("*") if path.is_file()]
    assert any("dagster" in path.parts for path in written)
    assert any("config" in path.parts for path in written)
    for canary in CANARIES.values():
        assert canary not in watched.stdout + watched.stderr
        assert [path for path in written if canary.encode() in path.read_bytes()] == []


def test_the_search_for_secrets_would_find_what_the_settings_do_say(
    home: SmallHome, watched: subprocess.CompletedProcess[str]
) -> None:
    """The access key's name is no secret and stands in the snapshot; so a leak would stand there too."""
    assert "run succeeded" in watched.stdout
    snapshots = (home.folder / "config").glob("*.json")
    assert any(b"somebody" in path.read_bytes() for path in snapshots)


def test_no_secret_of_the_settings_is_shown_by_the_board(
    home: SmallHome, watched: subprocess.CompletedProcess[str]
) -> None:
    """Every page that a link leads to, and every route of the API, to somebody who may look."""
    with home.entered(), board_of(load_settings(), now=AS_OF) as server:
        bearer = [("Authorization", f"Bearer {CANARIES[BOARD]}")]
        _, text = raw(server, "/api/v1/openapi.json", headers=bearer)
        asked: dict[str, str] = {}
        waiting = ["/", *(path for path in json.loads(text)["paths"] if "{" not in path)]
        while waiting:
            path = waiting.pop()
            if path not in asked:
                status, asked[path] = raw(server, path, headers=bearer)
                assert status < 500, (path, status)
                waiting += re.findall(r'href="(/[^"#?]*)', asked[path])
    assert len(asked) > 10
    assert any("ETHUSDT" in body for body in asked.values())
    for canary in CANARIES.values():
        assert [path for path, body in asked.items() if canary in body] == []


def test_no_secret_of_the_settings_becomes_a_tag_or_parameter_of_a_run(home: SmallHome) -> None:
    with home.entered():
        params = run_params(contract(), load_settings(), hyperparameters={"depth": 3})
    assert params["symbol"] == "ETHUSDT"
    assert [canary for canary in CANARIES.values() if canary in json.dumps(params, default=str)] == []
