"""A request is authorised by exactly one header with the bearer scheme and one of the secrets."""

from __future__ import annotations

import pytest

from prebooking.function.auth import is_authorised

SECRET = "the-secret-of-the-cron"
BEFORE = "the-secret-before-it"


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {SECRET}",
        f"bearer {SECRET}",
        f"BEARER {SECRET}",
        f"bEaReR {SECRET}",
        f"Bearer  {SECRET}",
        f"Bearer {SECRET} ",
        f"Bearer {BEFORE}",
    ],
)
def test_one_bearer_secret_is_authorised_in_any_case_of_the_scheme(header: str) -> None:
    assert is_authorised([header], [SECRET, BEFORE])


WRONG = {
    "nothing": "",
    "a blank": " ",
    "the scheme alone": "Bearer",
    "the scheme and a blank": "Bearer ",
    "the secret alone": SECRET,
    "the secret after a blank": f" {SECRET}",
    "the secret behind a blank before its scheme": f" Bearer {SECRET}",
    "the scheme stuck to the secret": f"Bearer{SECRET}",
    "a colon after the scheme": f"Bearer: {SECRET}",
    "a tab after the scheme": f"Bearer\t{SECRET}",
    "a tab before the secret": f"Bearer \t{SECRET}",
    "a newline after the secret": f"Bearer {SECRET}\n",
    "a wide blank after the secret": f"Bearer {SECRET}\u00a0",
    "the scheme twice": f"Bearer Bearer {SECRET}",
    "another scheme": f"Basic {SECRET}",
    "a token of a similar scheme": f"Bearers {SECRET}",
    "a scheme in letters that look alike": f"\u0412earer {SECRET}",
    "a scheme with a dotted capital i": f"B\u0130arer {SECRET}",
    "an environment without the variable, in Python": "Bearer None",
    "an environment without the variable, in JavaScript": "Bearer undefined",
    "a shell without the variable": "Bearer null",
    "the variable's name": "Bearer $CRON_SECRET",
    "a shorter secret": f"Bearer {SECRET[:-1]}",
    "a longer secret": f"Bearer {SECRET}x",
    "another first character": f"Bearer x{SECRET[1:]}",
    "another case": f"Bearer {SECRET.upper()}",
    "quotes round the secret": f'Bearer "{SECRET}"',
    "a comma after the secret": f"Bearer {SECRET},",
    "two headers joined, both right": f"Bearer {SECRET}, Bearer {SECRET}",
    "two headers joined, one right": f"Bearer {SECRET}, Bearer x",
    "both secrets at once": f"Bearer {SECRET} {BEFORE}",
    "parameters": f"Bearer token={SECRET}",
    "a character outside ASCII": f"Bearer {SECRET}ñ",
    "the secret in letters that look alike": f"Bearer {SECRET.replace('e', chr(0x435))}",
    "half a character": f"Bearer {SECRET}\ud800",
    "a null byte after the secret": f"Bearer {SECRET}\x00",
    "a megabyte": f"Bearer {'x' * 1_000_000}",
    "the secret and a megabyte": f"Bearer {SECRET}{'x' * 1_000_000}",
    "a megabyte of blanks and no token": f"Bearer {' ' * 1_000_000}",
}


@pytest.mark.parametrize("header", WRONG.values(), ids=WRONG.keys())
def test_any_other_header_is_not_authorised(header: str) -> None:
    assert not is_authorised([header], [SECRET, BEFORE])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [f"Bearer {SECRET}", f"Bearer {SECRET}"],
        [f"Bearer {SECRET}", "Bearer x"],
        ["Bearer x", f"Bearer {SECRET}"],
        ["", f"Bearer {SECRET}"],
        [f"Bearer {SECRET}", f"Bearer {BEFORE}"],
    ],
)
def test_no_header_or_several_headers_are_not_authorised(headers: list[str]) -> None:
    assert not is_authorised(headers, [SECRET, BEFORE])


def test_the_previous_secret_is_authorised_only_while_it_is_set() -> None:
    assert is_authorised([f"Bearer {BEFORE}"], [SECRET, BEFORE])
    assert not is_authorised([f"Bearer {BEFORE}"], [SECRET])


@pytest.mark.parametrize("token", ["", SECRET])
def test_without_a_secret_no_request_is_authorised(token: str) -> None:
    assert not is_authorised([f"Bearer {token}"], [])


def test_a_non_ascii_secret_is_compared() -> None:
    assert is_authorised(["Bearer contraseña-del-cron"], ["contraseña-del-cron"])
    assert not is_authorised(["Bearer contrasena-del-cron"], ["contraseña-del-cron"])
