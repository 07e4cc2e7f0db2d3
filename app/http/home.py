"""The first page: what is running, and the way to a real call, each step checked while one looks.

No build step, no outside host, and all of it is there without JavaScript. The one rule: what is
set up is the operator's business: it is shown on this machine, or to the bearer of the key;
to anybody else the page says that Patchline runs, and how to see more.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from html import escape
from string import Template
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict

from app.http.checklist import Checklist
from app.http.pages import (
    PLAIN,
    STATIC,
    Asset,
    PhoneSetup,
    opened_here,
    out_of_reach,
    same_origin,
)
from app.http.problems import described
from app.http.steps import Calls, Place, Step

ASSETS = ("home.css", "home.js", "icon.svg", "phone.css", "setup.js")
_STATES = {"ok": "Done", "todo": "To do", "failed": "Not working", "unknown": "Not sure"}
_MARKS = {"ok": "✓", "failed": "!", "unknown": "?"}
_PARTS = {"hears": "Hears", "thinks": "Thinks", "speaks": "Speaks"}
_bearer = HTTPBearer(auto_error=False, description="The API_KEY of this server.")
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_GUARDED = PLAIN | {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Permissions-Policy": "microphone=(), camera=(), geolocation=(), display-capture=()",
    "Cache-Control": "no-store",
    "Vary": "Accept, Authorization",
}
_ALONE = {"Cross-Origin-Opener-Policy": "same-origin"}
"""Of the page itself; browsers complain of it under an http address that is not this machine."""


class CopyLine(BaseModel):
    """Something to be copied as it is, and where it belongs."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    text: str
    where: str


class SetupStep(BaseModel):
    """One step of the way to a real call."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, use_attribute_docstrings=True)

    id: str
    title: str
    state: str
    """``ok``, ``todo``, ``failed`` or ``unknown``."""
    sentence: str
    next_step: str
    lines: list[CopyLine]
    link: str | None


class CallCount(BaseModel):
    """What came in."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    live: int
    since_start: int


class Home:
    """The page and who may see what of it."""

    def __init__(self, checklist: Checklist, check_key: Callable[..., Awaitable[None]]) -> None:
        self._checklist = checklist
        self._check_key = check_key
        self._page = Template((STATIC / "home.html").read_text(encoding="utf-8"))
        self._closed = Template((STATIC / "home-closed.html").read_text(encoding="utf-8"))

    async def page(self, request: Request) -> Response:
        """The page for a browser; a short one for whoever is not the operator."""
        if not await self._seen_by_operator(request):
            place = self._checklist.place
            closed = self._closed.substitute(port=place.port, way=_way(place))
            return HTMLResponse(closed, headers=_GUARDED)
        # A page of another origin can bring a browser here, and not make us ask others.
        asked = "check" in request.query_params and same_origin(request)
        steps = await self._checklist.asked() if asked else self._checklist.unasked()
        return HTMLResponse(self._filled(steps, asked=asked), headers=_GUARDED | _ALONE)

    def _filled(self, steps: Sequence[Step], *, asked: bool) -> str:
        setup, place = self._checklist.phone(), self._checklist.place
        return self._page.substitute(
            facts="".join(_facts(place, setup)),
            talk=_TALK if setup is not None and place.at_home else "",
            calls=escape(_calls(self._checklist.calls())),
            came=self._checklist.calls().since_start,
            steps=fragment(steps),
            summary=escape(_summary(steps)) if asked else "",
        )

    async def require_operator(self, request: Request, given: Given = None) -> None:
        """Raise 403 or 401 unless this machine or the bearer of the key asks."""
        if given is not None:
            await self._check_key(given)
        elif not (opened_here(request) and same_origin(request)):
            raise HTTPException(403, _elsewhere(self._checklist.place))

    async def _seen_by_operator(self, request: Request) -> bool:
        try:
            given = await _bearer(request)
            if given is not None:
                await self._check_key(given)
        except HTTPException:
            return False
        return given is not None or opened_here(request)

    def routes(self) -> APIRouter:
        """What the page asks for; ``/`` itself is shared with programs (``api``)."""
        router = APIRouter(prefix="/setup", tags=["setup"])
        assets = {name: Asset(STATIC / name) for name in ASSETS}
        only = [Depends(self.require_operator)]
        refusals = described(401, 403)
        checklist = self._checklist

        @router.get(
            "/checks",
            operation_id="check_setup",
            response_model=list[SetupStep],
            summary="How far the setup is, asked of the others now",
            dependencies=only,
            responses=refusals,
        )
        async def checks(request: Request, response: Response) -> Any:
            """The six steps in order; at most some five seconds."""
            steps = await checklist.asked()
            if wants_html(request):
                headers = _GUARDED | {"X-Summary": _summary(steps)}
                return HTMLResponse(fragment(steps), headers=headers)
            response.headers.update(PLAIN | {"Cache-Control": "no-store"})
            return steps

        @router.get(
            "/calls",
            operation_id="count_calls",
            response_model=CallCount,
            summary="Calls that came in",
            dependencies=only,
            responses=refusals,
        )
        async def calls(response: Response) -> Any:
            """How many calls came in since the start, and how many live."""
            response.headers.update(PLAIN | {"Cache-Control": "no-store"})
            return checklist.calls()

        @router.get(
            "/assets/{name}",
            operation_id="setup_asset",
            response_class=Response,
            responses=described(404),
        )
        async def asset(name: str, request: Request) -> Response:
            """A script or style of the page."""
            found = assets.get(name)
            if found is None:
                raise HTTPException(404, "the page has no file of this name")
            return found.answer(request)

        return router


def wants_html(request: Request) -> bool:
    """Whether HTML is named among what is accepted: by browsers it is, by programs not."""
    accepted = request.headers.get("accept", "").split(",")
    return any(one.partition(";")[0].strip().lower() == "text/html" for one in accepted)


def fragment(steps: Sequence[Step]) -> str:
    """The list of steps as HTML; the first that is open has its advice unfolded."""
    first = next((step for step in steps if step.state != "ok"), None)
    items = "".join(
        _item(number, step, unfolded=step is first or step.state == "failed")
        for number, step in enumerate(steps, 1)
    )
    return f'<ol class="steps" id="steps">{items}</ol>'


def _item(number: int, step: Step, *, unfolded: bool) -> str:
    mark = _MARKS.get(step.state, str(number))
    return (
        f'<li class="card step" data-id="{step.id}" data-state="{step.state}">'
        f'<span class="mark" aria-hidden="true">{mark}</span>'
        f'<div class="what"><h3>{escape(step.title)}</h3>'
        f'<p class="state">{_state(step)}</p></div>'
        f'<p class="sentence">{escape(step.sentence)}</p>{_advice(step, unfolded=unfolded)}</li>'
    )


def _state(step: Step) -> str:
    return "Ready" if step.id == "talk" and step.state == "ok" else _STATES[step.state]


def _advice(step: Step, *, unfolded: bool) -> str:
    link = _link(step.link) if step.link else ""
    if not step.lines:
        text = f'<p class="next">{escape(step.next_step)}</p>' if step.next_step else ""
        return text + link
    lines = "".join(
        f'<li><span class="where">{escape(line.where)}</span>'
        f'<code tabindex="0">{escape(line.text)}</code></li>'
        for line in step.lines
    )
    return (
        f'<details class="how"{" open" if unfolded else ""}>'
        f'<summary>{escape(step.next_step)}</summary><ul class="lines">{lines}</ul>{link}</details>'
    )


def _link(link: str) -> str:
    place = "the telephone" if link.startswith("/") else link.split("/")[2]
    href = f'href="{escape(link)}" rel="noreferrer noopener"'
    return f'<p class="go"><a {href}>Open {escape(place)}</a></p>'


def _facts(place: Place, setup: PhoneSetup | None) -> Iterator[str]:
    if place.local_model:
        yield _fact("Model", "Local model", "Small, on this machine; free of charge.")
    else:
        yield _fact("Model", place.model, f"At {place.model_host}.")
    if place.local_line:
        yield _fact("Carrier", "Local line", "Calls come from the telephone on this machine.")
    else:
        yield _fact("Carrier", "Twilio", f"Rings at {place.public_url}.")
    yield _fact("Agent", place.agent_file, "The document that says who answers.")
    for rung in setup.rungs if setup is not None and place.local_model else ():
        if rung.part in _PARTS:
            yield _fact(_PARTS[rung.part], rung.rung, rung.sentence)


def _fact(term: str, name: str, sentence: str) -> str:
    return (
        f'<div><dt>{escape(term)}</dt><dd class="rung">{escape(name)}</dd>'
        f'<dd class="why">{escape(sentence)}</dd></div>'
    )


_TALK = '<p class="talk-now"><a class="button primary" href="/phone">Talk to it now</a></p>'


def _calls(calls: Calls) -> str:
    if not calls.since_start:
        return "None since the start"
    return f"{calls.since_start} since the start, {calls.live} live"


def _summary(steps: Sequence[Step]) -> str:
    done = sum(step.state == "ok" for step in steps)
    failed = sum(step.state == "failed" for step in steps)
    return f"{done} of {len(steps)} done" + (f", {failed} not working" if failed else "") + "."


def _way(place: Place) -> str:
    """How the operator sees the page, from here or from afar."""
    if not place.at_home:
        return f'<li><span class="where">{escape(out_of_reach(place.host))}</span></li>'
    ways = {
        "in a browser on that machine": f"http://localhost:{place.port}",
        "from afar, before that": f"ssh -L {place.port}:localhost:{place.port} that-machine",
    }
    return "".join(
        f'<li><span class="where">{where}</span><code tabindex="0">{line}</code></li>'
        for where, line in ways.items()
    )


def _elsewhere(place: Place) -> str:
    if not place.at_home:
        return f"The setup is not shown here. {out_of_reach(place.host)}"
    port = place.port
    return (
        f"The setup is shown on the machine that Patchline runs on: open http://localhost:{port}"
        f" there. From afar, first: ssh -L {port}:localhost:{port} that-machine; programs send"
        " the bearer key API_KEY."
    )
