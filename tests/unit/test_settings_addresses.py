"""Accepted and refused URLs of the database, the booking endpoint and the watchdog."""

from __future__ import annotations

import pytest

from prebooking.errors import SettingsError
from prebooking.settings import Settings, WatchSettings
from tests.support.world import ENVIRONMENT as LOCAL

ENVIRONMENT = LOCAL | {
    "SUPABASE_URL": "https://project.supabase.co",
    "BOOKING_WEBHOOK_URL": "https://book.example.com/prebookings",
}

NO_ADDRESS = [
    *("project.supabase.co", "//project.example.com", "https:project.example.com", "https:/project.example.com"),
    *("https:///project.example.com", "https://", "https://:443", "ftp://project.example.com"),
    *("postgres://project.example.com", "javascript:alert(1)", "file:///etc/hosts"),
    *("https://project.example.com and more", " https://project.example.com", "https://project.example.com "),
    *("https://project.example.com\n", "https://project.example.com\r\nX-Header: 1", "https://project.example.com\t"),
    *("https://proj\x00ect.example.com", "https://bücher.example.com", "https://project。example.com"),
    *("https://project.example.com\\@evil.example", "https://user@project.example.com"),
    *("https://user:word@project.example.com", "https://@project.example.com"),
    *("https://project.example.com/#fragment", "https://project.example.com:0", "https://project.example.com:65536"),
    *("https://project.example.com:-1", "https://project.example.com:4x3", "https://[::1", "https://[zz]"),
    *("https://[v1.host]/book", "https://project.example.com#", "https://project.example.com;a"),
    "https://project.example.com%00.example",
]

NOT_THE_DATABASE = [
    *("https://project.supabase.co/rest/v1", "https://project.supabase.co//", "https://project.supabase.co/?a=b"),
    *("https://project.supabase.co?a=b", "https://project.supabase.co?", "https://project.supabase.co/?"),
    *("http://134744072", "http://0x08080808", "http://0x8.8.8.8", "http://8.8.2056"),
    *("https://project.supabase.co/%20", "http://project.supabase.co", "http://project.supabase.co:8000"),
    *("http://8.8.8.8", "http://100.64.0.1", "http://[2606:4700::1111]", "http://127.0.0.1.example.com"),
    *("http://localhost.example.com", "http://internal.example"),
]

NOT_AN_ENDPOINT = [
    *("http://book.example.com", "http://localhost/book", "http://127.0.0.1/book", "https://8.8.8.8/book"),
    *("https://127.0.0.1/book", "https://127.1/book", "https://127.0.0.1./book", "https://2130706433/book"),
    *("https://0x7f000001/book", "https://0x7f.0.0.1/book", "https://0177.0.0.1/book", "https://017700000001/book"),
    *("https://0.0.0.0/book", "https://10.0.0.1/book", "https://192.168.1.1/book"),
    *("https://169.254.169.254/latest/meta-data", "https://100.64.0.1/book", "https://[::1]/book"),
    *("https://[::]/book", "https://[::ffff:127.0.0.1]/book", "https://[fe80::1%25eth0]/book"),
    *("https://[fd00::1]/book", "https://[2606:4700::1111]/book", "https://1.2.3/book", "https://localhost/book"),
    *("https://LOCALHOST./book", "https://book.localhost/book", "https://intranet/book", "https://book.local/book"),
    *("https://book.lan/book", "https://BOOK.INTERNAL/book", "https://metadata.google.internal/book"),
    *("https://router.home.arpa/book", "https://book.example.com./book", "https://book.local./book"),
    *("https://book..example.com/book", "https://.example.com/book", "https://-book.example.com/book"),
    *("https://book-.example.com/book", "https://bo_ok.example.com/book", "https://%6cocalhost/book"),
    *("https://book.example.com%00.example/book", "https://book.example.123/book"),
]


def refused(**environment: str) -> list[str]:
    """Return the names of the refused variables."""
    try:
        Settings.from_environment(ENVIRONMENT | environment)
        WatchSettings.from_environment(ENVIRONMENT | environment)
    except SettingsError as exc:
        return list(exc.problems)
    return []


@pytest.mark.parametrize("address", NO_ADDRESS + NOT_THE_DATABASE)
def test_an_invalid_database_address_is_refused(address: str) -> None:
    assert refused(SUPABASE_URL=address) == ["SUPABASE_URL"]


@pytest.mark.parametrize("name", ["BOOKING_WEBHOOK_URL", "HEARTBEAT_URL"])
@pytest.mark.parametrize("address", NO_ADDRESS + NOT_AN_ENDPOINT)
def test_an_invalid_address_is_refused(address: str, name: str) -> None:
    assert refused(**{name: address}) == [name]


@pytest.mark.parametrize(
    "address",
    [
        *("https://project.supabase.co", "https://project.supabase.co/", "https://PROJECT.supabase.co:443"),
        *("https://db.gym.example", "http://localhost:54321", "http://127.0.0.1:54321", "http://[::1]:54321"),
        *("http://10.0.0.1:8000", "http://kong:8000", "http://supabase.internal:8000"),
    ],
)
def test_the_database_may_use_http_only_on_a_private_host(address: str) -> None:
    assert refused(SUPABASE_URL=address) == []


@pytest.mark.parametrize(
    "address",
    [
        *("https://book.example.com", "https://book.example.com:8443/a/path?with=a&query"),
        *("https://book.example.com/@path", "HTTPS://BOOK.EXAMPLE.COM/Path", "https://xn--bcher-kva.example/book"),
        *("https://book.xn--p1ai/book", "https://1.2.3.4.example/book", "https://4711.example.com"),
        "https://a-b--c.example.com",
    ],
)
def test_the_endpoint_and_the_watchdog_must_be_https_at_a_public_name(address: str) -> None:
    assert refused(BOOKING_WEBHOOK_URL=address, HEARTBEAT_URL=address) == []


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9/book", "http://localhost/book", "http://[::1]/book"])
@pytest.mark.parametrize("database", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_with_a_local_database_the_endpoint_may_be_local(database: str, endpoint: str) -> None:
    assert refused(SUPABASE_URL=database, BOOKING_WEBHOOK_URL=endpoint) == []


@pytest.mark.parametrize(
    "endpoint",
    [
        *("http://10.0.0.1/book", "http://192.168.1.1/book", "http://169.254.169.254/book", "http://0.0.0.0/book"),
        *("http://intranet/book", "http://book.local/book", "http://book.example.com/book"),
        *("http://localhost.example.com/book", "http://user@127.0.0.1/book", "https://10.0.0.1/book"),
    ],
)
def test_with_a_local_database_other_unsafe_endpoints_are_refused(endpoint: str) -> None:
    assert refused(SUPABASE_URL="http://127.0.0.1:1", BOOKING_WEBHOOK_URL=endpoint) == ["BOOKING_WEBHOOK_URL"]


@pytest.mark.parametrize("database", ["https://project.supabase.co", "http://10.0.0.1", "http://kong:8000", "bad"])
def test_with_a_remote_database_a_local_endpoint_is_refused(database: str) -> None:
    assert "BOOKING_WEBHOOK_URL" in refused(SUPABASE_URL=database, BOOKING_WEBHOOK_URL="http://127.0.0.1:9/book")


@pytest.mark.parametrize("name", ["SUPABASE_URL", "BOOKING_WEBHOOK_URL", "HEARTBEAT_URL"])
@pytest.mark.parametrize("address", ["https://book.example.com:hunter2/x", "https://[hunter2]/x"])
def test_an_unreadable_address_is_refused_without_showing_it(name: str, address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        (WatchSettings if name == "HEARTBEAT_URL" else Settings).from_environment(LOCAL | {name: address})
    assert name in caught.value.problems
    assert "hunter2" not in str(caught.value)
