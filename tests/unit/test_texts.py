"""What a message says, in each language: every event, outcome and warning has a sentence, and nothing else is in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prebooking.channels.language import Language
from prebooking.channels.texts import LANGUAGES, NAME_LENGTH, compose
from prebooking.database.notifications import Notification
from prebooking.database.sessions import WARNINGS
from prebooking.model import COMPLETED, ENDED_BY_DATABASE, FAILED

ROOT = Path(__file__).parents[2]
# Without the problems of repeats, which are not warnings of prebookings.
SQL = "\n".join(path.read_text() for path in sorted(ROOT.glob("supabase/schemas/*.sql")) if "repeats" not in path.name)
PYTHON = "\n".join((ROOT / "prebooking" / name).read_text() for name in ("upkeep/matching.py", "database/sessions.py"))
# The warnings that are written, as literals of SQL and Python: 'no_login: there is ...'.
CODES = set(re.findall(r"'([a-z]+_[a-z_]+): [A-Za-z]", SQL)) | set(re.findall(r'"([a-z]+_[a-z_]+): [A-Za-z]', PYTHON))
CAUSES = set(re.findall(r"^  select '(\w+)', (?:v.id|null), interval", SQL, re.MULTILINE))
(EVENTS,) = (
    set(re.findall(r"'(\w+)'", found)) for found in re.findall(r"events <@ array\[(.*?)\]", SQL, re.DOTALL)[:1]
)

EACH = pytest.mark.parametrize("language", LANGUAGES)


def row(**facts: Any) -> Notification:
    usual: dict[str, Any] = {
        "id": uuid4(),
        "event": "booked",
        "about": "",
        "created_at": datetime(2026, 11, 30, 17, 0, tzinfo=UTC),
        "attempts": 1,
        "unsure": False,
        "channel_id": uuid4(),
        "kind": "mail",
        "address": "ana@example.com",
        "language": "en",
        "is_operator": False,
        "prebooking_id": uuid4(),
        "user_email": "ana@example.com",
        "venue": "Forge",
        "timezone": "Europe/Madrid",
        "class_name": "WOD",
        "available_at": datetime(2026, 11, 30, 17, 0, tzinfo=UTC),
        "expires_at": datetime(2026, 12, 4, 17, 0, tzinfo=UTC),
        "outcome": "booked",
        "lateness_ms": 52,
    }
    return Notification.model_validate(usual | facts)


BEFORE = datetime(2026, 11, 29, 17, 0, tzinfo=UTC)
TEN = datetime(2026, 12, 4, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("facts", "english", "spanish"),
    [
        (
            {},
            "You are booked: WOD at Forge, Friday 4 December at 18:00. The call was sent 52 ms after it was due.",
            (
                "Tienes plaza: WOD en Forge, viernes 4 de diciembre a las 18:00. La petición se envió con 52 ms de"
                " retraso."
            ),
        ),
        (
            {"lateness_ms": 1234},
            "You are booked: WOD at Forge, Friday 4 December at 18:00. The call was sent 1.2 s after it was due.",
            (
                "Tienes plaza: WOD en Forge, viernes 4 de diciembre a las 18:00. La petición se envió con 1,2 s de"
                " retraso."
            ),
        ),
        (
            {"outcome": "already_booked"},
            "You had this place already: WOD at Forge, Friday 4 December at 18:00.",
            "Ya tenías esta plaza: WOD en Forge, viernes 4 de diciembre a las 18:00.",
        ),
        (
            {"event": "waitlisted", "outcome": "waitlisted", "position": 3},
            "You are on the waiting list: WOD at Forge, Friday 4 December at 18:00. Your place on the list is 3.",
            (
                "Estás en la lista de espera: WOD en Forge, viernes 4 de diciembre a las 18:00. Tu puesto en la"
                " lista es el 3."
            ),
        ),
        (
            {"event": "failed", "outcome": "class_gone", "promoted": True},
            (
                "Not booked: WOD at Forge, Friday 4 December at 18:00. The class does not exist any more. Choose"
                " another class."
                " Your next choice is tried now."
            ),
            (
                "No reservada: WOD en Forge, viernes 4 de diciembre a las 18:00. La clase ya no existe. Elige otra"
                " clase. Ahora se intenta tu siguiente opción."
            ),
        ),
        (
            {"event": "failed", "outcome": "too_late"},
            (
                "Not booked: WOD at Forge, Friday 4 December at 18:00. The venue takes no bookings for this class any"
                " more. Choose another class."
            ),
            (
                "No reservada: WOD en Forge, viernes 4 de diciembre a las 18:00. El centro ya no admite reservas para"
                " esta clase. Elige otra clase."
            ),
        ),
        (
            {
                "event": "warned",
                "about": "class_moved",
                "warning": "class_moved: begins at 19:30 now.",
                "created_at": BEFORE,
            },
            (
                "Please look at WOD at Forge, Friday 4 December at 18:00. This class begins at 19:30 now. If it"
                " was found before, it is booked all the same: cancel the prebooking to prevent that."
                " Booking opens Monday 30 November at 18:00."
            ),
            (
                "Revisa esta prerreserva: WOD en Forge, viernes 4 de diciembre a las 18:00. Esta clase empieza ahora"
                " a las 19:30."
                " Si ya se había encontrado, se reserva igualmente: cancela la prerreserva para evitarlo."
                " La reserva se abre el lunes 30 de"
                " noviembre a"
                " las 18:00."
            ),
        ),
        (
            {"event": "warned", "about": "class_closed", "outcome": None},  # after the opening
            (
                "Please look at WOD at Forge, Friday 4 December at 18:00. The venue takes no bookings for this class"
                " now. It is"
                " looked at again before booking opens."
            ),
            (
                "Revisa esta prerreserva: WOD en Forge, viernes 4 de diciembre a las 18:00. El centro no admite"
                " ahora reservas"
                " para esta clase. Se vuelve a mirar antes de que se abra la reserva."
            ),
        ),
        (
            {"event": "moved_up", "outcome": "waitlisted"},
            "A place became free, and you are booked now: WOD at Forge, Friday 4 December at 18:00.",
            "Ha quedado una plaza libre y ahora es tuya: WOD en Forge, viernes 4 de diciembre a las 18:00.",
        ),
        (
            {"event": "given_back"},
            "Your place was given back: WOD at Forge, Friday 4 December at 18:00.",
            "Se ha devuelto tu plaza: WOD en Forge, viernes 4 de diciembre a las 18:00.",
        ),
        (
            {"event": "reminder", "cancel_until": TEN},
            (
                "You are booked: WOD at Forge, Friday 4 December at 18:00. If you cannot come, give your place back"
                " before"
                " Friday 4 December at 10:00: later the venue counts it as a late cancellation."
            ),
            (
                "Tienes plaza: WOD en Forge, viernes 4 de diciembre a las 18:00. Si no puedes ir, devuelve la plaza"
                " antes del"
                " viernes 4 de diciembre a las 10:00: después, el centro lo cuenta como cancelación tardía."
            ),
        ),
    ],
)
def test_each_event_is_told_with_its_facts(facts: dict[str, Any], english: str, spanish: str) -> None:
    assert compose(row(**facts)).text == english
    assert compose(row(**facts, language="es")).text == spanish


@EACH
def test_every_outcome_and_warning_that_can_be_stored_has_a_sentence(language: str) -> None:
    words = LANGUAGES[language]
    assert set(words.reasons) == FAILED | ENDED_BY_DATABASE
    assert set(words.warnings) == CODES
    assert {"class_moved", "no_login", "bad_data", "wrong_password", "login_failed", "session_not_refreshed"} < CODES
    assert {text.split(":")[0] for text in WARNINGS.values()} < CODES
    assert set(words.events) == EVENTS | {"already_booked", "test"}
    assert set(words.subjects) == EVENTS | {"test"}
    for outcome in COMPLETED:
        assert "Forge" in compose(row(outcome=outcome, language=language)).text


def test_the_languages_are_those_of_the_database_and_have_the_same_placeholders() -> None:
    allowed = re.findall(r"language in \((.*?)\)", SQL)[0]
    assert set(LANGUAGES) == set(re.findall(r"'(\w+)'", allowed))
    tables = ("subjects", "events", "details", "reasons", "warnings", "alerts")
    for name in tables:
        shapes = [{key: _fields(text) for key, text in getattr(words, name).items()} for words in LANGUAGES.values()]
        assert all(shape == shapes[0] for shape in shapes), name


def _fields(text: str) -> list[str]:
    return sorted(str(field) for _, field, _, _ in Formatter().parse(text) if field is not None)


@EACH
def test_every_sentence_is_in_the_language_of_its_table(language: str) -> None:
    """No sentence was left in another language, and none is missing its end."""
    words, others = LANGUAGES[language], [each for name, each in LANGUAGES.items() if name != language]
    for table in ("events", "details", "reasons", "warnings"):
        for key, text in getattr(words, table).items():
            assert text.endswith("."), (table, key)
            assert all(text != getattr(other, table)[key] for other in others), (table, key)


@EACH
def test_every_cause_of_an_alert_has_a_sentence_with_its_cure(language: str) -> None:
    """The causes are those of ``prebooking_alert_causes``."""
    alerts = LANGUAGES[language].alerts
    assert set(alerts) == CAUSES
    for cause in CAUSES:
        told = compose(row(event="alert", about=f"{cause} 2026-11-26T12", venue="Forge", language=language))
        assert ("{" in told.text, "`prebooking " in told.text) == (False, True)
        assert ("Forge" in told.text) == ("{venue}" in alerts[cause])
        assert told.subject == LANGUAGES[language].subjects["alert"]
        assert alerts[cause].count(". ") == 0, "it is one sentence"


@EACH
def test_the_operator_reads_whom_it_is_about_and_a_member_does_not(language: str) -> None:
    told = compose(row(is_operator=True, language=language)).text
    assert "ana@example.com" in told
    assert "ana@example.com" not in compose(row(language=language)).text


@EACH
def test_the_warning_that_is_stored_is_not_in_the_message(language: str) -> None:
    """The stored text is our own today; a message is safe also if a text of the venue were in it one day."""
    secret = "no_login: http://venue.example says eyJhbGciOi"
    told = compose(row(event="warned", about="no_login", warning=secret, language=language))
    assert "eyJ" not in told.text + told.subject
    assert "venue.example" not in told.text + told.subject


@EACH
def test_names_are_cut_and_stay_in_one_line(language: str) -> None:
    told = compose(row(class_name="W\r\nBcc: x@y.z\u202e" + "O" * 500, venue="\x1b[31mForge\x00", language=language))
    assert told.text.isprintable()
    assert told.subject.isprintable()
    assert "O" * NAME_LENGTH not in told.text
    assert "…" in told.text


@EACH
def test_braces_in_a_name_are_told_as_they_are(language: str) -> None:
    assert "{what} {0}" in compose(row(class_name="{what} {0}", language=language)).text


def test_the_hour_is_that_of_the_venues_clock_on_both_sides_of_a_clock_change() -> None:
    before, after = (datetime(2026, 10, day, 17, 0, tzinfo=UTC) for day in (24, 25))
    assert "Saturday 24 October at 19:00" in compose(row(expires_at=before)).text
    assert "Sunday 25 October at 18:00" in compose(row(expires_at=after)).text


def test_an_unknown_time_zone_is_told_in_utc_and_says_so() -> None:
    for zone in ("Mars/Olympus", "", None, "../../etc/passwd", "a\x00b"):
        assert "Friday 4 December at 17:00 UTC" in compose(row(timezone=zone)).text


def test_an_unknown_class_and_venue_have_words_of_their_own() -> None:
    told = compose(row(class_name=None, venue=" \n ", expires_at=None, lateness_ms=None))
    assert told.text == "You are booked: your class at your gym."


@EACH
def test_a_moved_class_whose_hour_is_unknown_has_the_general_sentence(language: str) -> None:
    told = compose(row(event="warned", about="class_moved", warning=None, language=language)).text
    assert LANGUAGES[language].other_warning in told


_ANY = st.none() | st.text(max_size=90)
_INSTANTS = st.none() | st.datetimes(timezones=st.just(UTC))


@given(
    st.fixed_dictionaries(
        {
            "event": st.sampled_from(sorted(EVENTS)) | st.text(max_size=20),
            "about": st.sampled_from(sorted(CODES)) | st.text(max_size=100),
            "language": st.sampled_from([*LANGUAGES]) | st.text(max_size=5),
            "is_operator": st.booleans(),
            "promoted": st.booleans(),
            "lateness_ms": st.none() | st.integers(-(2**63), 2**63),
            "position": st.none() | st.integers(),
            **dict.fromkeys(("venue", "timezone", "class_name", "outcome", "warning", "place", "user_email"), _ANY),
            **dict.fromkeys(("available_at", "expires_at", "cancel_until"), _INSTANTS),
        }
    )
)
def test_no_fact_raises_and_a_message_is_one_short_line(facts: dict[str, Any]) -> None:
    told = compose(row(**facts))
    assert 0 < len(told.text) < 1000
    assert told.text.isprintable()
    assert 0 < len(told.subject) < 250
    assert told.subject.isprintable()


def test_the_tables_have_a_name_for_each_day_and_month() -> None:
    words: Language
    for words in LANGUAGES.values():
        assert (len(set(words.weekdays)), len(set(words.months))) == (7, 12)
