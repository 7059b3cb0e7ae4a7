"""What users are told when a target does not work: one line that says what, where and what to do, and no secret."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.s3.errors import of_answer
from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.errors import IntegrityError, StoreBusy, StoreError, StoreUnusable, UsageError
from archive_tasks.settings import make_settings
from archive_tasks.testing.stores import put
from tests.fault_proxy import Fault, FaultProxy
from tests.servers import S3Server

CANARIES = {
    "AWS_ACCESS_KEY_ID": "AKIACANARYCANARY",
    "AWS_SECRET_ACCESS_KEY": "canary-secret",
    "AWS_SESSION_TOKEN": "canary-token",
}
StoreAt = Callable[..., S3Store]
MakeProxy = Callable[[str], FaultProxy]


def answer(code: str, status: int = 400, message: str = "", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": named},
    }


def told(code: str, status: int = 400, message: str = "", **headers: str) -> StoreError:
    return of_answer(answer(code, status, message, **headers), where="s3://b", doing="writing to")


# -- words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("AccessDenied", 403, "ask for the permission"),
        ("ExpiredToken", 400, "log in again"),
        ("InvalidAccessKeyId", 403, "check AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", 403, "check AWS_SECRET_ACCESS_KEY"),
        ("NoSuchBucket", 404, "run setup to create it"),
        ("PermanentRedirect", 301, "set archive.s3.region"),
        ("IllegalLocationConstraintException", 400, "set archive.s3.region"),
        ("InvalidLocationConstraint", 400, "set archive.s3.region"),
        ("BucketAlreadyExists", 409, "choose another"),
    ],
)
def test_what_no_retry_will_help_says_what_to_do(code: str, status: int, advice: str) -> None:
    error = told(code, status)
    assert isinstance(error, StoreUnusable)
    assert advice in str(error)


def test_an_unknown_refusal_shows_the_servers_words_in_one_short_harmless_line() -> None:
    said = str(told("Odd\u202eCode", 418, "first\nsecond \x9b31m \u202egnp.exe " + "x" * 500))
    assert "first second" in said
    assert len(said) < 400
    assert said.isprintable()


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"])
def test_a_servers_word_for_wrong_bytes_is_tried_again_and_does_not_stop_the_run(code: str) -> None:
    assert isinstance(told(code), IntegrityError)


def test_a_forgotten_upload_is_begun_anew_whatever_was_asked_of_it() -> None:
    error = told("NoSuchUpload", 404)
    assert isinstance(error, StoreBusy)
    assert error.start_over


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"x_amz_retry_after": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "-5"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_a_server_asks_for_is_seconds_or_unknown(headers: dict[str, str], seconds: float | None) -> None:
    error = told("SlowDown", 503, **headers)
    assert isinstance(error, StoreBusy)
    assert error.retry_after == seconds


# -- where the client never gets to ask ----------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["localhost:9000", "minio", "ftp://127.0.0.1:9", "http://[::1", "https://"])
def test_an_endpoint_that_is_no_address_is_a_mistake_in_the_settings(
    moto_s3: S3Server, store_at: StoreAt, endpoint: str
) -> None:
    with pytest.raises(UsageError, match=r"AWS_ENDPOINT_URL_S3 .* write https://host"):
        store_at(moto_s3, endpoint=endpoint).exists()


def test_a_password_in_the_endpoint_is_refused_and_not_repeated(moto_s3: S3Server, store_at: StoreAt) -> None:
    with pytest.raises(UsageError, match="holds a user or password") as caught:
        store_at(moto_s3, endpoint="http://user:canary@127.0.0.1:9").exists()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://192.0.2.1:9", "http://localhost.example:9"])
def test_clear_text_goes_to_this_machine_only_unless_allowed(
    moto_s3: S3Server, store_at: StoreAt, endpoint: str
) -> None:
    with pytest.raises(UsageError, match=r"archive\.s3\.allow_http"):
        store_at(moto_s3, endpoint=endpoint).exists()
    assert store_at(moto_s3, endpoint=endpoint, allow_http=True).client.boto.meta.endpoint_url == endpoint


def test_no_credentials_and_no_profile_are_told_apart(monkeypatch: pytest.MonkeyPatch, moto_s3: S3Server) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_s3.endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(StoreUnusable, match="no AWS credentials were found; set AWS_ACCESS_KEY_ID"):
        S3Store("s3://bucket", make_settings({}, {}, {})).exists()
    with pytest.raises(StoreUnusable, match=r"\(nobody\).*see archive\.s3\.profile"):
        S3Store("s3://bucket", make_settings({"s3": {"profile": "nobody"}}, {}, {})).exists()


def test_a_server_that_is_not_there_is_named_and_worth_another_try(moto_s3: S3Server, store_at: StoreAt) -> None:
    with pytest.raises(StoreBusy, match=r"the server at nowhere\.invalid cannot be reached"):
        store_at(moto_s3, endpoint="https://nowhere.invalid").exists()


def test_a_certificate_that_nobody_vouches_for_is_final(
    rclone_tls_s3: S3Server, store_at: StoreAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_at(rclone_tls_s3)
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(StoreUnusable, match=r"certificate is not trusted.*AWS_CA_BUNDLE"):
        store.exists()


# -- the bucket ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 400, 403])
def test_a_bucket_elsewhere_is_told_with_its_region(
    moto_s3: S3Server, store_at: StoreAt, fault_proxy: MakeProxy, status: int
) -> None:
    proxy = fault_proxy(moto_s3.endpoint)
    store = store_at(moto_s3, endpoint=proxy.endpoint)
    region = {"x-amz-bucket-region": "eu-central-1"}
    proxy.add(Fault("status", method="HEAD", times=9, status=status, headers=region))
    with pytest.raises(StoreUnusable, match=r"is in eu-central-1, but us-east-1 is set; set archive\.s3\.region"):
        store.exists()


def test_a_refused_look_at_the_bucket_says_why_although_the_answer_has_no_body(
    moto_s3: S3Server, store_at: StoreAt, fault_proxy: MakeProxy
) -> None:
    proxy = fault_proxy(moto_s3.endpoint)
    store = store_at(moto_s3, endpoint=proxy.endpoint)
    for status, code, advice in [(400, "ExpiredToken", "log in again"), (403, "SignatureDoesNotMatch", "secret key")]:
        proxy.faults[:] = [Fault("status", times=9, status=status, code=code)]
        with pytest.raises(StoreUnusable, match=advice):
            store.exists()
    proxy.faults[:] = [Fault("status", times=9, status=403, code="AccessDenied")]
    with pytest.raises(StoreUnusable, match="may not use this bucket, or it is somebody else's"):
        store.exists()


# -- secrets -------------------------------------------------------------------------------------------

FAULTS = [
    Fault("status", status=400, code="ExpiredToken"),
    Fault("status", status=403, code="InvalidAccessKeyId"),
    Fault("status", status=403, code="SignatureDoesNotMatch"),
    Fault("status", status=418, code="SomethingNew"),
    Fault("status", status=503),
    Fault("reset"),
    Fault("truncate_response"),
]


def test_no_message_and_no_log_shows_a_secret(
    moto_s3: S3Server,
    store_at: StoreAt,
    fault_proxy: MakeProxy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxy = fault_proxy(moto_s3.endpoint)
    store = store_at(moto_s3, endpoint=proxy.endpoint)
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.DEBUG)
    put(store, "there", b"x" * 100)
    said = []
    for fault in FAULTS:
        proxy.faults[:] = [Fault(fault.kind, times=9, status=fault.status, code=fault.code)]
        with pytest.raises(StoreError) as caught:
            b"".join(store.read("there"))
        said.append(str(caught.value))
    assert len(set(said)) >= 6, "each fault has its own words"
    assert proxy.requests, "and the canaries went out with each request"
    shown = "\n".join(said) + caplog.text + repr(store) + store.identity
    assert not [secret for secret in CANARIES.values() if secret in shown]


def test_a_profile_that_cannot_be_read_is_named(
    moto_s3: S3Server, store_at: StoreAt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default\nbroken")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(StoreUnusable, match="Unable to parse config file"):
        store_at(moto_s3, bucket="bucket").exists()
