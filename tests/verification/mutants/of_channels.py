"""Mutants of channels: their addresses and settings, what is known after an attempt, and the way out of a mail."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

SETTINGS = "unit/notification_settings::"

OF_ADDRESSES = [
    *mutants(
        "prebooking/channels/addresses.py",
        *noticed_by(
            SETTINGS + "a_hostile_address_is_refused_without_showing_it",
            ("[\\w-]{1,64}", "[\\w.-]{1,64}"),
            ("[\\w-]{1,64}", "[\\w-]+"),
            ("not _TOPIC.fullmatch(address)", "not _TOPIC.match(address)"),
            ("not _CHAT.fullmatch(address)", "not address.lstrip('-').isdigit()"),
            ("_MAIL_NAME.fullmatch(name)", "_MAIL_NAME.match(name)"),
            ("len(name) > 64 or ", ""),
            ("or len(value) > 254", ""),
            ("    if not is_public_name(domain):", "    if not domain:"),
            ("bool(_NAME.fullmatch(host)) and ", ""),
            ('if kind not in ("mail", "ntfy", "telegram"):', "if False:"),
        ),
    ),
    *mutants(
        "prebooking/channels/settings.py",
        *noticed_by(
            SETTINGS + "a_secret_of_another_form_is_refused",
            ("not 24 <= len(key) <= 64", "not len(key)"),
            ('not secret.startswith("whsec_") or', ""),
            ("validate=True", "validate=False"),
        ),
        ("[\\w-]{30,100}", ".{30,100}", SETTINGS + "a_bot_token_of_another_form_is_refused"),
        *noticed_by(
            SETTINGS + "an_unsafe_mail_server_is_refused",
            ("not _MAIL_URL.fullmatch(url)", "not _MAIL_URL.match(url)"),
            ("not (user + password).isprintable()", "False"),
            ("usual if port is None else port", "port or usual"),
            ("        if not is_public_name(server.host):", "        if False:"),
            ('if is_loopback(info.data.get("supabase_url", "")) and server.local:', "if server.local:"),
            ("_OTHER_PORTS: Final = (2525,)", "_OTHER_PORTS: Final = (25, 2525)"),
        ),
        *noticed_by(
            SETTINGS + "a_mail_server_is_read",
            ('parts.scheme == "smtps", user', "True, user"),
            ('unquote(parts.password or "")', '(parts.password or "")'),
        ),
        (
            'user: str = field(default="", repr=False)\n    password: str = field(default="", repr=False)',
            'user: str = field(default="", repr=False)\n    password: str = field(default="")',
            SETTINGS + "no_message_and_no_text_shows_a_value",
        ),
        ("missing in (pair, pair[::-1])", "missing in (pair,)", SETTINGS + "the_other_half_of_a_pair_is_named"),
        ("public_address(value, database", "value or str(database", SETTINGS + "an_unsafe_host_is_refused"),
        *noticed_by(
            SETTINGS + "a_server_is_given_without_a_path",
            ('not in ("", "/") or "?" in value', 'not in ("", "/")'),
            ('@field_validator("ntfy_url", "app_url")', '@field_validator("ntfy_url")'),
        ),
    ),
]

OF_SENDING = [
    *mutants(
        "prebooking/channels/post.py",
        ("if started else", "if False else", "http_channels::no_answer_is_unsure"),
        ("if started else", "if True else", "http_channels::a_refused_connection_sends_nothing"),
        ("httpx.codes.is_success(reply.status):", "reply.status < 400:", "http_channels::a_redirect_is_not_followed"),
        (
            "SendResult.GONE if reply.status == httpx.codes.GONE else SendResult.NOT_SENT",
            "SendResult.NOT_SENT",
            "http_channels::410_means_that_the_receiver_is_gone",
        ),
    ),
    *mutants(
        "prebooking/channels/webhook.py",
        *noticed_by(
            "http_channels::the_reference_library_verifies_a_webhook",
            ('f"{message.id}.{at}."', 'f"{at}.{message.id}."'),
            (".encode() + body, hashlib", ".encode(), hashlib"),
            ('"webhook-id": str(message.id)', '"webhook-id": at'),
            ("message.at.isoformat()", "now.isoformat()"),
        ),
    ),
    *mutants(
        "prebooking/channels/ntfy.py",
        ('"X-Sequence-ID": str(message.id),', "", "http_channels::a_message_on_ntfy_has_its_id_as_the_sequence_id"),
        ("[:_LONGEST]", "", "http_channels::a_long_text_on_ntfy_stays_a_text"),
        ("if token else {}", "", "http_channels::without_a_token_ntfy_gets_none"),
        (
            'if address_problem("ntfy", message.address):',
            "if False:",
            "http_channels::an_address_that_was_written_by_hand_is_checked_again",
        ),
        ('" ".join(message.subject.split())', "message.subject", "http_channels::a_subject_cannot_add_a_header"),
    ),
    *mutants(
        "prebooking/channels/telegram.py",
        *noticed_by(
            "http_channels::another_refusal_of_telegram_is_tried_again",
            ("|chat not found", "|"),
            ('body.get("ok") is not False and ', ""),
        ),
        ("blocked by the user|", "", "http_channels::a_chat_that_cannot_be_written_to_is_gone"),
        ("if message.unsure:", "if False:", "http_channels::telegram_is_told_that_a_message_may_be_a_repetition"),
        (
            "(httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.GATEWAY_TIMEOUT)",
            "()",
            "http_channels::a_failure_between_us_and_telegram_is_unsure",
        ),
        ("[:_LONGEST]", "", "http_channels::a_long_text_to_telegram_is_cut"),
        (
            'if address_problem("telegram", message.address):',
            "if False:",
            "http_channels::an_address_that_was_written_by_hand_is_checked_again",
        ),
    ),
    *mutants(
        "prebooking/channels/mail.py",
        *noticed_by(
            "mail_channel::without_an_answer_a_mail_is_unsure_from_its_text_on",
            ("    if maybe_taken:\n", "    if False:\n"),
            ("                data.set()\n                await smtp.data", "                await smtp.data"),
            (
                "                await smtp.rcpt(message.address)\n                data.set()\n",
                "                data.set()\n                await smtp.rcpt(message.address)\n",
            ),
        ),
        (
            "None if server.tls or server.local else True",
            "None",
            "mail_channel::a_remote_server_without_starttls_gets_nothing",
        ),
        (" and 400 <= exc.code < 600:", ":", "mail_channel::an_answer_to_the_text_that_cannot_be_read_is_unsure"),
        *noticed_by(
            "mail_channel::an_answer_is_clear",
            ('and not exc.message.startswith("5.7.")', ""),
            ("isinstance(exc, aiosmtplib.SMTPRecipientRefused) and no_mailbox", "no_mailbox"),
            ("    with suppress(Exception):", "    with suppress(ValueError):"),
        ),
        (
            'f"<{message.id}@{self._domain}>"',
            'f"<{message.at.timestamp()}@{self._domain}>"',
            "mail_channel::the_message_id_is_the_same_in_every_attempt",
        ),
        *noticed_by(
            "mail_channel::a_mail_has_a_one_click_unsubscribe",
            ("max_line_length=998", "max_line_length=78"),
            ('mail["List-Unsubscribe-Post"] =', 'mail["X-Post"] ='),
        ),
        (
            "maxlinelen=76",
            "maxlinelen=998",
            "mail_channel::a_long_subject_is_in_encoded_words_that_every_mailbox_can_read",
        ),
        ('" ".join(message.subject.split())', "message.subject", "mail_channel::a_class_name_cannot_add_a_header"),
        (
            'if address_problem("mail", message.address):',
            "if False:",
            "mail_channel::an_address_that_was_written_by_hand_is_checked_again",
        ),
        ('return Delivery(SendResult.NOT_SENT, "login_refused")', "pass", "mail_channel::a_wrong_password_is_named"),
    ),
]

OF_UNSUBSCRIBING = [
    *mutants(
        "prebooking/upkeep/notifications.py",
        (
            'MAIL_TIME if row.kind == "mail" else SEND_TIME',
            "SEND_TIME",
            "acceptance/notifications::a_mail_server_has_more_time_to_answer",
        ),
    ),
    *mutants(
        "prebooking/channels/unsubscribe.py",
        ("any(matches)", "all(matches)", "acceptance/unsubscribe_endpoint::a_key_is_compared_in_constant_time"),
        *noticed_by(
            "acceptance/unsubscribe_endpoint::a_wrong_address_removes_nothing",
            ("channel_id.bytes, hashlib", "b'', hashlib"),
            ("key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)", "key = _PURPOSE"),
            ('if page is UnsubscribePage.ASK else ""', ""),
        ),
    ),
    *mutants(
        "api/unsubscribe.py",
        ('== "POST" else', "else", "acceptance/unsubscribe_endpoint::a_get_changes_nothing_and_shows_a_button"),
        ("if is_signed(", "if True or is_signed(", "acceptance/unsubscribe_endpoint::a_wrong_address_removes_nothing"),
    ),
    *mutants(
        MIGRATIONS + "000016_notifications.sql",
        ("p_channel and kind = 'mail'", "p_channel", "unsubscribe::only_a_channel_of_mail_is_removed_and_only_once"),
    ),
]

OF_CHANNELS: list[Mutant] = [*OF_ADDRESSES, *OF_SENDING, *OF_UNSUBSCRIBING]
