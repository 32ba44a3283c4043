"""Accepted and refused settings of notifications, and addresses of channels: a member chooses no host."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from prebooking.channels import kinds_set_up
from prebooking.channels.addresses import address_problem
from prebooking.channels.settings import MailServer, NotificationSettings, signing_key
from prebooking.errors import SettingsError
from tests.support.messages import BOT_TOKEN, WEBHOOK_SECRET, notification_settings
from tests.unit.test_settings_addresses import ENVIRONMENT, NO_ADDRESS, NOT_AN_ENDPOINT

ALL = {
    "NOTIFY_WEBHOOK_URL": "https://told.example.com/prebookings?to=us",
    "NOTIFY_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "SMTP_URL": "smtps://ana:secret@mail.example.com",
    "MAIL_FROM": "classes@example.com",
    "NTFY_URL": "https://ntfy.example.com",
    "NTFY_TOKEN": "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
    "TELEGRAM_BOT_TOKEN": BOT_TOKEN,
    "APP_URL": "https://app.example.com",
}


def problems(**environment: str) -> dict[str, str]:
    """Return the messages about a deployment with all settings and these changes."""
    try:
        NotificationSettings.from_environment(ENVIRONMENT | ALL | environment)
    except SettingsError as exc:
        return exc.problems
    return {}


def test_without_settings_ntfy_is_set_up_at_its_public_server() -> None:
    settings = notification_settings()
    assert kinds_set_up(settings) == ["ntfy"]
    assert settings.ntfy_url == "https://ntfy.sh"


def test_all_settings_together_are_accepted() -> None:
    assert kinds_set_up(NotificationSettings.from_environment(ENVIRONMENT | ALL)) == [
        *("webhook", "mail", "ntfy", "telegram"),
    ]


@pytest.mark.parametrize("name", ["NOTIFY_WEBHOOK_URL", "NTFY_URL", "APP_URL"])
@pytest.mark.parametrize("address", NO_ADDRESS + NOT_AN_ENDPOINT)
def test_an_unsafe_host_is_refused(name: str, address: str) -> None:
    assert list(problems(**{name: address})) == [name]


@pytest.mark.parametrize("name", ["NTFY_URL", "APP_URL"])
@pytest.mark.parametrize("rest", ["/topic", "/?a=b", "?a=b", "//"])
def test_a_server_is_given_without_a_path(name: str, rest: str) -> None:
    assert list(problems(**{name: "https://ntfy.example.com" + rest})) == [name]


@pytest.mark.parametrize(
    "url",
    [
        *("mail.example.com", "https://mail.example.com", "smtp:mail.example.com", "smtp://", "smtps://ana@"),
        *("smtp://ana@mail.example.com", "smtp://ana:@mail.example.com", "smtp://:secret@mail.example.com"),
        *(
            "smtp://ana:se@cret@mail.example.com",
            "smtp://ana:se/cret@mail.example.com",
            "smtp://ana:se#cret@mail.example.com",
        ),
        *("smtp://mail.example.com/inbox", "smtp://mail.example.com?tls=no", "smtp://mail.example.com#x"),
        *("smtp://mail.example.com:25", "smtps://mail.example.com:587", "smtp://mail.example.com:465"),
        *("smtp://mail.example.com:0", "smtp://mail.example.com:99999", "smtp://mail.example.com:5x7"),
        *("smtp://localhost", "smtp://127.0.0.1", "smtp://127.1", "smtp://2130706433", "smtp://0x7f000001"),
        *("smtp://0177.0.0.1", "smtp://[::1]", "smtp://[::ffff:127.0.0.1]", "smtp://[fe80::1%25eth0]"),
        *("smtp://169.254.169.254", "smtp://10.0.0.1", "smtp://8.8.8.8", "smtp://0.0.0.0", "smtp://mail"),
        *("smtp://mail.local", "smtp://mail.internal", "smtp://mail.example.com.", "smtp://mail..example.com"),
        *("smtp://%6cocalhost", "smtp://mail.example.com%00.example", "smtp://mäil.example.com"),
        *("smtp://mail。example.com", "smtp://mail.exam\nple.com", "smtp://mail.example.com\r\nRCPT TO:<a@b.de>"),
        *("smtp://ana:%0d%0aRSET@mail.example.com", "smtp://ana%00:b@mail.example.com", " smtp://mail.example.com"),
        *("smtp://mail.example.com\\@evil.example", "smtp://ana:b@mail.example.com@evil.example"),
    ],
)
def test_an_unsafe_mail_server_is_refused(url: str) -> None:
    assert list(problems(SMTP_URL=url)) == ["SMTP_URL"]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtps://mail.example.com", MailServer("mail.example.com", 465, tls=True)),
        ("smtp://mail.example.com/", MailServer("mail.example.com", 587, tls=False)),
        ("SMTP://MAIL.example.com:2525", MailServer("mail.example.com", 2525, tls=False)),
        (
            f"smtps://{quote('ana@b.de', safe='')}:{quote('p@ss/word:100%', safe='')}@mail.example.com:465",
            MailServer("mail.example.com", 465, tls=True, user="ana@b.de", password="p@ss/word:100%"),
        ),
    ],
)
def test_a_mail_server_is_read(url: str, server: MailServer) -> None:
    assert problems(SMTP_URL=url) == {}
    assert MailServer.parse(url) == server
    assert not server.local


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_in_the_local_stack_the_mail_server_is_on_this_machine(host: str) -> None:
    server = notification_settings(SMTP_URL=f"smtp://{host}:1025", MAIL_FROM="a@example.com").mail_server
    assert server is not None
    assert server.local


@pytest.mark.parametrize(
    "secret",
    [
        *("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_%%%"),
        *("whsec_" + base64.b64encode(bytes(23)).decode(), "whsec_" + base64.b64encode(bytes(65)).decode()),
        *("whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ],
)
def test_a_secret_of_another_form_is_refused(secret: str) -> None:
    assert list(problems(NOTIFY_WEBHOOK_SECRET=secret)) == ["NOTIFY_WEBHOOK_SECRET"]


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_24_to_64_bytes_is_read(size: int) -> None:
    assert signing_key("whsec_" + base64.b64encode(bytes(size)).decode()) == bytes(size)


@pytest.mark.parametrize(
    "token",
    ["bot" + BOT_TOKEN, "123456789", "123456789:short", BOT_TOKEN + "/../x", BOT_TOKEN + "\n", BOT_TOKEN + "?a=b"],
)
def test_a_bot_token_of_another_form_is_refused(token: str) -> None:
    """It is a part of the URL."""
    assert list(problems(TELEGRAM_BOT_TOKEN=token)) == ["TELEGRAM_BOT_TOKEN"]


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ("NOTIFY_WEBHOOK_URL", "NOTIFY_WEBHOOK_SECRET"),
        ("NOTIFY_WEBHOOK_SECRET", "NOTIFY_WEBHOOK_URL"),
        ("SMTP_URL", "MAIL_FROM"),
        ("MAIL_FROM", "SMTP_URL"),
    ],
)
def test_the_other_half_of_a_pair_is_named(there: str, missing: str) -> None:
    assert there in problems(**{missing: ""})[missing]


def test_no_message_and_no_text_shows_a_value() -> None:
    secret = "hunter2hunter2hunter2"
    broken = dict.fromkeys(ALL, f"http://{secret}@10.0.0.1/\n")
    found = problems(**broken)
    assert set(found) == set(ALL)
    assert secret not in str(found)
    settings = notification_settings(**{**ALL, "SMTP_URL": f"smtp://ana:{secret}@mail.example.com"})
    assert secret not in repr(settings) + repr(settings.mail_server)
    assert WEBHOOK_SECRET not in repr(settings)
    assert BOT_TOKEN not in repr(settings)


HOSTILE_MAIL = [
    *("", "ana", "@example.com", "ana@", "ana@localhost", "ana@intranet", "ana@mail.local", "ana@mail.internal"),
    *("ana@127.0.0.1", "ana@[127.0.0.1]", "ana@[IPv6:::1]", "ana@2130706433", "ana@0x7f.0.0.1", "ana@example.com."),
    *("ana@example..com", "ana@.example.com", "ana@-example.com", "ana@example.com:25", "ana@exam_ple.com"),
    *("ana@bücher.example.com", "aña@example.com", "ana@example。com", "ana@example.com%00", "ana@ex%61mple.com"),
    *("ana%evil.example@example.com", "evil.example!ana@example.com", "@a.example:ana@example.com", "ana@a@b.example"),
    *('"ana"@example.com', "Ana <ana@example.com>", "<ana@example.com>", "ana@example.com,eve@example.com"),
    *(
        "ana@example.com;eve@example.com",
        "ana@example.com\nBcc: eve@example.com",
        "ana@example.com\r\nRCPT TO:<e@b.de>",
    ),
    *("ana@example.com\n", " ana@example.com", "ana @example.com", "ana@example.com(a comment)", "ana..b@example.com"),
    *(".ana@example.com", "ana.@example.com", "a" * 65 + "@example.com", "ana@" + "a." * 120 + "example.com"),
    *("ana@example.com\x00", "ana\\@example.com", "ana@https://example.com", "mailto:ana@example.com"),
]
HOSTILE_TOPICS = [
    *("", "a/b", "/a", "a/", "..", ".", "a.b", "a?b", "a#b", "a b", "a%2Fb", "a\nb", "a\r\nX: y", "a\n", "ñ"),
    *("a@b", "a:b", "a\\b", "a,b", "https://evil.example/a", "//evil.example", "x" * 65, "docs", "v1", "account"),
]
HOSTILE_CHATS = [
    *("", "0", "-0", "007", "+1", "1.5", "1e3", "0x10", "١٢٣", "1 2", " 1", "1\n", "1,2", "--1", "-", "@someone"),
    *("1/../x", "9" * 20, "true", "null", '1"', "1&text=x", "https://t.me/someone"),
]


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        *(("mail", address) for address in HOSTILE_MAIL),
        *(("ntfy", address) for address in HOSTILE_TOPICS),
        *(("telegram", address) for address in HOSTILE_CHATS),
        *(("webhook", address) for address in ("https://evil.example", "/", " ")),
        *(("smoke", address) for address in ("", "a")),
    ],
)
def test_a_hostile_address_is_refused_without_showing_it(kind: str, address: str) -> None:
    problem = address_problem(kind, address)
    assert problem is not None
    assert len(address) < 5 or address in "@example.com" or address not in problem


@pytest.mark.parametrize("sender", HOSTILE_MAIL[1:])
def test_a_hostile_sender_is_refused(sender: str) -> None:
    assert list(problems(MAIL_FROM=sender)) == ["MAIL_FROM"]


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        *(("mail", address) for address in ("ana@example.com", "ANA.b+c@Mail.Example.com", "a@xn--bcher-kva.example")),
        *(("mail", address) for address in ("o'brien@example.com", "1@4711.example.com", "a" * 64 + "@example.com")),
        *(("ntfy", address) for address in ("classes", "Classes_of-Ana", "x" * 64, "docs-of-ana")),
        *(("telegram", address) for address in ("1", "123456789", "-1001234567890")),
        ("webhook", ""),
    ],
)  # fmt: skip
def test_a_usual_address_is_accepted(kind: str, address: str) -> None:
    assert address_problem(kind, address) is None
