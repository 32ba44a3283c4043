"""A gym on the venue twin, and a browser that speaks AimHarder with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from prebooking.local.venue.aimharder import BOOK, BOOKINGS, CANCEL_BOOK, LOGIN, TOKEN_UPDATE, WHOAMI
from prebooking.local.venue.twin import VenueTwin
from tests.support.doubles import EPOCH

BOX, BOX_ID = "mybox.aimharder.com", 10_584
DAY = "20300111"
WOD, OPEN_BOX, EVENING = "2001", "2002", "2003"
PASSWORD = "a member's password"
FINGERPRINT = "0123456789" * 5


def gym(**how: Any) -> VenueTwin:
    """A box with two classes at seven and one in the evening, open since the epoch, and four members.

    The first class has two places, and one on the waiting list.
    """
    options: dict[str, Any] = {"now": lambda: EPOCH, "secret": "the secret of the twin"}
    twin = VenueTwin(**options | how)
    twin.open_box(BOX, box_id=BOX_ID)
    twin.open_class(WOD, opens_at=EPOCH, capacity=2, waiting_list=1, day=DAY, time="07:00")
    twin.open_class(OPEN_BOX, opens_at=EPOCH, capacity=9, name="OPEN BOX", day=DAY, time="07:00")
    twin.open_class(EVENING, opens_at=EPOCH + timedelta(hours=1), capacity=9, day=DAY, time="19:30")
    for who in ("ana", "ben", "cleo", "dan"):
        twin.join(email(who), PASSWORD)
    return twin


def email(who: str) -> str:
    return f"{who}@example.com"


class Browser:
    """A member's browser: keeps the session and the token, and sends the fields of the real one."""

    def __init__(self, client: httpx.AsyncClient, *, host: str = BOX, fingerprint: str = FINGERPRINT) -> None:
        self.client, self.host, self.fingerprint = client, host, fingerprint
        self.family = host.rpartition(".")[2]
        self.session, self.token = "", ""

    @classmethod
    async def of(cls, client: httpx.AsyncClient, who: str, **how: Any) -> Browser:
        """Return a browser with a member's login."""
        browser = cls(client, **how)
        answer = await browser.log_in(who)
        assert answer.json()["data"]["auth"]["authOK"]
        return browser

    async def log_in(self, who: str, password: str = PASSWORD, **fields: Any) -> httpx.Response:
        body = {"username": email(who), "password": password, "fingerprint": self.fingerprint, "iniframe": 0}
        answer = await self._send("POST", f"login.aimharder.{self.family}", LOGIN, json=body | fields)
        return self._kept(answer, answer.json().get("data", {}).get("auth", {}).get("refreshToken", ""))

    async def refresh(self, token: str = "", **fields: str) -> httpx.Response:
        form = {"token": token or self.token, "ciclo": "1", "fingerprint": self.fingerprint}
        answer = await self._send("POST", f"aimharder.{self.family}", TOKEN_UPDATE, data=form | fields)
        return self._kept(answer, answer.json().get("newToken", ""))

    async def whoami(self) -> list[Any]:
        answer = await self._send("GET", f"aimharder.{self.family}", WHOAMI)
        people: list[Any] = answer.json()["data"]
        return people

    async def classes(self, **asked: Any) -> dict[int, dict[str, Any]]:
        """Return the day's classes by number."""
        return {line["id"]: line for line in (await self.schedule(**asked)).json()["bookings"]}

    async def schedule(self, **asked: Any) -> httpx.Response:
        params = {"day": DAY, "box": BOX_ID, "familyId": ""} | asked
        return await self._send("GET", self.host, BOOKINGS, params=params)

    async def book(
        self, class_id: str = WOD, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        """Ask for a place; a field that is None is left out."""
        form = {"id": class_id, "day": DAY, "insist": "0", "familyId": ""} | fields
        form = {name: value for name, value in form.items() if value is not None}
        return await self._send("POST", self.host, BOOK, data=form, headers=self._page() | (headers or {}))

    async def cancel(self, booking_id: str, *, late: str = "0") -> Any:
        form = {"id": booking_id, "late": late, "familyId": ""}
        answer = await self._send("POST", self.host, CANCEL_BOOK, data=form, headers=self._page())
        return answer.json()["cancelState"]

    def _page(self) -> dict[str, str]:
        page = f"https://{self.host}"
        return {"X-Requested-With": "XMLHttpRequest", "Origin": page, "Referer": f"{page}/schedule"}

    async def _send(self, method: str, host: str, path: str, **how: Any) -> httpx.Response:
        about = {"Host": host, "Cookie": f"other=1; amhrdrauth={self.session}"}
        return await self.client.request(method, path, headers=about | how.pop("headers", {}), **how)

    def _kept(self, answer: httpx.Response, token: str) -> httpx.Response:
        pairs = (line.partition(";")[0].partition("=") for line in answer.headers.get_list("set-cookie"))
        cookies = {name: value for name, _, value in pairs}
        self.session, self.token = cookies.get("amhrdrauth", self.session), token or self.token
        return answer
