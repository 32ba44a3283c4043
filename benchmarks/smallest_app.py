"""The smallest app with the necessary parts of our function: FastAPI, supabase, its own client, one RPC."""

from __future__ import annotations

import os

import httpx
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from supabase import AsyncClient, AsyncClientOptions

app = FastAPI()


@app.post("/api/cron/prebooking_scheduler", response_model=None)
async def run() -> JSONResponse:
    async with httpx.AsyncClient(trust_env=False) as http:
        options = AsyncClientOptions(httpx_client=http, auto_refresh_token=False, persist_session=False)
        client = AsyncClient(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_ROLE_KEY"], options)
        return JSONResponse({"now": (await client.rpc("prebooking_clock", {}).execute()).data})
