"""The address in each mail: only a POST with the right signature removes the channel (RFC 8058)."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from api import unsubscribe
from prebooking.channels.unsubscribe import is_signed, unsubscribe_address
from tests.support.database import Connection, Database, Rest
from tests.support.functions import client_of, logged, set_environment
from tests.support.notifications import add_channel
from tests.support.world import ENVIRONMENT

pytestmark = pytest.mark.anyio

SECRET, ONE_CLICK = ENVIRONMENT["CRON_SECRET"], {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def tables(database: Database) -> Connection:
    return database.connection


@pytest.fixture
async def function(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    set_environment(monkeypatch, rest)
    async with client_of(unsubscribe.app) as client:
        yield client


def path(channel: UUID, secret: str = SECRET) -> str:
    """Return the path and the query of the address in a mail."""
    parts = urlsplit(unsubscribe_address("https://function.example", secret, channel))
    return f"{parts.path}?{parts.query}"


def channels(tables: Connection) -> list[UUID]:
    return [row for (row,) in tables.execute("select id from public.notification_channels").fetchall()]


async def test_a_post_removes_the_channel(function: httpx.AsyncClient, tables: Connection) -> None:
    mail, other = add_channel(tables, kind="mail"), add_channel(tables, kind="ntfy")
    answer = await function.post(path(mail), data=ONE_CLICK)
    assert answer.status_code == 200
    assert "no more of these messages" in answer.text
    assert channels(tables) == [other]


async def test_a_repeated_post_has_the_same_answer(function: httpx.AsyncClient, tables: Connection) -> None:
    mail = add_channel(tables, kind="mail")
    answers = [await function.post(path(mail)) for _ in range(2)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}


async def test_a_get_changes_nothing_and_shows_a_button(function: httpx.AsyncClient, tables: Connection) -> None:
    mail = add_channel(tables, kind="mail")
    answer = await function.get(path(mail))
    assert answer.status_code == 200
    assert '<form method="post"><button>Stop</button></form>' in answer.text
    assert channels(tables) == [mail]


async def test_a_page_is_in_the_language_of_the_browser(function: httpx.AsyncClient) -> None:
    answer = await function.get(path(uuid4()), headers={"accept-language": "es-ES,es;q=0.9,en;q=0.8"})
    assert '<html lang="es">' in answer.text
    assert "<button>Dejar de recibirlos</button>" in answer.text


async def test_a_page_is_stored_and_framed_nowhere(function: httpx.AsyncClient) -> None:
    answer = await function.get(path(uuid4()))
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("wrong", ["no key", "short key", "other channel", "other secret", "no channel", "ñ", "lone"])
async def test_a_wrong_address_removes_nothing(
    function: httpx.AsyncClient, tables: Connection, method: str, wrong: str
) -> None:
    mail = add_channel(tables, kind="mail")
    address = {
        "no key": path(mail).partition("&")[0],
        "short key": path(mail)[:-1],
        "other channel": path(mail).partition("&")[0] + "&" + path(uuid4()).partition("&")[2],
        "other secret": path(mail, "another-secret-of-the-cron"),
        "no channel": path(mail).replace(str(mail), "all"),
        "ñ": path(mail) + "%C3%B1",
        "lone": path(mail) + "%ED%A0%80",
    }[wrong]
    answer = await function.request(method, address)
    assert answer.status_code == 403
    assert "This link is not valid, or not any more" in answer.text
    assert "<form" not in answer.text
    assert channels(tables) == [mail]


async def test_an_address_from_before_a_rotation_works_while_the_old_secret_is_accepted(
    function: httpx.AsyncClient, tables: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = add_channel(tables, kind="mail")
    monkeypatch.setenv("CRON_SECRET", "the-next-secret-of-the-cron")
    assert (await function.post(path(mail))).status_code == 403
    monkeypatch.setenv("CRON_SECRET_PREVIOUS", SECRET)
    assert (await function.post(path(mail))).status_code == 200
    assert channels(tables) == []


async def test_without_a_secret_no_address_is_valid(
    function: httpx.AsyncClient, tables: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = add_channel(tables, kind="mail")
    monkeypatch.delenv("CRON_SECRET")
    assert (await function.post(path(mail, ""))).status_code == 403
    assert channels(tables) == [mail]


async def test_only_channels_of_mail_have_such_an_address(function: httpx.AsyncClient, tables: Connection) -> None:
    ntfy = add_channel(tables, kind="ntfy")
    assert (await function.post(path(ntfy))).status_code == 200
    assert channels(tables) == [ntfy]


@pytest.mark.parametrize(
    "broken", [{"SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_another_project"}, {"SMTP_URL": "canary"}], ids=str
)
async def test_a_broken_deployment_asks_to_try_again(
    function: httpx.AsyncClient,
    tables: Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: dict[str, str],
) -> None:
    mail = add_channel(tables, kind="mail")
    for name, value in broken.items():
        monkeypatch.setenv(name, value)
    answer = await function.post(path(mail))
    assert answer.status_code == 503
    assert "try again in a few minutes" in answer.text
    assert channels(tables) == [mail]
    (line,) = logged(capsys)
    assert line["level"] == "error"
    assert path(mail).rpartition("=")[2] not in str(line)


async def test_other_methods_and_paths_are_refused(function: httpx.AsyncClient) -> None:
    assert (await function.delete(path(uuid4()))).status_code == 405
    assert (await function.get("/api/unsubscribe/")).status_code == 404
    assert (await function.get("/docs")).status_code == 404


async def test_a_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = list[tuple[bytes, bytes]]()

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    channel = uuid4()
    right = path(channel).rpartition("=")[2]
    assert is_signed(channel, right, [SECRET, "another-secret-of-the-cron"])
    assert not is_signed(channel, "x", ["another-secret-of-the-cron", SECRET])
    assert len(compared) == 4, "every secret is compared, also after a match"
