"""The inference service over real HTTP: MLflow's protocol and clients, the token, limits, a health that proves."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from pydantic import SecretStr

from eth_pipeline.contracts.clock import FixedClock
from eth_pipeline.contracts.inference import FINGERPRINT_HEADER, HEALTH, INVOCATIONS, PING, VERSION, VERSION_HEADER
from eth_pipeline.serving.server import InferenceServer
from eth_pipeline.signals.forecasting.forecast import BundleForecaster
from eth_pipeline.signals.forecasting.scoring import request_body
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.inference_host import (
    CLOCK,
    EXPIRES,
    TOKEN,
    WINDOW_HOURS,
    InferenceHost,
    network,
    plain_parts,
    rich_parts,
    wandering_model,
)

JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> InferenceHost:
    """A host with a bundle that reads one row."""
    host = InferenceHost(tmp_path_factory.mktemp("host"))
    host.produce("7", plain_parts())
    return host


@pytest.fixture(scope="module")
def url(host: InferenceHost) -> Iterator[str]:
    """The service of `host`, without a token, on loopback."""
    with InferenceServer(host.settings, clock=FixedClock(CLOCK)) as server:
        yield server.url


@pytest.fixture(scope="module")
def guarded(host: InferenceHost) -> Iterator[str]:
    """The service of `host` with a token and a small limit."""
    section = host.settings.inference.model_copy(update={"token": SecretStr(TOKEN), "max_request_bytes": 2000})
    settings = host.settings.model_copy(update={"inference": section})
    with InferenceServer(settings, clock=FixedClock(CLOCK)) as server:
        yield server.url


def body(host: InferenceHost, hours: int = 1) -> bytes:
    return request_body(host.rows(hours), host.contract(plain_parts()))


def test_every_answer_names_its_bundle_in_body_and_header(host: InferenceHost, url: str) -> None:
    answer = httpx2.post(url + INVOCATIONS, content=body(host), headers=JSON)
    assert answer.status_code == 200
    (folder,) = (path for path in (host.settings.home / "production").iterdir() if path.is_dir())
    assert answer.json()["fingerprint"] == answer.headers[FINGERPRINT_HEADER] == folder.name
    assert answer.json()["model_version"] == answer.headers[VERSION_HEADER] == "7"


def test_many_hours_are_answered_in_order(host: InferenceHost, url: str) -> None:
    predictions = httpx2.post(url + INVOCATIONS, content=body(host, 4), headers=JSON).json()["predictions"]
    rows = [host.forecast(NOON - ago * HOUR) for ago in (3, 2, 1, 0)]
    assert [p["probability_up_5h"] for p in predictions] == [row["probability_up"][0] for row in rows]
    assert len({p["probability_up_5h"] for p in predictions}) == 4


def test_mlflows_own_client_can_talk_to_it(host: InferenceHost, url: str) -> None:
    """`ping`, `version`, a pandas frame with a NaN and a numpy array, through the class MLflow's predict uses."""
    import numpy as np
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    place = urlsplit(url)
    client = ScoringServerClient(place.hostname, place.port)
    client.ping()
    assert "mlflow" in json.loads(client.get_version())["packages"]
    rows = host.rows(4)
    frame = rows.select(host.inputs).to_pandas()
    assert frame.isna().any().any()
    expected = [host.forecast(time).sort("horizon_hours")["probability_up"].to_list() for time in rows["decision_time"]]
    columns = [f"probability_up_{hours}h" for hours in (5, 12, 24)]
    assert client.invoke(frame).get_predictions()[columns].to_numpy().tolist() == expected
    array = np.asarray(frame, dtype=np.float64)
    assert client.invoke(array).get_predictions()[columns].to_numpy().tolist() == expected


def test_a_window_is_one_hour_with_everything_the_bundle_says(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path)
    bundle = host.produce("1", rich_parts(), stacking=True)
    here = BundleForecaster(bundle, version="1").forecast(host.rows(WINDOW_HOURS), now=CLOCK)
    with InferenceServer(host.settings, clock=FixedClock(CLOCK)) as server:
        sent = request_body(host.rows(WINDOW_HOURS), bundle.contract)
        (there,) = httpx2.post(server.url + INVOCATIONS, content=sent, headers=JSON).json()["predictions"]
    assert there["source"] == here.source == "stacking"
    assert there["members"].keys() == {"lightgbm", "lstm", "stacking"}
    assert there["quantiles"] == {"5": {str(level): value for level, value in here.quantiles[5].items()}}
    assert there["regime"] == here.regime
    assert there["coverage"] == here.coverage


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
    ],
    ids=["none", "empty", "longer", "shorter", "basic", "bare"],
)
@pytest.mark.parametrize("path", [INVOCATIONS, HEALTH, VERSION])
def test_a_request_without_the_token_learns_nothing(
    host: InferenceHost, guarded: str, headers: dict[str, str], path: str
) -> None:
    method = "POST" if path == INVOCATIONS else "GET"
    answer = httpx2.request(method, guarded + path, content=body(host), headers={**JSON, **headers})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert FINGERPRINT_HEADER not in answer.headers
    assert answer.json()["error_code"] == "UNAUTHENTICATED"
    assert TOKEN not in answer.text


def test_the_token_opens_every_route_and_ping_says_nothing_without_it(host: InferenceHost, guarded: str) -> None:
    answer = httpx2.post(guarded + INVOCATIONS, content=body(host), headers={**JSON, **BEARER})
    assert answer.status_code == 200
    assert httpx2.get(guarded + HEALTH, headers=BEARER).json()["healthy"] is True
    assert httpx2.get(guarded + VERSION, headers=BEARER).json()["model_version"] == "7"
    ping = httpx2.get(guarded + PING)
    assert (ping.status_code, ping.text, FINGERPRINT_HEADER in ping.headers) == (200, "\n", False)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_an_oversized_body_is_refused_before_it_is_read(guarded: str, declared: bool) -> None:
    content = b" " * 2001 if declared else iter([b" " * 1000] * 3)
    answer = httpx2.post(guarded + INVOCATIONS, content=content, headers={**JSON, **BEARER})
    assert answer.status_code == 413
    assert "2000 bytes" in answer.json()["message"]


def test_a_body_that_is_declared_larger_than_allowed_is_not_waited_for(guarded: str) -> None:
    """A gigabyte announced and never sent must not hold a worker."""
    place = urlsplit(guarded)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        lines = [
            f"POST {INVOCATIONS} HTTP/1.1",
            f"Host: {place.netloc}",
            "Content-Type: application/json",
            "Content-Length: 1000000000",
            f"Authorization: Bearer {TOKEN}",
        ]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert b" 413 " in connection.recv(1000)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"a,b\n1,2\n", {"Content-Type": "text/csv"}, 415),
        (b"{}", {}, 415),
        (b"{", JSON, 400),
        (b'{"inputs":[[1,2]]}', JSON, 400),
        (b'{"dataframe_split":{"columns":["x"],"data":[[1]]}}', JSON, 400),
    ],
)
def test_what_cannot_be_scored_is_refused_in_mlflows_shape(
    url: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = httpx2.post(url + INVOCATIONS, content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json().keys() == {"error_code", "message"}
    assert httpx2.get(url + INVOCATIONS).status_code == 405


def test_a_page_that_points_its_name_at_this_host_is_refused(url: str) -> None:
    """DNS rebinding: without a token the Host header is all that tells a browser's page from an operator."""
    assert httpx2.get(url + HEALTH, headers={"Host": "evil.example:80"}).status_code == 401
    assert httpx2.get(url + HEALTH, headers={"Host": "localhost:1"}).status_code == 200


def test_health_proves_a_forecast_and_says_until_when(url: str) -> None:
    said = httpx2.get(url + HEALTH).json()
    assert said["healthy"] is True
    assert said["largest_difference"] == 0.0
    assert said["probe_rows"] == "newest feature rows"
    assert said["providers"] == ["CPUExecutionProvider"]
    assert (said["expires_at"], said["expires_in_hours"]) == ("2025-03-13T12:00:00Z", 239.99)
    assert said["probabilities"].keys() == {"5", "12", "24"}


def test_a_service_that_no_longer_answers_as_it_should_is_unhealthy(tmp_path: Path) -> None:
    """A device that computes something else than before still answers 200 to a ping; health asks anew every time."""
    host = InferenceHost(tmp_path)
    host.produce("1", plain_parts(model=wandering_model()))
    with InferenceServer(host.settings, clock=FixedClock(CLOCK)) as server:
        first = httpx2.get(server.url + HEALTH)
        answer = httpx2.get(server.url + HEALTH)
        assert httpx2.get(server.url + PING).status_code == 200
    assert first.json()["healthy"] is True
    assert (answer.status_code, answer.json()["healthy"]) == (503, False)
    assert answer.json()["largest_difference"] > 1e-5
    assert "differs by" in answer.json()["reason"]


def test_an_expired_bundle_is_not_served_by_any_route(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path)
    host.produce("1")
    clock = FixedClock(CLOCK)
    with InferenceServer(host.settings, clock=clock) as server:
        assert httpx2.get(server.url + PING).status_code == 200
        clock.instant = EXPIRES
        answer = httpx2.post(server.url + INVOCATIONS, content=body(host), headers=JSON)
        assert answer.status_code == 503
        assert "BundleExpired" in answer.json()["message"]
        assert httpx2.get(server.url + PING).status_code == 503
        health = httpx2.get(server.url + HEALTH)
        assert (health.status_code, health.json()["healthy"]) == (503, False)
        assert "BundleExpired" in httpx2.get(server.url + VERSION).json()["reason"]


def test_a_model_that_answers_no_probability_is_no_answer(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path)
    model = network("probability", weights=[[5.0]] * 3, bias=[0.5], last="Identity")
    host.produce("1", plain_parts(model=model))
    with InferenceServer(host.settings, clock=FixedClock(CLOCK)) as server:
        content = b'{"inputs":[[9.0,9.0,9.0]]}'
        answer = httpx2.post(server.url + INVOCATIONS, content=content, headers=JSON)
    assert answer.status_code == 503
    assert "no probability" in answer.json()["message"]
