"""Every refusal as an RFC 9457 problem document: what is wrong, in one sentence, and no more."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from app.errors import StoreFault

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """A refusal, as RFC 9457 has it."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    type: str
    title: str
    status: int
    detail: str
    """What is wrong, in one sentence."""


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These refusals, and any other, as the ``responses`` of a route."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    named: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }
    return {**named, "default": {"description": "Any other refusal", "content": content}}


SAID = "said"
"""The type of an error whose sentence is ours, and holds nothing that anybody typed."""


def install(app: FastAPI) -> None:
    """Answer errors of ``app`` as ``application/problem+json``."""

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, fault: HTTPException) -> JSONResponse:
        return _problem(fault.status_code, str(fault.detail), dict(fault.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, fault: RequestValidationError) -> JSONResponse:
        # Names of fields only: what somebody typed into them is no business of a log or a reply.
        said = [error["msg"] for error in fault.errors() if error["type"] == SAID]
        if said:
            return _problem(422, "; ".join(said), {})
        names = [".".join(str(part) for part in error["loc"][1:]) for error in fault.errors()]
        return _problem(422, f"these fields are missing or malformed: {', '.join(names)}", {})

    @app.exception_handler(StoreFault)
    async def unreachable(_request: Request, fault: StoreFault) -> JSONResponse:
        return _problem(503, f"{fault}: ask again in a moment", {"Retry-After": "2"})

    @app.exception_handler(Exception)
    async def broken(_request: Request, _fault: Exception) -> JSONResponse:
        # It is raised again behind this answer, and uvicorn writes it into the log.
        return _problem(500, "this server has a fault; its log has more", {})


def _problem(status: int, detail: str, headers: dict[str, str]) -> JSONResponse:
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)
