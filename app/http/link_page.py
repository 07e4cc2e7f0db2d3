"""The page that a link leads to: a call to read along and to go on with in writing.

Rule: the link is the key, so it stays in nobody's history, cache, log or referrer; the page has no
word of the call in it and asks for them by itself.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app.http.pages import MEDIA_TYPES, PLAIN, STATIC
from app.http.problems import described
from app.runtime.links import MOST_CHARS, Links, TooLate, TooMuch
from app.runtime.records import CallRow

_FILES = ("link.css", "link.js")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECRET = PLAIN | {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "X-Robots-Tag": "noindex, nofollow",
}
_GONE = "this link leads nowhere, or no longer: ask for a new one on the telephone"


class Typed(BaseModel):
    """What the caller typed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    text: str = Field(min_length=1, max_length=MOST_CHARS)


class Line(BaseModel):
    """Something that was said or written."""

    by: str
    """caller or agent."""
    text: str


class Value(BaseModel):
    """Something that the call found out."""

    name: str
    value: str


class Conversation(BaseModel):
    """A call, as its caller may read it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    seen: int
    """To be given with the next question."""
    over: bool
    """Nobody is on the line."""
    open: bool
    """What is typed is read."""
    lines: list[Line]
    form: list[Value] | None


def routes(links: Links) -> APIRouter:
    """``/c/{token}`` and what belongs to it."""
    router = APIRouter(prefix="/c", tags=["page"], responses=described(404, 422, 503))
    page = (STATIC / "link.html").read_bytes()

    async def found(token: str) -> CallRow:
        row = await links.call(token) if len(token) <= 128 else None
        if row is None:
            raise HTTPException(404, _GONE)
        return row

    Found = Annotated[CallRow, Depends(found)]

    _serve_files(router)

    @router.get("/{token}", response_class=Response)
    async def link_page(_row: Found) -> Response:
        """The page of a link that was sent by text message."""
        return Response(page, media_type=MEDIA_TYPES[".html"], headers=_SECRET)

    @router.get(
        "/{token}/conversation",
        response_model=Conversation,
        responses={204: {"description": "Nothing new"}},
    )
    async def link_conversation(
        row: Found, response: Response, seen: Annotated[int, Query(ge=0)] = 0
    ) -> Any:
        """What was said and written, if anything came behind ``seen``."""
        told = await links.conversation(row, seen)
        if told is None:
            return Response(status_code=204, headers=_SECRET)
        response.headers.update(_SECRET)
        return Conversation.model_validate(told)

    @router.post(
        "/{token}/text",
        status_code=204,
        response_class=Response,
        responses=described(400, 404, 409, 422, 429, 503),
    )
    async def link_text(row: Found, typed: Typed) -> Response:
        """The caller typed something: the agent on the line reads it, or it is answered here."""
        try:
            await links.typed(row, typed.text)
        except TooMuch:
            raise HTTPException(429, "that is too much at once: wait a minute") from None
        except TooLate:
            raise HTTPException(409, "nobody reads here any more: call again") from None
        return Response(status_code=204, headers=_SECRET)

    return router


def _serve_files(router: APIRouter) -> None:
    files = {name: (STATIC / name).read_bytes() for name in _FILES}

    @router.get("/assets/{name}", response_class=Response)
    async def link_asset(name: str) -> Response:
        """The page's script or style."""
        if name not in files:
            raise HTTPException(404, "the page has no file of this name")
        kind = MEDIA_TYPES[f".{name.rpartition('.')[2]}"]
        return Response(files[name], media_type=kind, headers=PLAIN)
