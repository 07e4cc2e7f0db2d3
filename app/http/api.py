"""The operator's routes, and what a load balancer and a scraper ask.

``/health`` means the process answers; ``/ready`` means it may be sent new calls. Both answer
HEAD as well, which is what many probes send; uvicorn leaves the body out.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from app.http.home import Home, wants_html
from app.http.problems import described
from app.runtime.book import Book

TAGS = [
    {"name": "operator", "description": "For programs of the operator's: bearer key API_KEY."},
    {"name": "page", "description": "A call's page: its address is the key."},
    {"name": "setup", "description": "The first page's: to this machine, or with the key API_KEY."},
    {"name": "operations", "description": "For load balancers: no key. For scrapers: API_KEY."},
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
    agent_file: Literal["ok", "broken"] = "ok"
    """broken: it was changed and cannot be used; calls are answered as before the change."""


class Document(Protocol):
    """The agent document, looked at now and then."""

    @property
    def broken(self) -> bool:
        """Whether it cannot be used as it is."""


class Readiness(BaseModel):
    """Whether new calls may come."""

    ready: bool
    live_calls: int


def public_routes(
    book: Book, banner: str, home: Home, *, instance: str, document: Document
) -> APIRouter:
    """``/``, ``/health`` and ``/ready``: no key, nothing personal."""
    router = APIRouter(tags=["operations"])
    as_page: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/html": {"schema": {"type": "string"}}}}
    }

    @router.head("/", include_in_schema=False)
    @router.get("/", response_class=PlainTextResponse, summary="What is running", responses=as_page)
    async def root(request: Request) -> Response:
        """What is running; a page for browsers, which name ``text/html`` in ``Accept``."""
        if wants_html(request):
            return await home.page(request)
        return PlainTextResponse(banner, headers={"Vary": "Accept"})

    @router.head("/health", include_in_schema=False)
    @router.get("/health", summary="Whether the process answers")
    async def health() -> Health:
        """The process answers."""
        agent_file: Literal["ok", "broken"] = "broken" if document.broken else "ok"
        return Health(status="ok", instance=instance, agent_file=agent_file)

    draining: dict[int | str, dict[str, Any]] = {
        503: {"model": Readiness, "description": "The server drains"}
    }

    @router.head("/ready", include_in_schema=False)
    @router.get("/ready", summary="Whether new calls may come", responses=draining)
    async def ready(response: Response) -> Readiness:
        """New calls may come; 503 while the server drains."""
        if book.draining:
            response.status_code = 503
        return Readiness(ready=not book.draining, live_calls=book.live)

    return router


def metrics_routes(check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``/metrics``: how many calls there are is nobody's business but the bearer's."""
    router = APIRouter(tags=["operations"], dependencies=[Depends(check)])

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=PlainTextResponse,
        responses=described(401),
    )
    async def metrics() -> Response:
        """Prometheus exposition; its ``authorization`` setting sends the key."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
