"""Each fault does what its name says, as a client sees it that asks once."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from tests.support.fault_proxy import Fault, FaultProxy, Kind
from tests.support.fault_proxy import fault_proxy as open_proxy
from tests.support.servers import S3Server

DATA = os.urandom(64_000)
MakeProxy = Callable[[str], FaultProxy]


@dataclass(frozen=True)
class Bench:
    """A bucket of moto's, seen through a proxy and past it."""

    proxy: FaultProxy
    bucket: str
    through: Any
    past: Any

    def put(self, key: str = "key", data: bytes = DATA) -> None:
        self.through.put_object(Bucket=self.bucket, Key=key, Body=data)

    def get(self) -> bytes:
        body: bytes = self.through.get_object(Bucket=self.bucket, Key="key")["Body"].read()
        return body

    def stored(self) -> dict[str, bytes]:
        """What the server holds, whatever the client was told."""
        listed = self.past.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {one["Key"]: self.past.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read() for one in listed}


@pytest.fixture
def bench(moto_s3: S3Server, fault_proxy: MakeProxy) -> Bench:
    proxy = fault_proxy(moto_s3.endpoint)
    through = S3Server("proxied", proxy.endpoint).client()
    return Bench(proxy, moto_s3.make_bucket(), through, moto_s3.client())


# -- no fault ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["moto_s3", "strict_s3", "rclone_s3"])
def test_without_a_fault_everything_passes_as_it_is(
    server: str, request: pytest.FixtureRequest, fault_proxy: MakeProxy
) -> None:
    """Signatures too: rclone checks them, and they cover the host's name, which is passed on as the client wrote it."""
    s3: S3Server = request.getfixturevalue(server)
    client, bucket = S3Server("proxied", fault_proxy(s3.endpoint).endpoint).client(), s3.make_bucket()
    client.put_object(Bucket=bucket, Key="a key/ü", Body=DATA, Metadata={"name": "value"})
    head = client.head_object(Bucket=bucket, Key="a key/ü")
    assert (head["ContentLength"], list(head["Metadata"].values())) == (len(DATA), ["value"])
    assert client.get_object(Bucket=bucket, Key="a key/ü", Range="bytes=10-19")["Body"].read() == DATA[10:20]
    assert [one["Key"] for one in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a key/ü"]
    client.delete_object(Bucket=bucket, Key="a key/ü")
    with pytest.raises(ClientError, match="404"):
        client.head_object(Bucket=bucket, Key="a key/ü")


def test_an_upload_in_parts_passes(bench: Bench) -> None:
    place = {"Bucket": bench.bucket, "Key": "key"}
    upload = place | {"UploadId": bench.through.create_multipart_upload(**place)["UploadId"]}
    part = {"PartNumber": 1, "ETag": bench.through.upload_part(**upload, PartNumber=1, Body=DATA)["ETag"]}
    bench.through.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    assert bench.stored() == {"key": DATA}


def test_what_comes_by_is_recorded_in_order(bench: Bench) -> None:
    bench.put()
    bench.get()
    assert bench.proxy.requests == [("PUT", f"/{bench.bucket}/key"), ("GET", f"/{bench.bucket}/key")]


def test_a_client_that_asks_first_whether_to_go_on_is_told_so(bench: Bench) -> None:
    """boto3 asks so for every body that is a file, and waits a second for the answer (botocore: awsrequest.py)."""
    connection = http.client.HTTPConnection(*bench.proxy.server.server_address[:2], timeout=10)  # type: ignore[arg-type]
    connection.putrequest("PUT", f"/{bench.bucket}/key")
    for name, value in (("Content-Length", "4"), ("Expect", "100-continue")):
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.sock.recv(12) == b"HTTP/1.1 100"
    connection.close()


def test_the_environment_leads_through_the_proxy(
    moto_s3: S3Server, fault_proxy: MakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = fault_proxy(moto_s3.endpoint)
    for name, value in proxy.env(moto_s3).items():
        monkeypatch.setenv(name, value)
    boto3.Session().client("s3").list_buckets()
    assert [method for method, _ in proxy.requests] == ["GET"]


# -- which requests ------------------------------------------------------------------------------------


def test_a_fault_meets_only_its_method_and_path(bench: Bench) -> None:
    bench.proxy.add(Fault("status", method="PUT", contains="manifests/"))
    bench.put("data/one")
    with pytest.raises(ClientError, match="SlowDown"):
        bench.put("manifests/one")
    assert list(bench.stored()) == ["data/one"]


def test_a_fault_skips_as_many_requests_as_it_was_told_and_comes_as_often(bench: Bench) -> None:
    bench.proxy.add(Fault("status", method="PUT", skip=1, times=2))
    seen = []
    for number in range(4):
        try:
            bench.put(f"key{number}")
        except ClientError:
            seen.append(number)
    assert seen == [1, 2]


def test_faults_are_met_in_the_order_in_which_they_were_added(bench: Bench) -> None:
    for code in ("SlowDown", "InternalError"):
        bench.proxy.add(Fault("status", code=code))
    for code in ("SlowDown", "InternalError"):
        with pytest.raises(ClientError, match=code):
            bench.put()
    bench.put()


# -- on the way up -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset", "reset_mid_request"])
def test_after_a_reset_the_request_was_not_carried_out(bench: Bench, kind: Kind) -> None:
    bench.proxy.add(Fault(kind))
    with pytest.raises(ConnectionClosedError):
        bench.put()
    assert bench.stored() == {}


def test_a_reset_in_the_middle_comes_while_the_client_is_still_sending(bench: Bench) -> None:
    """More than any socket's buffer, so that the client cannot have sent it all."""
    bench.proxy.add(Fault("reset_mid_request"))
    with pytest.raises(BotoCoreError, match=r"[Cc]onnection"):
        bench.put(data=bytes(32_000_000))
    assert bench.stored() == {}


def test_a_lost_answer_leaves_the_request_carried_out(bench: Bench) -> None:
    bench.proxy.add(Fault("lost_answer"))
    with pytest.raises(ConnectionClosedError):
        bench.put()
    assert bench.stored() == {"key": DATA}


def test_a_bit_flipped_on_the_way_up_is_one_bit_of_what_is_stored(bench: Bench) -> None:
    bench.proxy.add(Fault("flip_request", method="PUT"))
    bench.put()
    assert different_bits(bench.stored()["key"], DATA) == 1


def test_an_empty_body_has_no_bit_to_flip(bench: Bench) -> None:
    bench.proxy.add(Fault("flip_request"))
    bench.put(data=b"")
    assert bench.stored() == {"key": b""}


# -- on the way down -----------------------------------------------------------------------------------


def test_a_bit_flipped_on_the_way_down_is_one_bit_of_what_is_read(bench: Bench) -> None:
    bench.put()
    bench.proxy.add(Fault("flip_response", method="GET"))
    assert different_bits(bench.get(), DATA) == 1
    assert bench.get() == DATA


def test_a_truncated_answer_ends_early_and_the_client_notices(bench: Bench) -> None:
    bench.put()
    bench.proxy.add(Fault("truncate_response", method="GET"))
    body = bench.through.get_object(Bucket=bench.bucket, Key="key")["Body"]
    assert body.read(1000) == DATA[:1000]
    with pytest.raises(BotoCoreError, match="32000 more expected"):
        body.read()


def test_a_dripping_answer_is_slow_and_whole(bench: Bench) -> None:
    bench.put()
    bench.proxy.add(Fault("drip", method="GET", seconds=0.4))
    begun = time.monotonic()
    assert bench.get() == DATA
    assert time.monotonic() - begun >= 0.4


def test_a_server_that_hangs_says_nothing_until_the_client_gives_up(moto_s3: S3Server, bench: Bench) -> None:
    impatient = Config(retries={"total_max_attempts": 1}, read_timeout=0.2)
    session = boto3.Session("key", "secret", region_name="us-east-1")
    bench.proxy.add(Fault("hang", seconds=2))
    with pytest.raises(ReadTimeoutError):
        session.client("s3", endpoint_url=bench.proxy.endpoint, config=impatient).list_buckets()


def test_a_server_that_hangs_closes_at_last_without_having_done_anything(bench: Bench) -> None:
    bench.proxy.add(Fault("hang", seconds=0.3))
    begun = time.monotonic()
    with pytest.raises(ConnectionClosedError):
        bench.put()
    assert time.monotonic() - begun >= 0.3
    assert bench.stored() == {}


def test_a_status_is_answered_with_its_code_and_headers_and_nothing_is_done(bench: Bench) -> None:
    bench.proxy.add(Fault("status", status=503, code="SlowDown", headers={"Retry-After": "7"}))
    with pytest.raises(ClientError) as caught:
        bench.put()
    answer = caught.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (503, "SlowDown")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"
    assert bench.stored() == {}


def test_a_status_in_answer_to_head_has_no_body_and_the_connection_goes_on(bench: Bench) -> None:
    """A body after HEAD would be read as the beginning of the next answer."""
    bench.put()
    bench.proxy.add(Fault("status", method="HEAD", status=403, code="AccessDenied"))
    with pytest.raises(ClientError, match="403"):
        bench.through.head_object(Bucket=bench.bucket, Key="key")
    assert bench.get() == DATA


def test_a_proxy_is_gone_after_its_test(moto_s3: S3Server) -> None:
    with open_proxy(moto_s3.endpoint) as proxy:
        S3Server("proxied", proxy.endpoint).client().list_buckets()
    with pytest.raises(BotoCoreError, match="Could not connect"):
        S3Server("proxied", proxy.endpoint).client().list_buckets()


def different_bits(one: bytes, other: bytes) -> int:
    assert len(one) == len(other)
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
