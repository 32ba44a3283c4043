"""`prebooking check-webhook`: the example keeps the contract, and each planted fault is found by its name alone."""

from __future__ import annotations

import json
import socket
import sqlite3
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from typer.testing import CliRunner, Result

from prebooking.cli.app import app
from prebooking.cli.conformance import transport
from prebooking.cli.conformance.bookings import BookingChecks
from tests.support.endpoints import SECRET, serve_example

CLASSES = ("--full-class", "full", "--waiting-class", "waiting", "--early-class", "early", "--last-place-class", "last")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(transport, "HOLD", 0.05)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOOKING_WEBHOOK_SECRET", SECRET)


def check(url: str, *words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, ["check-webhook", url, *words], input=stdin, prog_name="prebooking")


def check_json(url: str, *words: str) -> tuple[int, Any]:
    """Return the exit code and the JSON of a check of the class 4711."""
    result = check(url, "--class-id", "4711", "--yes", "--json", *words)
    assert result.stderr == ""
    return result.exit_code, json.loads(result.stdout)


def blamed(report: Any) -> set[str]:
    return {one["check"] for one in report["checks"] if one["result"] == "does_not_hold"}


def test_the_example_keeps_the_whole_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_example(tmp_path, monkeypatch) as url:
        code, report = check_json(url, *CLASSES)
        assert {one["check"]: one["seen"] for one in report["checks"] if one["result"] != "holds"} == {}
        assert (code, report["kept"], report["left"]) == (0, True, [])
        code, again = check_json(url, *CLASSES)
    assert (code, blamed(again)) == (0, set()), "the first check has left something"


# Texts of the example, to be replaced.
RETURNS = "    return JSONResponse(found, STATUS"
IS_BOOKED = '    if found["state"] == "booked":\n        '
ANSWERS = 'return {"state": "not_booked"} if found["state"] == "given_back" else found'
REFUSES = 'found["state"], 422)'
ASKED = "    with transaction() as ledger:\n        found = find(ledger, prebooking_id)\n    return"
CALLED = "        found = find(ledger, idempotency_key)\n        if"
FOUND = "where prebooking_id = ?\n"
GIVES_BACK = "        ledger.execute(GIVE_BACK,"
FIELDS = "    user_email: str\n"
TOGETHER = """        found = find(ledger, idempotency_key)
    try:
        together.wait(0.2)
    except threading.BrokenBarrierError:
        together.reset()
    with transaction() as ledger:
        if"""
PAGE = """from fastapi.responses import HTMLResponse
        return HTMLResponse("<p>Booked</p>")
"""
STRICT = """    model_config = {"extra": "forbid"}
    user_email: str
    prebooking_id: str
    venue_id: str
    venue_name: str
    available_at: str
    expires_at: str
"""

NO_KEY = {
    "prebooking_id text not null unique": "prebooking_id text not null",
    "create unique index": "create index",
    "then 'limit_reached'": "and false then 'limit_reached'",
}
BLIND = NO_KEY | {'if found["state"] == "not_booked":': "if True:"}
LAST = "select state from bookings order by number desc limit 1"
LOOSE = {  # the calls need the bearer, the other methods only refuse a wrong one
    "    if not hmac": "    if authorization and not hmac",
    "@contextmanager": """def check_header(authorization: Annotated[str, Header()] = "") -> None:
    if not authorization:
        raise HTTPException(401)


@contextmanager""",
    '@app.post("/book")': '@app.post("/book", dependencies=[Depends(check_header)])',
}
ONLY_CALLS = {  # a DELETE needs no bearer
    ", dependencies=[Depends(check_bearer)])": ")",
    '@app.post("/book")': '@app.post("/book", dependencies=[Depends(check_bearer)])',
    '@app.get("/book")': '@app.get("/book", dependencies=[Depends(check_bearer)])',
}
FORGETS = """        if found["state"] == "given_back":
            ledger.execute("delete from bookings where prebooking_id = ?", [str(idempotency_key)])
            found = {"state": "not_booked"}
        if"""
CACHED = """if found["state"] == "booked":
        CACHE[prebooking_id] = found
    found = CACHE.get(prebooking_id, found)
    """
NEWEST = "(select max(number) from bookings where prebooking_id = ? and state <> 'given_back')"
GIVE_ONE_BACK = f"'given_back' where number = {NEWEST}"


def fail_if(state: str) -> str:
    return f'        if found["state"] == "{state}":\n            raise HTTPException(500)\n{GIVES_BACK}'


FAULTS: dict[str, tuple[Mapping[str, str], set[str]]] = {
    "it books twice for one key": (
        BLIND | {FOUND: "where prebooking_id = ? order by number desc\n"},
        {"same key again", "same key at once"},
    ),
    "it books twice for one key, and shows no booking ids": (
        BLIND
        | {
            "number as booking_id, ": "",
            FOUND: "where prebooking_id = ? order by state\n",
            "'given_back' where prebooking_id = ?": GIVE_ONE_BACK,
        },
        {"same key again", "same key at once"},
    ),
    "it books twice if two calls with one key arrive together": (
        NO_KEY
        | {
            "class Call(": "together = threading.Barrier(5)\nclass Call(",
            CALLED: TOGETHER,
            FOUND: "where prebooking_id = ? order by number desc\n",
        },
        {"same key at once"},
    ),
    "its question is answered from a memory that forgets": (
        {ANSWERS: 'return {"state": "not_booked"}'},
        {"question, booked"},
    ),
    "its question says booked for every id": ({ANSWERS: 'return {"state": "booked"}'}, {"question, unknown id"}),
    "its question says the state of the newest booking for every id": (
        {
            ANSWERS: f"return dict(ledger.execute({LAST!r}).fetchone() or found)",
            ASKED: ASKED.replace("    return", "        return"),
        },
        {"question, unknown id"},
    ),
    "its question is answered from a cache": (
        {
            "class Call(": "CACHE = {}\n\n\nclass Call(",
            ANSWERS: CACHED + ANSWERS,
        },
        {"giving back"},
    ),
    "it accepts a question and a DELETE without a bearer": (LOOSE, {"bearer"}),
    "it accepts a DELETE with any bearer": (
        ONLY_CALLS | {GIVES_BACK: fail_if("not_booked")},
        {"bearer", "giving back, unknown id"},
    ),
    "it answers a booking with a state of its own": (
        {RETURNS: f"{IS_BOOKED}return JSONResponse({{'state': 'confirmed'}})\n{RETURNS}"},
        {"readable answers"},
    ),
    "it books again what was given back": (
        {CALLED: CALLED.replace("        if", FORGETS)},
        {"call after giving back"},
    ),
    "it moves the booking to a second prebooking of the member": (
        {
            "            [state] = ledger.execute(DECIDE": (
                '            ledger.execute("update bookings set prebooking_id = :id where member = :member'
                " and state <> 'given_back'\", wanted)\n"
                "            [state] = ledger.execute(DECIDE"
            )
        },
        {"same class again"},
    ),
    "it accepts any bearer": ({"raise HTTPException(401)": "pass"}, {"bearer"}),
    "it answers 200 for a refused booking": ({REFUSES: 'found["state"], 200)'}, {"refused"}),
    "it answers 200 without a state for a refused booking": (
        {"JSONResponse(found, STATUS.get(" + REFUSES + ")": 'JSONResponse({"number": found.get("booking_id")})'},
        {"refused"},
    ),
    "it answers 404 for a refused booking": ({REFUSES: 'found["state"], 404)'}, {"refused"}),
    "it answers 500 after the booking": ({RETURNS: f"{IS_BOOKED}raise HTTPException(500)\n{RETURNS}"}, {"booking"}),
    "it answers with a page": ({RETURNS: f"{IS_BOOKED}{PAGE}{RETURNS}"}, {"readable answers"}),
    "it says given back, and gives nothing back": (
        {f"{GIVES_BACK} [str(prebooking_id)])\n": ""},
        {"giving back"},
    ),
    "it fails on a repeated DELETE": ({GIVES_BACK: fail_if("given_back")}, {"giving back again"}),
    "it fails on a DELETE of an unknown id": ({GIVES_BACK: fail_if("not_booked")}, {"giving back, unknown id"}),
    "it books a class only once per member for ever": (
        {
            "from_class.class_id = classes.id and from_class.state <> 'given_back')": (
                "from_class.class_id = classes.id)"
            )
        },
        {"after giving back"},
    ),
    "it refuses fields that it does not know": ({FIELDS: STRICT}, {"unknown fields"}),
    "it fails when a member has the class already": (
        {"then 'limit_reached'": "and false then 'limit_reached'"},
        {"same class again"},
    ),
    "it hangs": ({ASKED: f"    released.wait(30)\n{ASKED}"}, {"answer time"}),
    "it hangs after the booking": ({RETURNS: f"{IS_BOOKED}released.wait(30)\n{RETURNS}"}, {"answer time"}),
    "it takes a PUT for a call": ({'@app.post("/book")': '@app.put("/book")\n@app.post("/book")'}, {"other methods"}),
}


@pytest.mark.grid
@pytest.mark.parametrize(("changes", "names"), FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_found_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: Mapping[str, str], names: set[str]
) -> None:
    with serve_example(tmp_path, monkeypatch, changes) as url:
        code, report = check_json(url, "--timeout", "0.7" if "answer time" in names else "8")
    assert blamed(report) == names, [one for one in report["checks"] if one["result"] != "holds"]
    assert code == (0 if names <= {"other methods", "call after giving back"} else 1)
    assert all(one["cure"] for one in report["checks"] if one["result"] == "does_not_hold")
    assert bool(report["left"]) == (names == {"giving back"})


def test_a_fault_in_the_answer_for_a_named_class_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {
        "else 'full' end": "else 'no_credit' end",
        '"too_early": 425': '"too_early": 422',
        "b.state = 'booked') < places": "b.state = 'booked') <= places",
    }
    with serve_example(tmp_path, monkeypatch, changes) as url:
        code, report = check_json(url, *CLASSES)
    assert code == 1
    assert blamed(report) == {"full", "too early", "waiting list", "last place"}


def test_a_question_with_changing_answers_is_not_blamed_on_the_bearer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it looks if an endpoint has several processes, and each one remembers only its own bookings."""
    once = ANSWERS.replace(" else", " or ASKED.count(prebooking_id) > 1 else")
    changes = {
        "class Call(": "ASKED = []\n\n\nclass Call(",
        ANSWERS: f"ASKED.append(prebooking_id)\n    {once}",
    }
    with serve_example(tmp_path, monkeypatch, changes) as url:
        _, report = check_json(url)
    assert "same class again" in blamed(report)
    assert "bearer" not in blamed(report)


def test_an_unclear_answer_is_not_blamed_on_the_last_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {RETURNS: f"{IS_BOOKED}return JSONResponse({{'state': 'confirmed'}})\n{RETURNS}"}
    with serve_example(tmp_path, monkeypatch, changes) as url:
        _, report = check_json(url, *CLASSES)
    assert blamed(report) == {"readable answers"}


def test_a_redirect_is_named_and_stops_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_example(tmp_path, monkeypatch) as url:
        code, report = check_json(f"{url}/")
    assert (code, blamed(report)) == (1, {"no redirect"})


def test_a_wrong_secret_is_named_and_stops_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_example(tmp_path, monkeypatch) as url:
        monkeypatch.setenv("BOOKING_WEBHOOK_SECRET", "another-secret-altogether")
        code, report = check_json(url)
    assert (code, blamed(report)) == (1, {"secret"})


def test_an_endpoint_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    code, report = check_json(f"http://127.0.0.1:{port}/book")
    assert (code, blamed(report)) == (1, {"connection"})


def test_the_secret_is_not_sent_unencrypted_to_another_machine() -> None:
    code, report = check_json("http://book.example.com/wod")
    assert (code, blamed(report)) == (1, {"address"})
    assert all(one["result"] == "not_tried" for one in report["checks"] if one["check"] != "address")


def test_a_certificate_of_an_unknown_authority_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with serve_handler(OneAtATime, ThreadingHTTPServer, context) as address:
        code, report = check_json(address.replace("http://127.0.0.1", "https://localhost"))
    [connection] = [one for one in report["checks"] if one["check"] == "connection"]
    assert (code, blamed(report)) == (1, {"connection"})
    assert "certificate" in connection["seen"]


class OneAtATime(BaseHTTPRequestHandler):
    """Reads one connection to its end before the next one. Nothing is booked, and nothing can be given back."""

    def do_GET(self) -> None:
        self.answer(200, b'{"state": "not_booked"}')

    def do_POST(self) -> None:
        self.answer(422, b'{"state": "class_gone"}')

    def do_DELETE(self) -> None:
        self.answer(405, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        known = self.headers.get("Authorization") == f"Bearer {SECRET}"
        self.send_response(status if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Impatient(OneAtATime):
    """Closes a connection on which nothing arrives at once."""

    timeout = 0.01


@contextmanager
def serve_handler(
    handler: type[BaseHTTPRequestHandler], kind: type[HTTPServer], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    with kind(("127.0.0.1", 0), handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/book"
        finally:
            server.shutdown()
            thread.join(10)


def test_an_endpoint_may_read_one_connection_at_a_time() -> None:
    with serve_handler(OneAtATime, HTTPServer) as url:
        report = json.loads(check(url, "--json").stdout)
    [waiting] = [one for one in report["checks"] if one["check"] == "waiting connection"]
    assert (waiting["result"], blamed(report)) == ("holds", set())


def test_an_endpoint_that_closes_waiting_connections_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "HOLD", 0.3)
    with serve_handler(Impatient, ThreadingHTTPServer) as url:
        result = check(url, "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, blamed(report)) == (1, {"waiting connection"})
    assert "was closed" in str(report)


def test_an_idempotent_venue_needs_no_question_and_no_giving_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {'@app.get("/book")\n': "", '@app.delete("/book")\n': ""}
    with serve_example(tmp_path, monkeypatch, changes) as url:
        code, report = check_json(url, "--idempotent")
        assert (code, blamed(report)) == (0, set())
        code, report = check_json(url, "--prefix", "others-")
        assert (code, blamed(report)) == (1, {"question, unknown id", "question, booked"})
    assert report["left"][0]["member"].startswith("others-")


def test_without_a_class_nothing_is_booked_and_the_rest_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_example(tmp_path, monkeypatch) as url:
        result = check(url)
    assert result.exit_code == 1
    assert "Nothing is booked" in result.stdout
    assert "required ones could not be tried" in result.stdout
    assert rows(tmp_path) == []


def rows(folder: Path) -> list[Any]:
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger:
        return ledger.execute("select state, member from bookings").fetchall()


def test_it_tells_what_it_books_and_asks_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_example(tmp_path, monkeypatch) as url:
        refused = check(url, "--class-id", "4711", "--prefix", "check-", stdin="n\n")
        assert refused.exit_code == 130
        assert "real bookings at 127.0.0.1, of 4711, for made-up members such as check-1@example.com" in refused.stdout
        assert rows(tmp_path) == []
        done = check(url, "--class-id", "4711", "--prefix", "check-", stdin="y\n")
    assert done.exit_code == 0, done.output
    assert {member for _, member in rows(tmp_path)} <= {f"check-{number}@example.com" for number in range(1, 40)}
    assert {state for state, _ in rows(tmp_path)} == {"given_back"}
    assert SECRET not in done.output
    assert "name a class with --full-class" in done.stdout
    assert "same key at once" in done.stdout


def test_an_interrupted_check_gives_back_what_it_booked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BookingChecks, "_at_once", interrupt)
    with serve_example(tmp_path, monkeypatch) as url:
        assert check(url, "--class-id", "4711", "--yes").exit_code == 130
    assert {state for state, _ in rows(tmp_path)} == {"given_back"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ftp://book.example.com"], "The address is not a web address"),
        (["https://book.example.com", "--data", "[]"], "--data is not a JSON object"),
        (["https://book.example.com", "--class-id", "1", "--json"], "With --json add --yes"),
    ],
)
def test_bad_words_exit_with_2(words: list[str], sentence: str) -> None:
    result = check(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOOKING_WEBHOOK_SECRET")
    result = check("https://book.example.com")
    assert result.exit_code == 1
    assert "BOOKING_WEBHOOK_SECRET is missing" in result.stderr
