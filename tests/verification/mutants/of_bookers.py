"""Mutants of the requests to a venue: calls, webhook, AimHarder, members' logins, and who may call us."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by

OF_CALLS = mutants(
    "prebooking/bookers/call.py",
    *noticed_by(
        "call", ("Kind.UNSURE if sent else Kind.NOT_SENT", "Kind.NOT_SENT"), ("            self.left = True\n", "")
    ),
    ("Kind.UNSURE if sent else Kind.NOT_SENT", "Kind.UNSURE", "call::a_refused_connection_sends_nothing"),
    (
        'self._stream.get_extra_info("has_received") or self._age()',
        "self._age()",
        "call_gate::nothing_is_sent_on_a_connection_that_the_server_closed",
    ),
    *noticed_by(
        "call_gate::nothing_is_sent_on_a_connection_that_is_too_old",
        (" or self._age() > FRESH:", ":"),
        ("        return STALE_CONNECTION\n", "        return Outcome(Kind.UNSURE)\n"),
    ),
    ("        if not first_byte.left:  # no", "        if False:  # no", "call_gate::a_gate_that_raises_sends_nothing"),
    ("return value if isinstance(value, dict) else None", "return value", "unit/webhook"),
    ("NEW = 0.002", "NEW = 0.0", "unit/call_connection::an_immediate_call_notices_that_the_server_closes"),
    ("for _ in range(3):", "for _ in range(0):", "call_gate::nothing_is_sent_on_a_connection_that_breaks_at_its_slot"),
    ("FRESH = 1.0", "FRESH = 3.0", "unit/call_connection::a_connection_can_wait_a_second_for_its_slot"),
    (
        "REPLY_LIMIT = 65_536",
        "REPLY_LIMIT = 65_537",
        "unit/call_connection::at_most_64_kibibytes_of_an_answer_are_read",
    ),
    (
        "        if len(body) > limit:\n            return None\n",
        "",
        "unit/call_connection::a_longer_answer_is_not_waited_for_and_closes_the_connection",
    ),
)

OF_CONNECTIONS = mutants(
    "prebooking/network.py",
    *noticed_by(
        "integration/network",
        ("        if len(self._received) > BUFFER:\n            self._transport.pause_reading()\n", ""),
        ("            self._transport.resume_reading()\n", ""),
        ("        if len(self._received) > max_bytes:\n", "        if False:\n"),
        ("True, True, exc is not None", "True, True, False"),
        ("if not self._lost:  # asyncio", "if True:  # asyncio"),
        ("        del self._received[:max_bytes]\n", "        self._received.clear()\n"),
        ("            self._readable.clear()\n", ""),
        ("return bool(selector.select(0))", "return False"),
        ('if info == "is_readable":', "if True:"),
        ("min(max_bytes, AT_ONCE)", "max_bytes"),
        ("if self._readable.is_set():  # bytes", "if False:  # bytes"),
        ("except (OSError, UnicodeError) as exc:", "except OSError as exc:"),
        ('        if self._ended:\n            raise httpcore.WriteError("the connection is closed")\n', ""),
        ("async with asyncio.timeout(NEXT_ADDRESS):", "async with asyncio.timeout(30):"),
        ("async with asyncio.timeout(timeout):", "async with asyncio.timeout(6):"),
        ("    except (OSError, UnicodeError) as exc:", "    except (ConnectionRefusedError, UnicodeError) as exc:"),
    ),
    (
        '("has_received", "is_readable") and',
        '("is_readable",) and',
        "call_gate::nothing_is_sent_on_a_connection_that_the_server_closed",
    ),
    (
        "server_hostname=server_hostname",
        "server_hostname='localhost'",
        "call_gate::a_certificate_of_another_host_is_refused_and_nothing_is_sent",
    ),
)

OF_SYSTEMS = mutants(
    "prebooking/bookers/adapter.py",
    ("        await loading\n", "", "venue_systems::a_venue_is_opened_only_when_its_package_has_loaded"),
)

OF_WEBHOOKS = mutants(
    "prebooking/bookers/webhook/booker.py",
    *noticed_by(
        "unit/webhook",
        ("if reply.status == httpx.codes.TOO_EARLY:", "if False:"),
        ("403, 404, 405, 407", "403, 405, 407"),
        (" and reply.status != httpx.codes.REQUEST_TIMEOUT", ""),
        ("if body is None or (state := body.get(", "if (state := (body or {}).get("),
        ("if reply.status == httpx.codes.OK and state in", "if state in"),
        ("{1,100}", "{1,101}"),
        ("if isinstance(state, str) and state in NAMED_REFUSALS:", "if isinstance(state, str) and state in set(Kind):"),
        ("return Outcome(Kind.ALREADY_BOOKED, _booking_id(body or", "return Outcome(Kind.BOOKED, _booking_id(body or"),
    ),
    *noticed_by(
        "unit/webhook_request",
        ('"Idempotency-Key", str(row.id)', '"Idempotency-Key", str(row.venue.id)'),
        ("allow_nan=False", "allow_nan=True"),
    ),
)

OF_AIMHARDER = [
    *mutants(
        "prebooking/bookers/aimharder/booker.py",
        *noticed_by(
            "unit/aimharder_site",
            ("    if key in _BY_KEY:\n", "    if key in _BY_KEY and number not in _BY_NUMBER:\n"),
            ("0: Outcome(Kind.UNSURE, if_booked=Kind.BOOKED, if_not_booked=Kind.FULL)", "0: Outcome(Kind.FULL)"),
            ("or not body:\n        return _UNREADABLE", "or not body:\n        return Outcome(Kind.REJECTED)"),
            ("    -4: Outcome(Kind.TOO_EARLY),\n", ""),
        ),
        *noticed_by(
            "unit/aimharder_booker",
            ("return _failure(refusal) if refusal else place", "return place"),
            ("= len(classes) < CLASSES and all(one.class_id for one in classes)", "= len(classes) < CLASSES"),
            ("len(classes) < CLASSES and all(one.class_id for one in classes)", "all(one.class_id for one in classes)"),
            ("        if row.session_over:\n", "        if False:\n"),
            ("is not Kind.NOT_BOOKED:\n            return", "is not Kind.WAITLISTED:\n            return"),
        ),
        (
            "refused_version = self._used.get(row.id, held.version)",
            "refused_version = held.version",
            "aimharder_logins::an_expired_session_is_refreshed_once_for_all_rows_of_its_member",
            "aimharder_logins::an_expired_session_is_refreshed_once_for_all_rows_of_its_member",
            "aimharder_logins",
        ),
        (
            "max_unclear_calls: float = 4",
            "max_unclear_calls: float = 400",
            "aimharder_logins::a_box_that_is_down_is_called_at_most_four_times_per_row",
        ),
        (
            "family_id=family_id, timeout=timeout / 2",
            "timeout=timeout / 2",
            "aimharder_logins::a_family_member_s_place_is_confirmed_with_the_family_id",
        ),
    ),
    *mutants(
        "prebooking/bookers/aimharder/sessions.py",
        (
            "            if held.version > refused_version:\n",
            "            if False:\n",
            "aimharder_logins::an_expired_session_is_refreshed_once_for_all_rows_of_its_member",
        ),
        (
            "if member in self._unanswered or until.remaining() < REFRESH_TIME:",
            "if member in self._unanswered:",
            "aimharder_logins::a_refresh_is_not_started_without_time_for_its_answer",
        ),
        ("OpenSession(fresh, held.version + 1)", "OpenSession(fresh, held.version)", "aimharder_logins", "aimharder"),
        (
            "        member = member.lower()\n        async",
            "        async",
            "aimharder_logins::an_address_in_another_case_is_the_same_member",
        ),
        (
            "self._held[member].version > held.version else Outcome",
            "False else Outcome",
            "aimharder_logins::a_refreshed_login_that_could_not_be_stored_still_books",
        ),
    ),
]

OF_SEALS = mutants(
    "prebooking/bookers/aimharder/seal.py",
    *noticed_by(
        "unit/sealing",
        ("{venue_id}:{member.lower()}", "{member.lower()}"),
        ("{venue_id}:{member.lower()}", "{venue_id}"),
        ("{venue_id}:{member.lower()}", "{venue_id}:{member}"),
        ('f"{purpose}{venue_id}', 'f"{venue_id}'),
        ("nonce = os.urandom(_NONCE)", "nonce = bytes(_NONCE)"),
        ("AESGCM(self._keys[0]).encrypt", "AESGCM(self._keys[-1]).encrypt"),
        ("        for key in self._keys:\n", "        for key in self._keys[:1]:\n"),
        ("SEALED_LIMIT = 16_384", "SEALED_LIMIT = 16_388"),
    ),
)

OF_STORED_SESSIONS = mutants(
    "prebooking/database/sessions.py",
    ("why.kind is Kind.SESSION_EXPIRED}", "True}", "session_keeper::a_failed_refresh_is_warned_about_and_tried_again"),
    ("suppress(ValidationError):", "suppress(TypeError):", "session_keeper::a_bad_login_or_venue_ends_no_other_login"),
)

OF_KEYS = mutants(
    "prebooking/settings.py",
    ("hashlib.sha256(key).hexdigest()[:16]", "key.hex()[:16]", "unit/sealing"),
)

OF_CALLERS = mutants(
    "prebooking/function/auth.py",
    *noticed_by(
        "unit/auth",
        ("    if len(authorization) != 1:\n", "    if not authorization:\n"),
        ('return scheme.lower() == "bearer" and any(matches)', "return any(matches)"),
        ('return scheme.lower() == "bearer" and any(matches)', 'return scheme.lower() == "bearer" and all(matches)'),
        ('scheme.lower() == "bearer"', 'scheme == "Bearer"'),
        ('"surrogatepass"', '"strict"'),
    ),
)

OF_BOOKERS: list[Mutant] = [
    *OF_CALLS,
    *OF_CONNECTIONS,
    *OF_SYSTEMS,
    *OF_WEBHOOKS,
    *OF_AIMHARDER,
    *OF_SEALS,
    *OF_STORED_SESSIONS,
    *OF_KEYS,
    *OF_CALLERS,
]
