"""The format of a log line, and the secrets that are redacted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from prebooking import log
from prebooking.http import isolated_client
from prebooking.log import Log, redact

ROW = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _set_up() -> Iterator[None]:
    """Set up logging, and restore all loggers after the test."""
    names = [None, "prebooking", "httpx", "httpcore", "h2", "hpack"]
    before = [(logger := logging.getLogger(name), logger.level, logger.handlers[:]) for name in names]
    log.set_up()
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the written lines, one JSON object per line."""
    written = capsys.readouterr()
    assert written.err == ""
    return [json.loads(line) for line in written.out.splitlines()]


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    [only] = lines(capsys)
    return only


def test_an_event_is_one_json_object_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Log().info("claimed", rows=3, note="two\nlines, and \u2028 one\rmore")
    written = line(capsys)
    at = datetime.fromisoformat(written.pop("at"))
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert written == {"level": "info", "event": "claimed", "rows": 3, "note": "two\nlines, and \u2028 one\rmore"}


def test_events_are_written_in_order_with_their_levels(capsys: pytest.CaptureFixture[str]) -> None:
    events = Log()
    events.info("one")
    events.warning("two")
    events.error("three")
    assert [(each["level"], each["event"]) for each in lines(capsys)] == [
        ("info", "one"),
        ("warning", "two"),
        ("error", "three"),
    ]


def test_bound_fields_are_in_every_line_of_their_own_log_only(capsys: pytest.CaptureFixture[str]) -> None:
    mine, other = Log(instance_id=ROW, vercel_id="cdg1::q7xv9-1701269265416-8d4f4bb3f4b1"), Log(instance_id=None)
    mine.info("one")
    other.info("two")
    mine.error("three", rows=1)
    one, two, three = lines(capsys)
    assert (one["instance_id"], three["instance_id"]) == (str(ROW), str(ROW))
    assert one["vercel_id"] == three["vercel_id"] == "cdg1::q7xv9-1701269265416-8d4f4bb3f4b1"
    assert ("vercel_id" in two, two["instance_id"]) == (False, None)


@pytest.mark.parametrize("value", [ROW, datetime(2030, 1, 7, tzinfo=UTC), ValueError, {"a": ROW}, [ROW], float("inf")])
def test_every_type_of_value_can_be_logged(capsys: pytest.CaptureFixture[str], value: object) -> None:
    Log().info("event", value=value)
    assert line(capsys)["event"] == "event"


def test_a_percent_sign_is_logged_literally(capsys: pytest.CaptureFixture[str]) -> None:
    Log().info("100 %s", value="%d %s %(name)s")
    written = line(capsys)
    assert (written["event"], written["value"]) == ("100 %s", "%d %s %(name)s")


def test_half_a_surrogate_pair_can_be_logged(capsys: pytest.CaptureFixture[str]) -> None:
    Log().info("event", value="\ud800")
    assert line(capsys)["value"] == "\ud800"


def test_text_fields_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    Log().warning("event", what="ana@example.com wants it", prebooking=ROW)
    assert line(capsys)["what"] == "[redacted] wants it"


SECRETS = {
    "an e-mail address": "ana@example.com",
    "an e-mail address with a tag": "ana.gil+gym@mail.example.co.uk",
    "an e-mail address outside ASCII": "begoña@correo.example",
    "an address's user information": "postgres://user:word@db.example/postgres",
    "a JSON web token": JWT,
    "a JSON web token without a signature": JWT.rpartition(".")[0] + ".",
    "a secret key": "sb_secret_0123456789_abc",
    "a secret key with dashes": "sb_secret_0123-4567-89_abc",
    "a short secret key": "sb_secret_x",
    "a publishable key": "sb_publishable_0123456789_abc",
    "a bearer": "Bearer short",
    "a bearer in lower case": "bearer short",
    "a bearer after many blanks": "Bearer    short",
    "a basic credential": "Basic dTpw",
    "32 hexadecimal digits": "0123456789abcdef0123456789abcdef",
    "44 characters of base64": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "a long token with dashes": "abcdefgh-ijklmnop-qrstuvwx-yz012345-678",
    "a hash of 64 digits": "0123456789abcdef" * 4,
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_secrets_are_redacted_anywhere_in_a_text(secret: str) -> None:
    assert redact(secret) == "[redacted]"
    assert redact(f"before {secret} after") == "before [redacted] after"
    assert secret not in redact(f'{{"key": "{secret}"}}')
    assert redact(f"{secret}\n{secret}") == "[redacted]\n[redacted]"


@pytest.mark.parametrize(
    "text",
    [
        str(ROW),
        str(ROW).upper(),
        f"prebooking {ROW}: booked",
        "ReadTimeout",
        "HTTP 503",
        "PGRST202",
        "claim_due_prebookings_v1",
        "the bearers of news",
        "2030-01-07T06:00:00.123456+00:00",
        "x" * 31,
    ],
)
def test_text_without_secrets_is_kept(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("long", ["one word and " * 1000, "ana@example.com " * 1000])
def test_a_long_text_is_redacted_before_it_is_cut(long: str) -> None:
    assert len(redact(long)) == 300
    assert "@" not in redact(long)


async def _call(url: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"set-cookie": f"session={JWT}"}))
    async with isolated_client(transport=transport) as client:
        await client.post(url, headers={"Authorization": f"Bearer {JWT}"}, json={"user_email": "ana@example.com"})


@pytest.mark.anyio
@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
async def test_libraries_are_silent_at_any_log_level_of_the_platform(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, level: int
) -> None:
    with caplog.at_level(level):
        log.set_up()
        await _call("https://book.example.com/secret-path?token=secret")
    assert [record for record in caplog.records if record.name.partition(".")[0] in ("httpx", "httpcore")] == []
    assert "secret" not in caplog.text
    assert lines(capsys) == []


def test_warnings_of_libraries_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("httpx").warning("something is wrong")
    assert caplog.messages == ["something is wrong"]


def test_our_lines_are_written_once(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up()
    log.set_up()
    Log().info("once")
    assert line(capsys)["event"] == "once"
    assert caplog.messages == []


def _goes_wrong(text: str) -> None:
    raise LookupError(text)


def test_an_unexpected_exception_is_logged_with_type_and_place_but_not_its_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        _goes_wrong("canary")
    except LookupError as exc:
        Log(instance_id=ROW).unexpected("unexpected", exc)
    written = line(capsys)
    assert (written["level"], written["exception"], written["instance_id"]) == ("error", "LookupError", str(ROW))
    first_line = _goes_wrong.__code__.co_firstlineno
    assert written["where"][-1] == f"test_log.py:{first_line + 1}"
    assert "canary" not in json.dumps(written)


def test_an_exception_that_was_never_raised_can_be_logged(capsys: pytest.CaptureFixture[str]) -> None:
    Log().unexpected("unexpected", KeyError("canary"))
    written = line(capsys)
    assert (written["exception"], written["where"]) == ("KeyError", [])
