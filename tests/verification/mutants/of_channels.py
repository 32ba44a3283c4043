"""Mutants of channels: their addresses and settings, what is known after an attempt, and the way out of a mail."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants
from tests.verification.mutants.of_the_claim import MIGRATIONS

SETTINGS = "unit/notification_settings::"

OF_ADDRESSES = [
    *mutants(
        "prebooking/channels/addresses.py",
        ("[\\w-]{1,64}", "[\\w.-]{1,64}", SETTINGS + "a_hostile_address_is_refused_without_showing_it"),
        ("[\\w-]{1,64}", "[\\w-]+", SETTINGS + "a_hostile_address_is_refused_without_showing_it"),
        (
            "not _TOPIC.fullmatch(address)",
            "not _TOPIC.match(address)",
            SETTINGS + "a_hostile_address_is_refused_without_showing_it",
        ),
        (
            "not _CHAT.fullmatch(address)",
            "not address.lstrip('-').isdigit()",
            SETTINGS + "a_hostile_address_is_refused_without_showing_it",
        ),
        (
            "_MAIL_NAME.fullmatch(name)",
            "_MAIL_NAME.match(name)",
            SETTINGS + "a_hostile_address_is_refused_without_showing_it",
        ),
        ("len(name) > 64 or ", "", SETTINGS + "a_hostile_address_is_refused_without_showing_it"),
        ("or len(value) > 254", "", SETTINGS + "a_hostile_address_is_refused_without_showing_it"),
        (
            "    if not is_public_name(domain):",
            "    if not domain:",
            SETTINGS + "a_hostile_address_is_refused_without_showing_it",
        ),
        (
            "bool(_NAME.fullmatch(host)) and ",
            "",
            SETTINGS + "a_hostile_address_is_refused_without_showing_it",
        ),
        (
            'if kind not in ("mail", "ntfy", "telegram"):',
            "if False:",
            SETTINGS + "a_hostile_address_is_refused_without_showing_it",
        ),
    ),
    *mutants(
        "prebooking/channels/settings.py",
        ("not 24 <= len(key) <= 64", "not len(key)", SETTINGS + "a_secret_of_another_form_is_refused"),
        ('not secret.startswith("whsec_") or', "", SETTINGS + "a_secret_of_another_form_is_refused"),
        ("validate=True", "validate=False", SETTINGS + "a_secret_of_another_form_is_refused"),
        ("[\\w-]{30,100}", ".{30,100}", SETTINGS + "a_bot_token_of_another_form_is_refused"),
        ("not _MAIL_URL.fullmatch(url)", "not _MAIL_URL.match(url)", SETTINGS + "an_unsafe_mail_server_is_refused"),
        ("not (user + password).isprintable()", "False", SETTINGS + "an_unsafe_mail_server_is_refused"),
        ("usual if port is None else port", "port or usual", SETTINGS + "an_unsafe_mail_server_is_refused"),
        (
            "        if not is_public_name(server.host):",
            "        if False:",
            SETTINGS + "an_unsafe_mail_server_is_refused",
        ),
        (
            'if is_loopback(info.data.get("supabase_url", "")) and server.local:',
            "if server.local:",
            SETTINGS + "an_unsafe_mail_server_is_refused",
        ),
        (
            "_OTHER_PORTS: Final = (2525,)",
            "_OTHER_PORTS: Final = (25, 2525)",
            SETTINGS + "an_unsafe_mail_server_is_refused",
        ),
        ('parts.scheme == "smtps", user', "True, user", SETTINGS + "a_mail_server_is_read"),
        ('unquote(parts.password or "")', '(parts.password or "")', SETTINGS + "a_mail_server_is_read"),
        (
            'user: str = field(default="", repr=False)\n    password: str = field(default="", repr=False)',
            'user: str = field(default="", repr=False)\n    password: str = field(default="")',
            SETTINGS + "no_message_and_no_text_shows_a_value",
        ),
        (
            "for there, missing in (pair, pair[::-1])",
            "for there, missing in (pair,)",
            SETTINGS + "the_other_half_of_a_pair_is_named",
        ),
        (
            "        return public_address(value, database",
            "        return value or str(database",
            SETTINGS + "an_unsafe_host_is_refused",
        ),
        ('not in ("", "/") or "?" in value', 'not in ("", "/")', SETTINGS + "a_server_is_given_without_a_path"),
        (
            '@field_validator("ntfy_url", "app_url")',
            '@field_validator("ntfy_url")',
            SETTINGS + "a_server_is_given_without_a_path",
        ),
    ),
]

OF_SENDING = [
    *mutants(
        "prebooking/channels/post.py",
        (
            "if started else",
            "if False else",
            "http_channels::no_answer_is_unsure",
        ),
        (
            "if started else",
            "if True else",
            "http_channels::a_refused_connection_sends_nothing",
        ),
        (
            "if httpx.codes.is_success(reply.status):",
            "if reply.status < 400:",
            "http_channels::a_redirect_is_not_followed",
        ),
        (
            "SendResult.GONE if reply.status == httpx.codes.GONE else SendResult.NOT_SENT",
            "SendResult.NOT_SENT",
            "http_channels::410_means_that_the_receiver_is_gone",
        ),
    ),
    *mutants(
        "prebooking/channels/webhook.py",
        ('f"{message.id}.{at}."', 'f"{at}.{message.id}."', "http_channels::the_reference_library_verifies_a_webhook"),
        (".encode() + body, hashlib", ".encode(), hashlib", "http_channels::the_reference_library_verifies_a_webhook"),
        (
            '"webhook-id": str(message.id)',
            '"webhook-id": at',
            "http_channels::the_reference_library_verifies_a_webhook",
        ),
        (
            "message.at.isoformat()",
            "now.isoformat()",
            "http_channels::the_reference_library_verifies_a_webhook",
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
        ("|chat not found", "|", "http_channels::another_refusal_of_telegram_is_tried_again"),
        ("blocked by the user|", "", "http_channels::a_chat_that_cannot_be_written_to_is_gone"),
        (
            "    if message.unsure:",
            "    if False:",
            "http_channels::telegram_is_told_that_a_message_may_be_a_repetition",
        ),
        (
            'said.get("ok") is not False and ',
            "",
            "http_channels::another_refusal_of_telegram_is_tried_again",
        ),
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
        (
            "    if maybe_taken:\n",
            "    if False:\n",
            "mail_channel::without_an_answer_a_mail_is_unsure_from_its_text_on",
        ),
        (
            "                data.set()\n                await smtp.data",
            "                await smtp.data",
            "mail_channel::without_an_answer_a_mail_is_unsure_from_its_text_on",
        ),
        (
            "                await smtp.rcpt(message.address)\n                data.set()\n",
            "                data.set()\n                await smtp.rcpt(message.address)\n",
            "mail_channel::without_an_answer_a_mail_is_unsure_from_its_text_on",
        ),
        (
            "None if server.tls or server.local else True",
            "None",
            "mail_channel::a_remote_server_without_starttls_gets_nothing",
        ),
        (
            " and 400 <= exc.code < 600:",
            ":",
            "mail_channel::an_answer_to_the_text_that_cannot_be_read_is_unsure",
        ),
        (
            'and not exc.message.startswith("5.7.")',
            "",
            "mail_channel::an_answer_is_clear",
        ),
        (
            "isinstance(exc, aiosmtplib.SMTPRecipientRefused) and no_mailbox",
            "no_mailbox",
            "mail_channel::an_answer_is_clear",
        ),
        (
            'f"<{message.id}@{self._domain}>"',
            'f"<{message.at.timestamp()}@{self._domain}>"',
            "mail_channel::the_message_id_is_the_same_in_every_attempt",
        ),
        ("max_line_length=998", "max_line_length=78", "mail_channel::a_mail_has_a_one_click_unsubscribe"),
        (
            "maxlinelen=76",
            "maxlinelen=998",
            "mail_channel::a_long_subject_is_in_encoded_words_that_every_mailbox_can_read",
        ),
        ('mail["List-Unsubscribe-Post"] =', 'mail["X-Post"] =', "mail_channel::a_mail_has_a_one_click_unsubscribe"),
        ('" ".join(message.subject.split())', "message.subject", "mail_channel::a_class_name_cannot_add_a_header"),
        (
            'if address_problem("mail", message.address):',
            "if False:",
            "mail_channel::an_address_that_was_written_by_hand_is_checked_again",
        ),
        ('return Delivery(SendResult.NOT_SENT, "login_refused")', "pass", "mail_channel::a_wrong_password_is_named"),
        ("    with suppress(Exception):", "    with suppress(ValueError):", "mail_channel::an_answer_is_clear"),
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
        (
            "return any(matches)",
            "return all(matches)",
            "acceptance/unsubscribe_endpoint::a_key_is_compared_in_constant_time",
        ),
        (
            "channel_id.bytes, hashlib",
            "b'', hashlib",
            "acceptance/unsubscribe_endpoint::a_wrong_address_removes_nothing",
        ),
        (
            "key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)",
            "key = _PURPOSE",
            "acceptance/unsubscribe_endpoint::a_wrong_address_removes_nothing",
        ),
        (
            'if page is UnsubscribePage.ASK else ""',
            "",
            "acceptance/unsubscribe_endpoint::a_wrong_address_removes_nothing",
        ),
    ),
    *mutants(
        "api/unsubscribe.py",
        (
            'if request.method == "POST" else',
            "if request.method else",
            "acceptance/unsubscribe_endpoint::a_get_changes_nothing_and_shows_a_button",
        ),
        (
            "    except ValueError:\n        return None\n    return channel if is_signed(",
            "    except ValueError:\n        return None\n    return channel if True or is_signed(",
            "acceptance/unsubscribe_endpoint::a_wrong_address_removes_nothing",
        ),
    ),
    *mutants(
        MIGRATIONS + "000016_notifications.sql",
        (
            "where id = p_channel and kind = 'mail'",
            "where id = p_channel",
            "unsubscribe::only_a_channel_of_mail_is_removed_and_only_once",
        ),
    ),
]

OF_CHANNELS: list[Mutant] = [*OF_ADDRESSES, *OF_SENDING, *OF_UNSUBSCRIBING]
