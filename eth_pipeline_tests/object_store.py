"""An S3-compatible server on loopback for tests: moto's, which serves one request at a time.

Belongs here: starting it, and what tests ask it about the requests it saw. Does not belong: assertions.

One request at a time, because moto looks whether an object exists and stores it in two steps: of two conditional
writes at once both could succeed, which no store that is fit for a lake does.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any

KEY_ID, SECRET = "key-of-the-lake", "secret-of-the-lake"
Answer = Callable[..., Any]


@dataclass
class ObjectStore:
    """A running store with one bucket.

    Attributes:
        url: of the store.
        bucket: its name.
        key_ids: who signed the requests.
        refused: paths of the conditional writes that came too late.
        honest: False makes the store overlook the condition of a write, as old ones do.
        overtake: called once, when the next commit of a table arrives and before it is looked at: what it writes
            comes first.
    """

    url: str = ""
    bucket: str = "lake"
    key_ids: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    honest: bool = True
    overtake: Callable[[], object] | None = None
    _one_at_a_time: Lock = field(default_factory=Lock)

    def environment(self, prefix: str) -> dict[str, str]:
        """The settings of a process whose lake lies below `prefix` of the bucket."""
        names = {"endpoint_url": self.url, "region": "us-east-1", "access_key_id": KEY_ID, "secret_access_key": SECRET}
        store = {f"ETH_PIPELINE_LAKE_STORE__{name.upper()}": value for name, value in names.items()}
        return {"ETH_PIPELINE_LAKE_URL": f"s3://{self.bucket}/{prefix}", **store}

    def options(self) -> dict[str, Any]:
        """The same as the section `lake_store` of the settings."""
        return {"endpoint_url": self.url, "region": "us-east-1", "access_key_id": KEY_ID, "secret_access_key": SECRET}

    def watching(self, application: Answer) -> Answer:
        """`application` with every request looked at on its way."""

        def answer(request: dict[str, Any], start: Answer) -> Iterable[bytes]:
            signed = request.get("HTTP_AUTHORIZATION", "")
            if "Credential=" in signed:
                self.key_ids.add(signed.split("Credential=")[1].split("/")[0])
            is_commit = request["REQUEST_METHOD"] == "PUT" and "/_delta_log/0" in request["PATH_INFO"]
            if is_commit and (other := self.overtake) is not None:
                self.overtake = None
                other()
            if not self.honest:
                request.pop("HTTP_IF_NONE_MATCH", None)

            def note(status: str, headers: Any, *more: Any) -> Any:
                if status.startswith("412"):
                    self.refused.append(request["PATH_INFO"])
                return start(status, headers, *more)

            with self._one_at_a_time:
                found: Iterable[bytes] = application(request, note)
                return [b"".join(found)]

        return answer


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """A store with an empty bucket, on a free port."""
    import boto3
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open, as a store's do

        def log(self, *_: Any) -> None:
            """Nothing."""

    store = ObjectStore()
    # S3 alone: moto's own choice of a service looks through the folders of all of them, twice for each request.
    application = store.watching(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Silent)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        client = boto3.client(
            "s3",
            endpoint_url=store.url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )
        client.create_bucket(Bucket=store.bucket)
        store.key_ids.clear()
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
