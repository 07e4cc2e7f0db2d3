"""The operator's routes, and what a load balancer and a scraper ask.

``/health`` means the process answers; ``/ready`` means it may be sent new calls.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from app.http.home import Home, wants_html
from app.http.problems import described
from app.http.record import CallRecord
from app.runtime.book import Book

TAGS = [
    {"name": "operator", "description": "For programs of the operator's: bearer key API_KEY."},
    {"name": "phone", "description": "The local line's telephone: a page for a browser."},
    {"name": "setup", "description": "The first page's: to this machine, or with the key API_KEY."},
    {"name": "operations", "description": "For load balancers and scrapers: no key."},
    {
        "name": "twilio",
        "description": "Called by Twilio alone, which signs each request over PUBLIC_URL;"
        " parameters are Twilio's, as it documents them.",
    },
    {"name": "phone", "description": "The softphone's, where there is a local line."},
]


class Health(BaseModel):
    """The process answers."""

    status: str
    instance: str
    """Drawn at each start: whoever asks over a public address learns which process answered."""


class Readiness(BaseModel):
    """Whether new calls may come."""

    ready: bool
    live_calls: int


def public_routes(book: Book, banner: str, home: Home, instance: str) -> APIRouter:
    """``/``, ``/health``, ``/ready`` and ``/metrics``: no key, nothing personal."""
    router = APIRouter(tags=["operations"])
    as_page: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/html": {"schema": {"type": "string"}}}}
    }

    @router.get("/", response_class=PlainTextResponse, summary="What is running", responses=as_page)
    async def root(request: Request) -> Response:
        """What is running; a page for browsers, which name ``text/html`` in ``Accept``."""
        if wants_html(request):
            return await home.page(request)
        return PlainTextResponse(banner, headers={"Vary": "Accept"})

    @router.get("/health", summary="Whether the process answers")
    async def health() -> Health:
        """The process answers."""
        return Health(status="ok", instance=instance)

    draining: dict[int | str, dict[str, Any]] = {
        503: {"model": Readiness, "description": "The server drains"}
    }

    @router.get("/ready", summary="Whether new calls may come", responses=draining)
    async def ready(response: Response) -> Readiness:
        """New calls may come; 503 while the server drains."""
        if book.draining:
            response.status_code = 503
        return Readiness(ready=not book.draining, live_calls=book.live)

    @router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus exposition."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def operator_routes(book: Book, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``/v1``: behind the bearer key."""
    router = APIRouter(prefix="/v1", tags=["operator"], dependencies=[Depends(check)])

    found: dict[int | str, dict[str, Any]] = {
        200: {"model": CallRecord, "description": "The record"}
    }

    @router.get(
        "/calls/{call_id}",
        operation_id="get_call",
        summary="The record of a call",
        response_model=None,
        responses={**found, **described(401, 404)},
    )
    async def call(call_id: str) -> dict[str, object]:
        """The record of a call, live or ended, by its id or CallSid; in memory for now."""
        record = book.record(call_id)
        if record is None:
            raise HTTPException(404, "no call has this id, or its record is gone")
        return record

    return router
