"""The softphone: one page, its scripts, and what they must know to find their line.

No build step and no outside host: the browser is given a policy that lets the page talk to
this server and to the local telephone line, and to nobody else. The one rule: the ticket of the
line leaves only in an answer to a page that was opened on this machine, which the request's
``Host`` and its sender tell; a name that somebody pointed at 127.0.0.1 is not one of its names,
and a stranger of the network may write any ``Host``.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException, Request, Response

from app.http.problems import described

STATIC = Path(__file__).parent / "static"
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ANYWHERE = frozenset({"", "0.0.0.0", "::"})
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_NO_LINE = (
    "There is no telephone on this page: this server takes its calls from Twilio. Without"
    " TWILIO_ACCOUNT_SID in .env it has a local line, and this page is its telephone."
)


@dataclass(frozen=True, slots=True)
class Rung:
    """Who does one part of a call, and what would do it better."""

    part: str
    """``hears``, ``thinks``, ``speaks`` or ``carrier``."""
    rung: str
    sentence: str
    better: str | None = None
    """How to get the next better one; None where there is none."""


@dataclass(frozen=True, slots=True)
class PhoneSetup:
    """What the page must know."""

    line: str
    """The socket of the local carrier, as ``ws://localhost:PORT/phone``."""
    ticket: str
    rungs: tuple[Rung, ...]


def answers_at_home(host: str) -> bool:
    """Whether a server with this HOST is reached as ``localhost`` by browsers beside it."""
    return host in LOCAL_NAMES | _ANYWHERE


def out_of_reach(host: str) -> str:
    """What is said where the telephone and the setup should be; ``host`` answers elsewhere."""
    return (
        f"HOST is {host}, and a browser must open this server as localhost for that. Set"
        " HOST=127.0.0.1 in .env (0.0.0.0: every address of the machine) and start again."
    )


def routes(setup: Callable[[], PhoneSetup | None], host: str = "") -> APIRouter:
    """The page's routes; ``setup`` is asked each time and is None while there is no local line.

    ``host`` is what the server listens on.
    """
    router = APIRouter(prefix="/phone", tags=["phone"], responses=described(403, 404, 422))
    page = (STATIC / "phone.html").read_bytes()
    assets = {file.name: Asset(file) for file in STATIC.iterdir() if file.suffix != ".html"}

    def local_line() -> PhoneSetup:
        found = setup()
        if found is None:
            raise HTTPException(404, _NO_LINE)
        return found

    @router.get("", response_class=Response)
    async def phone() -> Response:
        """The softphone."""
        headers = _guarded(local_line().line) | {"Cache-Control": "no-store"}
        return Response(page, media_type=MEDIA_TYPES[".html"], headers=headers)

    @router.get("/setup.json")
    async def phone_setup(request: Request, response: Response) -> dict[str, object]:
        """Where the line is, its ticket, and what runs; to pages of this machine only."""
        found = local_line()
        require_local(request, found.line, host)
        response.headers.update(PLAIN | {"Cache-Control": "no-store"})
        return asdict(found)

    @router.get("/assets/{name}", response_class=Response)
    async def phone_asset(name: str, request: Request) -> Response:
        """A script or style of the page."""
        local_line()
        asset = assets.get(name)
        if asset is None:
            raise HTTPException(404, "the page has no file of this name")
        return asset.answer(request)

    return router


def of_local_line(
    setup: Callable[[], PhoneSetup | None], host: str = ""
) -> Callable[[Request], None]:
    """A check for what else belongs to the page; raises 404 or 403 as ``/phone`` does."""

    def check(request: Request) -> None:
        found = setup()
        if found is None:
            raise HTTPException(404, _NO_LINE)
        require_local(request, found.line, host)

    return check


def require_local(request: Request, line: str, host: str = "") -> None:
    """Raise 403, with the way on, unless the page was opened on this machine, by its name."""
    if opened_here(request) and same_origin(request):
        return
    if not answers_at_home(host):
        raise HTTPException(403, f"This telephone cannot ring here. {out_of_reach(host)}")
    port, line_port = request.url.port or 80, urlsplit(line).port
    raise HTTPException(
        403,
        f"This telephone works on the machine that Patchline runs on: open"
        f" http://localhost:{port}/phone there. From afar, first:"
        f" ssh -L {port}:localhost:{port} -L {line_port}:localhost:{line_port} that-machine",
    )


def opened_here(request: Request) -> bool:
    """Whether a browser on this machine asks, under a name of this machine.

    A name somebody pointed at 127.0.0.1 is none of them, and what a proxy passes on came
    from elsewhere, whatever ``Host`` it wrote.
    """
    if any(name in request.headers for name in _FORWARDED):
        return False
    return request.url.hostname in LOCAL_NAMES and _is_near(request)


def _is_near(request: Request) -> bool:
    try:
        peer = ip_address(request.client.host if request.client is not None else "")
    except ValueError:
        return False
    mapped = peer.ipv4_mapped if isinstance(peer, IPv6Address) else None
    return (mapped or peer).is_loopback


def same_origin(request: Request) -> bool:
    """Whether no page of another origin asks."""
    # Programs send neither header; a page of another origin cannot leave them out.
    return request.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}


class Asset:
    """A file of the page, read once."""

    def __init__(self, file: Path) -> None:
        self.body = file.read_bytes()
        self.media_type = MEDIA_TYPES[file.suffix]
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'
        # Asked for again each time, answered with 304: a new version is there at once.
        self.headers = PLAIN | {"ETag": self.etag, "Cache-Control": "no-cache"}

    def answer(self, request: Request) -> Response:
        """The file, or that the browser has it."""
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=self.headers)
        return Response(self.body, media_type=self.media_type, headers=self.headers)


PLAIN = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


def _guarded(line: str) -> dict[str, str]:
    """The page's headers: nothing from elsewhere, nobody's frame, the microphone for itself."""
    parts = urlsplit(line)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "worker-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": f"'self' {parts.scheme}://{parts.netloc}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return PLAIN | {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
