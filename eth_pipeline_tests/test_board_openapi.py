"""The API against its own documentation: whatever is sent, no 5xx, nothing undocumented, nothing written or leaked.

A walk over the OpenAPI document by hypothesis always runs; schemathesis runs too where it is installed.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eth_pipeline.board.web.server import BoardServer
from eth_pipeline.contracts.clock import iso
from eth_pipeline_tests.board_home import HOLE, TOKEN, BoardHome, board_of, raw, token_file
from eth_pipeline_tests.decision_samples import NOON

SPECIFICATION = "/api/v1/openapi.json"
BEARER = ("Authorization", f"Bearer {TOKEN}")
INSTANTS = st.one_of(
    st.sampled_from((iso(NOON), iso(HOLE), "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")),
    st.datetimes().map(lambda value: value.isoformat() + "Z"),
    st.builds(
        "{}{}".format, st.datetimes().map(lambda value: value.isoformat()), st.sampled_from(("+14:00", "-12:00"))
    ),
)
TEXTS = st.one_of(
    INSTANTS, st.text(max_size=40), st.integers().map(str), st.sampled_from(("../..", "%00", "NaN", "null"))
)
METHODS = st.sampled_from(("GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoardServer]:
    """A board with records, an account and a model, that asks for `TOKEN`."""
    folder: Path = tmp_path_factory.mktemp("board")
    home = BoardHome(folder)
    with board_of(home.configured(token_file=token_file(folder))) as running:
        yield running


@pytest.fixture(scope="module")
def document(server: BoardServer) -> dict[str, Any]:
    """The board's OpenAPI document."""
    status, text = raw(server, SPECIFICATION, headers=[BEARER])
    assert status == 200
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_document_has_every_route_and_nothing_but_get(document: dict[str, Any]) -> None:
    expected = ["", "/latest", "/{hour}", "/{hour}/lineage"]
    others = ["streams", "account", "model", "alerts", "manifest"]
    paths = {f"/api/v1/signals{tail}" for tail in expected} | {f"/api/v1/{name}" for name in others}
    assert set(document["paths"]) == paths
    for operations in document["paths"].values():
        assert list(operations) == ["get"]
        answers = operations["get"]["responses"]
        assert {"200", "401", "503"} <= set(answers)
        for status, answer in answers.items():
            kind = "application/json" if status == "200" else "application/problem+json"
            assert list(answer["content"]) == [kind]
    assert document["security"] == [{"token": []}]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_sent_the_answer_is_a_documented_one(
    server: BoardServer, document: dict[str, Any], data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(sorted(document["paths"])))
    method, known = data.draw(METHODS), data.draw(st.booleans())
    operation = document["paths"][path]["get"]
    target, query = path, []
    for parameter in operation.get("parameters", []):
        value = data.draw(TEXTS, label=parameter["name"])
        if parameter["in"] == "path":
            target = target.replace(f"{{{parameter['name']}}}", quote(value, safe="") or "x")
        elif data.draw(st.booleans()):
            query.append(f"{parameter['name']}={quote(value, safe='')}")
    status, body = raw(
        server, f"{target}?{'&'.join(query)}", method=method, headers=[BEARER] if known else [], body="{}"
    )
    if not known:
        assert status == 401
        assert "ETHUSDT" not in body
    elif method not in ("GET", "HEAD"):
        assert status == 405
    else:
        named = operation["responses"]
        # a slash inside a value is another path, so it is another route or none
        assert str(status) in named or (
            status == 404 and "/" in target.removeprefix("/api/v1/").replace("signals/", "")
        )
        assert status < 500
        if method == "GET":
            assert json.loads(body).get("status", status) in (status, "current")


def test_schemathesis_finds_nothing(server: BoardServer) -> None:
    """Its checks of server errors, documented status, content type, shape, ignored authentication, methods and more.

    Left out: `positive_data_acceptance`. That `from` comes before `to` is a rule that OpenAPI has no words for.
    """
    if importlib.util.find_spec("schemathesis") is None:
        pytest.skip("schemathesis is not installed; the walk above ran")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", server.url + SPECIFICATION),
            *("--header", ": ".join(BEARER), "--max-examples", "10", "--seed", "1", "--generation-database", "none"),
            *("--exclude-checks", "positive_data_acceptance"),
        ],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested: 9" in done.stdout
