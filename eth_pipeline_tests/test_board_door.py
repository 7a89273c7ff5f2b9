"""Who may look at the board, and what leaves it: tokens, cookies, host names, headers, secrets."""

import json
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from eth_pipeline.board.web.answers import STRICT_HEADERS
from eth_pipeline.board.web.door import COOKIE, Sessions
from eth_pipeline.board.web.login import Attempts
from eth_pipeline.board.web.server import BoardServer
from eth_pipeline.contracts.clock import FixedClock, iso
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.settings import BoardSettings, InferenceSettings, Settings
from eth_pipeline_tests.board_home import CLOCK, TOKEN, board_of, raw, token_file
from eth_pipeline_tests.decision_samples import NOON, sample_settings

GUARDED = (
    "/",
    "/signals",
    f"/signals/{iso(NOON)}",
    "/metrics",
    "/api/v1/signals/latest",
    "/api/v1/account",
    "/api/v1/manifest",
    "/api/v1/openapi.json",
    "/openapi.json",
    "/docs",
    "/nope",
)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def guarded(tmp_path: Path, **board: object) -> Settings:
    """An empty home whose board asks for `TOKEN`."""
    section = BoardSettings.model_validate({"token_file": token_file(tmp_path), **board})
    return sample_settings(tmp_path / "home", board=section)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoardServer]:
    """A board that asks for `TOKEN`."""
    with board_of(guarded(tmp_path_factory.mktemp("guarded"))) as running:
        yield running


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoardServer]:
    """A board without a token, on loopback."""
    with board_of(sample_settings(tmp_path_factory.mktemp("open") / "home")) as running:
        yield running


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "::", "", "board.example"])
def test_an_address_that_others_reach_needs_a_token(tmp_path: Path, address: str) -> None:
    """The reviewed system served 0.0.0.0 without authentication."""
    with pytest.raises(SettingsInvalid, match="no token"):
        BoardServer(sample_settings(tmp_path), clock=FixedClock(CLOCK), host=address)


def test_with_a_token_it_listens_everywhere_and_asks_everybody_for_it(tmp_path: Path) -> None:
    with board_of(guarded(tmp_path), host="0.0.0.0") as server:
        local = server.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx2.get(local + "/api/v1/alerts").status_code == 401
        assert httpx2.get(local + "/api/v1/alerts", headers={**BEARER, "Host": "board.example"}).status_code == 200


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_token_that_others_can_read_stops_the_start(tmp_path: Path, mode: int) -> None:
    section = BoardSettings(token_file=token_file(tmp_path, mode=mode))
    with pytest.raises(SettingsInvalid, match="chmod 600"):
        BoardServer(sample_settings(tmp_path, board=section), clock=FixedClock(CLOCK))


@pytest.mark.parametrize("content", ["", "short", "0123456789abcdef 0123456789abcdef", "ä" * 40])
def test_a_token_that_is_none_stops_the_start(tmp_path: Path, content: str) -> None:
    path = token_file(tmp_path)
    path.write_text(content)
    with pytest.raises(SettingsInvalid, match="holds no token") as refusal:
        BoardServer(sample_settings(tmp_path, board=BoardSettings(token_file=path)), clock=FixedClock(CLOCK))
    assert not content or content not in str(refusal.value)


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    section = BoardSettings(token_file=tmp_path / "nowhere")
    with pytest.raises(SettingsInvalid, match="nowhere"):
        BoardServer(sample_settings(tmp_path, board=section), clock=FixedClock(CLOCK))


def test_a_taken_port_is_named_and_a_stopped_board_frees_it(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path)
    with board_of(settings) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(SettingsInvalid, match=f"Port {port}"):
            BoardServer(settings, clock=FixedClock(CLOCK), port=port).start()
    with BoardServer(settings, clock=FixedClock(CLOCK), port=port) as again:
        assert httpx2.get(again.url + "/api/v1/alerts").status_code == 200


def test_everything_but_login_health_and_static_asks_for_the_token(server: BoardServer) -> None:
    for path in GUARDED:
        status, body = raw(server, path)
        assert status in (303, 401), path
        assert "ETHUSDT" not in body, path
        assert httpx2.get(server.url + path, headers=BEARER).status_code in (200, 404), path
    for path in ("/login", "/static/board.css"):
        assert httpx2.get(server.url + path).status_code == 200
    assert httpx2.get(server.url + "/healthz").status_code == 503  # nothing was recorded yet


@pytest.mark.parametrize(
    "value", [f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, "Bearer \udce9"]
)
def test_a_wrong_token_is_refused_with_problem_details(server: BoardServer, value: str) -> None:
    sent = value.encode("utf-8", "surrogateescape").decode("latin-1")
    status, body = raw(server, "/api/v1/alerts", headers=[("Authorization", sent)])
    assert (status, json.loads(body)["status"]) == (401, 401)
    answer = httpx2.get(server.url + "/api/v1/alerts")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_host_header_cannot_make_a_guarded_path_look_open(server: BoardServer) -> None:
    """Frameworks build the URL from the Host header: `x/static/y?` turns any path into one below /static/."""
    for host in ("127.0.0.1/static/x?", "127.0.0.1/login?", "127.0.0.1/healthz#", "[::1]/static/?"):
        status, body = raw(server, "/api/v1/manifest", headers=[("Host", host)])
        assert status == 421, host
        assert "config" not in body


def test_a_name_that_is_not_this_machines_is_refused_on_loopback(open_server: BoardServer) -> None:
    """DNS rebinding: a page lets its own name point at 127.0.0.1 and reads what answers there."""
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "a@127.0.0.1", ""):
        assert raw(open_server, "/api/v1/account", headers=[("Host", host)])[0] == 421, host
        assert raw(open_server, "/healthz", headers=[("Host", host)])[0] == 421, host
    for host in ("localhost:1", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert raw(open_server, "/api/v1/account", headers=[("Host", host)])[0] == 200, host
    assert raw(open_server, "/", headers=[("Host", "localhost"), ("Host", "evil.example")])[0] in (400, 421)


def test_a_name_that_the_settings_allow_is_answered(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path, board=BoardSettings(allowed_hosts=("Board.example",)))
    with board_of(settings) as server:
        assert raw(server, "/api/v1/alerts", headers=[("Host", "board.EXAMPLE:443")])[0] == 200
        assert raw(server, "/api/v1/alerts", headers=[("Host", "other.example")])[0] == 421


def test_a_person_logs_in_once_and_out_again(server: BoardServer) -> None:
    with httpx2.Client(base_url=server.url) as person:
        asked = person.get("/signals")
        assert (asked.status_code, asked.headers["Location"]) == (303, "/login?next=%2Fsignals")
        entered = person.post("/login", data={"token": TOKEN, "next": "/signals"})
        assert (entered.status_code, entered.headers["Location"]) == (303, "/signals")
        cookie = entered.headers["Set-Cookie"].lower()
        for attribute in ("httponly", "samesite=strict", "path=/", "max-age=43200"):
            assert attribute in cookie
        assert TOKEN not in cookie
        assert person.get("/signals").status_code == 200
        assert person.get("/api/v1/account").status_code == 200
        person.post("/logout")
        assert person.get("/signals").status_code == 303


def test_a_wrong_token_in_the_form_gives_no_cookie(server: BoardServer) -> None:
    for data in ({"token": "wrong"}, {"token": ""}, {}):
        answer = httpx2.post(server.url + "/login", data=data)
        assert answer.status_code == 401
        assert "That is not the token." in answer.text
        assert "Set-Cookie" not in answer.headers


def test_after_too_many_wrong_tokens_the_form_does_not_look_at_the_right_one(tmp_path: Path) -> None:
    with board_of(guarded(tmp_path, login_attempts_per_minute=3)) as server:
        codes = [httpx2.post(server.url + "/login", data={"token": f"guess {n}"}).status_code for n in range(4)]
        assert codes == [401, 401, 401, 429]
        late = httpx2.post(server.url + "/login", data={"token": TOKEN})
        assert (late.status_code, "Set-Cookie" in late.headers) == (429, False)
        assert 0 < int(late.headers["Retry-After"]) <= 60
        assert httpx2.get(server.url + "/api/v1/alerts", headers=BEARER).status_code == 200


def test_the_limit_of_attempts_moves_with_time() -> None:
    seconds = iter((0.0, 10.0, 20.0, 59.5, 60.5))
    attempts = Attempts(2, elapsed=lambda: next(seconds))
    attempts.count_wrong()
    assert attempts.wait_seconds() == 0
    attempts.count_wrong()
    assert [attempts.wait_seconds() for _ in range(3)] == [40, 1, 0]


def test_a_login_ends_and_a_forged_cookie_never_begins(tmp_path: Path) -> None:
    settings = guarded(tmp_path, session_hours=2)
    given = Sessions(TOKEN, clock=FixedClock(CLOCK), lasts=timedelta(hours=2)).cookie()
    other = Sessions("f" * 32, clock=FixedClock(CLOCK), lasts=timedelta(hours=2)).cookie()
    end, _, seal = given.partition(".")
    later = f"{int(end) + 3600}.{seal}"
    clock = FixedClock(CLOCK)
    cases = (
        *((1.9, given, 200), (2.0, given, 401), (0, later, 401), (0, other, 401)),
        *((0, "", 401), (0, ".", 401), (0, f"{end}.", 401), (0, f"x.{seal}", 401), (0, "\u00e9.\u00e9", 401)),
    )
    with BoardServer(settings, clock=clock) as server:
        for hours, cookie, status in cases:
            clock.instant = CLOCK + timedelta(hours=hours)
            assert raw(server, "/api/v1/alerts", headers=[("Cookie", f"{COOKIE}={cookie}")])[0] == status, cookie


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", "/x"])
def test_the_login_leads_to_pages_of_the_board_only(server: BoardServer, wanted: str) -> None:
    answer = httpx2.post(server.url + "/login", data={"token": TOKEN, "next": wanted})
    assert answer.headers["Location"] == "/"


def test_a_form_from_another_site_is_refused(server: BoardServer) -> None:
    for path in ("/login", "/logout"):
        foreign = httpx2.post(server.url + path, data={"token": TOKEN}, headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403
        own = httpx2.post(server.url + path, data={"token": TOKEN}, headers={"Origin": server.url})
        assert own.status_code == 303


def test_a_form_without_end_is_not_read_to_its_end(server: BoardServer) -> None:
    assert httpx2.post(server.url + "/login", content=b"token=" + b"x" * 100_000).status_code == 413


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_there_is_nothing_to_write(server: BoardServer, open_server: BoardServer, method: str) -> None:
    for path in (*GUARDED, f"/api/v1/signals/{iso(NOON)}", "/static/board.css"):
        assert raw(server, path, method=method)[0] in (401, 405), path
        assert raw(server, path, method=method, headers=tuple(BEARER.items()))[0] == 405, path
        assert raw(open_server, path, method=method)[0] == 405, path


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../errors.py",
        "/static/..%2f..%2f..%2ferrors.py",
        "/static/%2e%2e/%2e%2e/web/application.py",
        "/static/..\\..\\..\\errors.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/board.css%00.py",
        "/static/../api/v1/manifest",
        "/signals/../../etc/passwd",
        "/signals/..%2f..%2fruntime_manifest.json",
        "/api/v1/signals/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/signals/%2e%2e/lineage",
        "//api/v1/manifest",
        "/login/../api/v1/manifest",
        "/healthz/../metrics",
    ],
)
def test_a_path_leads_nowhere_but_to_a_route(server: BoardServer, open_server: BoardServer, path: str) -> None:
    for asked in (server, open_server):
        status, body = raw(asked, path)
        assert status in (303, 401, 404, 422), (path, status)
        for content in ("import ", "root:", "config_digest", "ETHUSDT"):
            assert content not in body


def test_every_answer_has_the_strict_headers_and_names_no_server(server: BoardServer) -> None:
    for path in ("/", "/login", "/nope", "/healthz", "/static/board.css", "/api/v1/alerts", "/api/v1/signals/x"):
        for headers in ({}, BEARER, {"Host": "evil.example"}):
            answer = httpx2.get(server.url + path, headers=headers)
            assert {name: answer.headers[name] for name in STRICT_HEADERS} == STRICT_HEADERS, path
            assert "Server" not in answer.headers
            assert "X-Powered-By" not in answer.headers
    policy = STRICT_HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_no_answer_holds_a_secret_of_the_settings(tmp_path: Path) -> None:
    """An error message quotes the URL it failed at, with the password in it."""
    password = "hunter2&<secret>"
    settings = guarded(tmp_path).model_copy(
        update={
            "mlflow_tracking_uri": f"nosuch://ann:{password}@bucket/mlflow",
            "postgres_url": "postgresql://ann:swordfish77@db.example/dagster",
            "inference": InferenceSettings(token=SecretStr("inference-token-of-this-host-0001")),
        }
    )
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "runtime_manifest.json").write_text(
        f'{{"note": "postgresql://ann:swordfish77@db", "token": "{TOKEN}", "config_digest": "x"}}'
    )
    (tmp_path / "home" / "kill_switch").write_text("pulled by inference-token-of-this-host-0001")
    with board_of(settings) as server:
        for path in (*GUARDED, "/api/v1/signals", "/api/v1/streams", "/api/v1/model", "/api/v1/alerts"):
            text = httpx2.get(server.url + path, headers=BEARER).text
            for secret in ("hunter2", "swordfish77", "inference-token-of-this-host-0001", TOKEN):
                assert secret not in text, (path, secret)
        assert "***" in httpx2.get(server.url + "/api/v1/manifest", headers=BEARER).text
        assert "pulled by ***" in httpx2.get(server.url + "/", headers=BEARER).text


def test_the_token_file_is_only_ever_read(tmp_path: Path) -> None:
    settings = guarded(tmp_path)
    path = settings.board.token_file
    assert path is not None
    before = path.stat()
    with board_of(settings):
        pass
    after = path.stat()
    assert (before.st_mtime_ns, stat.S_IMODE(before.st_mode)) == (after.st_mtime_ns, stat.S_IMODE(after.st_mode))
