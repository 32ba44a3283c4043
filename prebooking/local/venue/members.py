"""The accounts and sessions of the venue twin, without any protocol.

Where the real service's behaviour is unknown, the twin is strict:

- a refresh ends the old session at once, not only at the end of its half hour
- a refresh token works once, with the fingerprint of its login, and expires ``token_life`` after it was issued; a test
  can set a longer life
- after five wrong passwords every login fails for a quarter of an hour
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

SESSION_LIFE = timedelta(minutes=30)  # as all public clients of AimHarder assume
ATTEMPTS = 5
LOCKED_FOR = timedelta(minutes=15)


class LoginRefused(StrEnum):
    """The reasons for which a login fails."""

    WRONG = "wrong credentials"
    LOCKED = "too many attempts"


@dataclass(slots=True)
class Account:
    """An account, with the service's number for it."""

    number: int
    email: str
    password: str
    wrong_passwords: int = 0
    locked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TwinSession:
    """A session at one family of hosts, for one browser's fingerprint: its cookie and its refresh token."""

    email: str
    family: str
    fingerprint: str
    cookie: str
    token: str
    ends_at: datetime
    token_ends_at: datetime


class Members:
    """The accounts of a venue system and their sessions."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self.now = now
        self.token_life = SESSION_LIFE
        self._accounts: dict[str, Account] = {}
        self._sessions: dict[str, TwinSession] = {}  # by cookie, including ended ones

    def join(self, email: str, password: str) -> None:
        """Add an account, or set the password of an existing account."""
        email = email.lower()
        number = self._accounts[email].number if email in self._accounts else 500_001 + len(self._accounts)
        self._accounts[email] = Account(number, email, password)

    def number_of(self, email: str) -> int:
        """Return the number of an account."""
        return self._accounts[email].number

    def log_in(self, email: str, password: str, *, family: str, fingerprint: str) -> TwinSession | LoginRefused:
        """Open a session, or return the reason for the refusal."""
        account = self._accounts.get(email.lower())
        if account is None:
            return LoginRefused.WRONG
        if account.locked_until is not None and self.now() < account.locked_until:
            return LoginRefused.LOCKED
        if not secrets.compare_digest(account.password.encode(), password.encode()):
            return self._count_wrong_password(account)
        account.wrong_passwords, account.locked_until = 0, None
        return self._open(account.email, family, fingerprint)

    def refresh(self, token: str, *, family: str, fingerprint: str) -> TwinSession | None:
        """End the session with this token and open a new one; None if the token is not valid."""
        old = self._by_token(token)
        if old is None or (old.family, old.fingerprint) != (family, fingerprint) or self.now() >= old.token_ends_at:
            return None
        self._end(old, with_token=True)
        return self._open(old.email, family, fingerprint)

    def alive(self, cookie: str, *, family: str) -> TwinSession | None:
        """Return the valid session with this cookie in this family of hosts, or None."""
        session = self._sessions.get(cookie)
        return session if session and session.family == family and self.now() < session.ends_at else None

    def can_refresh(self, token: str) -> bool:
        """Return whether a refresh token is still valid."""
        session = self._by_token(token)
        return session is not None and self.now() < session.token_ends_at

    def owner(self, *, cookie: str = "", token: str = "") -> str:
        """Return the e-mail of the account with this cookie or token, valid or ended; empty if there is none."""
        session = self._sessions.get(cookie) or self._by_token(token)
        return session.email if session else ""

    def secrets(self) -> list[str]:
        """Return all cookies and tokens that were ever issued."""
        return [secret for session in self._sessions.values() for secret in (session.cookie, session.token)]

    def expire(self, email: str) -> None:
        """End a member's sessions now; each can still be refreshed once."""
        for session in self._of(email):
            self._end(session, with_token=False)

    def log_out(self, email: str) -> None:
        """End a member's sessions and their tokens now, so that a new login is needed."""
        for session in self._of(email):
            self._end(session, with_token=True)

    def _of(self, email: str) -> list[TwinSession]:
        return [session for session in self._sessions.values() if session.email == email.lower()]

    def _by_token(self, token: str) -> TwinSession | None:
        return next((session for session in self._sessions.values() if session.token == token), None)

    def _count_wrong_password(self, account: Account) -> LoginRefused:
        account.wrong_passwords += 1
        if account.wrong_passwords >= ATTEMPTS:
            account.wrong_passwords, account.locked_until = 0, self.now() + LOCKED_FOR
        return LoginRefused.WRONG

    def _open(self, email: str, family: str, fingerprint: str) -> TwinSession:
        cookie, token, now = secrets.token_hex(32), secrets.token_hex(32), self.now()
        ends = (now + SESSION_LIFE, now + self.token_life)
        session = self._sessions[cookie] = TwinSession(email, family, fingerprint, cookie, token, *ends)
        return session

    def _end(self, session: TwinSession, *, with_token: bool) -> None:
        now = self.now()
        token_ends_at = min(session.token_ends_at, now) if with_token else session.token_ends_at
        ended = replace(session, ends_at=min(session.ends_at, now), token_ends_at=token_ends_at)
        self._sessions[session.cookie] = ended
