"""The operator's routes, and what a load balancer and a scraper ask.

``/health`` means the process answers; ``/ready`` means it may be sent new calls.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.runtime.book import Book


def public_routes(book: Book, banner: str) -> APIRouter:
    """``/``, ``/health``, ``/ready`` and ``/metrics``: no key, nothing personal."""
    router = APIRouter(tags=["operations"])

    @router.get("/", response_class=PlainTextResponse)
    async def root() -> str:
        """What is running."""
        return banner

    @router.get("/health")
    async def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @router.get("/ready")
    async def ready(response: Response) -> dict[str, object]:
        """New calls may come; 503 while the server drains."""
        if book.draining:
            response.status_code = 503
        return {"ready": not book.draining, "live_calls": book.live}

    @router.get("/metrics")
    async def metrics() -> Response:
        """Prometheus exposition."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def operator_routes(book: Book, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``/v1``: behind the bearer key."""
    router = APIRouter(prefix="/v1", tags=["operator"], dependencies=[Depends(check)])

    @router.get("/calls/{call_id}")
    async def call(call_id: str) -> dict[str, object]:
        """The record of a call, live or ended, by its id or CallSid; in memory for now."""
        record = book.record(call_id)
        if record is None:
            raise HTTPException(404, "no call has this id, or its record is gone")
        return record

    return router
