"""HTTP APIs as tools, against a real server that lies, hangs and leads astray."""

import asyncio
import textwrap
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from app.agents.load import load_document
from app.errors import ToolFault
from app.tool_kinds import House, registry
from app.tools.parameters import CallFacts
from app.tools.registry import Registry, ToolOutcome

FACTS = CallFacts(call_id="c1", call_sid="CA1", caller="+33612345678", line="+15005550006")
POLICY = {"status": "active", "holder": {"name": "Fred"}, "cars": [{"plate": "AB 12"}]}
MEBIBYTE = 1 << 20


class Api:
    """Somebody's API; what it answers is the test's choice."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.answers: list[web.StreamResponse] = []
        self.sent_bytes = 0
        self.port = 0

    async def meet(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append((request.method, request.raw_path, headers, await request.read()))
        if request.path == "/hangs":
            await asyncio.Event().wait()
        if request.path == "/endless":
            return await self._endless(request)
        if self.answers:
            return self.answers.pop(0)
        return web.json_response(POLICY)

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" " * MEBIBYTE)
            self.sent_bytes += MEBIBYTE
        return response


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """An API on this machine."""
    api = Api()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", api.meet)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.port = runner.addresses[0][1]
    yield api
    await runner.cleanup()


def tools(folder: Path, text: str, house: House | None = None) -> Registry:
    """The tools of a document."""
    file = folder / "agent.yaml"
    file.write_text("instructions: x\ntools:\n" + textwrap.indent(textwrap.dedent(text), "  "))
    return registry(load_document(file), house or House({"TOKEN": "s3cret"}.get))


def lookup(api: Api, folder: Path, **more: object) -> Registry:
    """A tool that looks policies up, with ``more`` fields."""
    fields = {
        "type": "http",
        "description": "Look up a policy.",
        "url": f"http://127.0.0.1:{api.port}/policies/{{{{args.number}}}}",
        "headers": {"Authorization": "Bearer ${TOKEN}"},
        "parameters": {
            "properties": {
                "number": {"type": "string", "pattern": "^[^0]"},
                "days": {"type": "array", "items": {"type": "string"}},
                "year": {"type": "integer"},
            },
            "required": ["number"],
        },
        **more,
    }
    return tools(folder, f"lookup: {orjson.dumps(fields).decode()}")


async def run(tools: Registry, arguments: object = None) -> ToolOutcome:
    """What the tool says to the model."""
    given = {"number": "AB1"} if arguments is None else arguments
    return await tools.run("lookup", orjson.dumps(given).decode(), FACTS)


async def test_an_api_is_asked_and_its_answer_told(api: Api, tmp_path: Path) -> None:
    """O11: what the document says is what the server hears; the answer is the model's."""
    tool = lookup(api, tmp_path, query={"year": "{{args.year}}", "from": "{{caller.number}}"})

    outcome = await run(tool, {"number": "A B/1?x=#ü"})

    method, path, headers, body = api.heard[0]
    assert (method, body) == ("GET", b"")
    assert path == "/policies/A%20B%2F1%3Fx%3D%23%C3%BC?from=%2B33612345678"
    assert headers["authorization"] == "Bearer s3cret"
    assert outcome.ok
    assert orjson.loads(outcome.output) == POLICY


async def test_a_body_keeps_what_json_knows(api: Api, tmp_path: Path) -> None:
    """A number stays a number, what is missing is left out, and text is filled once."""
    body = {
        "policy": {"no": "{{args.number}}", "year": "{{args.year}}"},
        "days": "{{args.days}}",
        "note": "for {{args.number}}, {{args.year}}",
    }
    tool = lookup(api, tmp_path, method="POST", body=body)

    await run(tool, {"number": "{{args.year}}", "days": ["Mo"]})
    await run(lookup(api, tmp_path, method="PUT"), {"number": "x", "year": 3})

    assert orjson.loads(api.heard[0][3]) == {
        "policy": {"no": "{{args.year}}"},
        "days": ["Mo"],
        "note": "for {{args.year}}, ",
    }
    assert orjson.loads(api.heard[1][3]) == {"number": "x", "year": 3}


async def test_what_does_not_fit_the_schema_is_told_and_never_sent(
    api: Api, tmp_path: Path
) -> None:
    """O11: the model can correct it; the value may be a secret of the caller's and is not said."""
    outcome = await run(lookup(api, tmp_path), {"number": "0815", "year": "x", "colour": 1})

    assert not outcome.ok
    for said in (
        "number: must match ^[^0]",
        "year: must be of type integer",
        "colour: there is no",
    ):
        assert said in outcome.output
    assert "0815" not in outcome.output
    assert api.heard == []


@pytest.mark.parametrize("number", ["..", ".", "a/../b"])
async def test_an_argument_cannot_climb_out_of_the_path(
    api: Api, tmp_path: Path, number: str
) -> None:
    """``/policies/..`` is another tool's address, with this one's key."""
    outcome = await run(lookup(api, tmp_path), {"number": number})

    if "/" in number:
        assert api.heard[0][1] == "/policies/a%2F..%2Fb"
    else:
        assert (outcome.ok, api.heard) == (False, [])


async def test_what_the_call_knows_can_be_sent(api: Api, tmp_path: Path) -> None:
    """The same names as in all texts, what was saved by another tool among them."""
    tool = lookup(api, tmp_path, query={"holder": "{{holder}}", "id": "{{call.id}}"})
    known = replace(FACTS, values=lambda: {"variables": {"holder": "Fred & Co"}})

    outcome = await run(tool)
    assert "has no holder yet" in outcome.output
    assert api.heard == []

    assert (await tool.run("lookup", '{"number": "x"}', known)).ok
    assert api.heard[0][1].endswith("?holder=Fred%20%26%20Co&id=c1")


async def test_an_argument_cannot_write_a_header(api: Api, tmp_path: Path) -> None:
    """A line break would begin another one."""
    tool = lookup(api, tmp_path, headers={"X-Policy": "{{args.number}}"})

    outcome = await run(tool, {"number": "a\r\nX-Admin: 1"})

    assert "line break" in outcome.output
    assert api.heard == []


async def test_what_is_saved_of_an_answer_is_known_to_the_call(api: Api, tmp_path: Path) -> None:
    """C11: by name and path; what is not there is not saved."""
    save = {"holder": "$.holder.name", "plate": "$.cars[0]['plate']", "none": "$.cars[7].plate"}

    outcome = await run(lookup(api, tmp_path, save=save))

    assert outcome.variables == {"holder": "Fred", "plate": "AB 12"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(text="<html>log in</html>", content_type="text/html"), "a web page"),
        (web.Response(text=" <!DOCTYPE html>", content_type="application/json"), "a web page"),
        (web.Response(text="ok", content_type="application/json"), "says that it is JSON, and"),
        (web.Response(body=b"%PDF", content_type="application/pdf"), "a file that is no text"),
        (web.Response(body=b"\xff\x00\xfe", content_type="text/plain"), "a file that is no text"),
        (web.Response(body=b"x", headers={"Content-Encoding": "br"}), "packed"),
        (web.json_response({"error": "no such policy"}, status=404), "HTTP 404). It says: {"),
        (web.Response(text="<html>", content_type="text/html", status=500), "(HTTP 500)."),
        (web.Response(status=302, headers={"Location": "http://10.0.0.1/x"}), "not allowed"),
        (web.Response(status=302, headers={"Location": "https://127.0.0.2/x"}), "not allowed"),
        (web.Response(status=302, headers={"Location": "file:///etc/passwd"}), "not allowed"),
        (web.Response(status=302, headers={"Location": "http://[::1"}), "not allowed"),
        (web.Response(body=b" " * (MEBIBYTE + 1), content_type="text/plain"), "larger than 1 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_whatever_comes_back_is_a_sentence(
    api: Api, tmp_path: Path, answer: web.Response, said: str
) -> None:
    """Hosts lie about types, show pages, and lead into this house."""
    api.answers = [answer]

    outcome = await run(lookup(api, tmp_path))

    assert not outcome.ok
    assert said in outcome.output
    assert len(api.heard) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (web.Response(status=204), "had nothing to say (HTTP 204)"),
        (web.Response(text="nine to five", content_type="text/plain"), "nine to five"),
        (web.Response(body=b'{"a": 1}', headers={"Content-Type": ""}), '{"a":1}'),
        (web.Response(text="x" * 20_000, content_type="text/plain"), "[cut: the result was too"),
    ],
    ids=["nothing", "text", "untyped", "long"],
)
async def test_text_and_nothing_are_answers_too(
    api: Api, tmp_path: Path, answer: web.Response, told: str
) -> None:
    """Not every API speaks JSON; 8 kB are enough for a telephone call."""
    api.answers = [answer]

    outcome = await run(lookup(api, tmp_path))

    assert outcome.ok
    assert told in outcome.output
    assert len(outcome.output.encode()) <= 8192


async def test_an_endless_answer_is_not_read(api: Api, tmp_path: Path) -> None:
    """100 MiB would be the memory of a hundred calls."""
    url = f"http://127.0.0.1:{api.port}/endless"

    outcome = await run(lookup(api, tmp_path, url=url))

    assert "larger than 1 MiB" in outcome.output
    assert api.sent_bytes < 20 * MEBIBYTE


async def test_a_redirect_is_followed_within_its_host_and_not_for_ever(
    api: Api, tmp_path: Path
) -> None:
    """A moved address is no failure; a circle is, and an order is never sent twice."""
    moved = {"Location": "/there"}
    api.answers = [web.Response(status=307, headers=moved)]
    assert (await run(lookup(api, tmp_path))).ok
    assert [path for _, path, *_ in api.heard] == ["/policies/AB1", "/there"]

    api.answers = [web.Response(status=302, headers=moved) for _ in range(9)]
    assert "for ever" in (await run(lookup(api, tmp_path))).output

    api.heard.clear()
    assert "do not go" in (await run(lookup(api, tmp_path, method="POST"))).output
    assert len(api.heard) == 1


async def test_an_api_that_has_no_time_is_asked_again(api: Api, tmp_path: Path) -> None:
    """Once more where that is allowed; what is not repeated is told as it is."""
    api.answers = [web.Response(status=503), web.Response(status=429)]
    assert (await run(lookup(api, tmp_path, retries=2))).ok
    assert len(api.heard) == 3

    api.heard.clear()
    api.answers = [web.Response(status=503), web.Response(status=503)]
    assert "HTTP 503" in (await run(lookup(api, tmp_path, retries=1))).output
    assert len(api.heard) == 2


async def test_retries_end_with_the_timeout(api: Api, tmp_path: Path) -> None:
    """The caller waits for the tool, however often it is tried."""
    later = {"Retry-After": "60"}
    api.answers = [web.Response(status=503, headers=later)]
    began = time.monotonic()

    outcome = await run(lookup(api, tmp_path, retries=3, timeout="300ms"))

    assert "within 0.3 seconds" in outcome.output
    assert time.monotonic() - began < 10
    assert len(api.heard) == 1


async def test_an_api_that_hangs_ends_with_its_time(api: Api, tmp_path: Path) -> None:
    """D-TAC-6: a hung tool is a sentence."""
    url = f"http://127.0.0.1:{api.port}/hangs"

    outcome = await run(lookup(api, tmp_path, url=url, timeout="100ms"))

    assert "did not finish within 0.1 seconds" in outcome.output


async def test_a_public_name_cannot_mean_this_house(api: Api, tmp_path: Path) -> None:
    """What a name means is its owner's to say, at the moment of the call."""
    url = f"https://localtest.contoso.test:{api.port}/x"
    tool = lookup(api, tmp_path, url=url)
    # As if a name server said so: the address that is connected to is what counts.
    found = [(2, 1, 6, "", ("127.0.0.1", api.port))]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("socket.getaddrinfo", lambda *_given, **_more: found)
        outcome = await run(tool)

    assert "not allowed" in outcome.output
    assert api.heard == []


async def test_a_listed_host_may_be_in_this_house(api: Api, tmp_path: Path) -> None:
    """The operator knows what the names of their own network mean."""
    url = f"http://core.contoso.test:{api.port}/x"
    fields = {"type": "http", "description": "x", "url": url}
    text = f"lookup: {orjson.dumps(fields).decode()}"
    tool = tools(tmp_path, text, House(hosts=frozenset({"core.contoso.test"})))
    found = [(2, 1, 6, "", ("127.0.0.1", api.port))]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("socket.getaddrinfo", lambda *_given, **_more: found)
        outcome = await run(tool, {})

    assert outcome.ok


async def test_nothing_of_a_request_is_logged(api: Api, tmp_path: Path) -> None:
    """S16: neither secret, nor argument, nor what the API said."""
    api.answers = [web.json_response({"error": "of Fred"}, status=400)]

    with capture_logs() as logs:
        outcome = await run(lookup(api, tmp_path), {"number": "AB1"})

    assert "of Fred" in outcome.output
    assert [(one["event"], one["reason"]) for one in logs] == [("tool.refused", "http_400")]
    assert not any(word in str(logs) for word in ("s3cret", "AB1", "Fred", "127.0.0.1"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"headers": {"X-Key": "${NOWHERE}"}}, "headers.X-Key needs NOWHERE, which is not set"),
        ({"url": "http://core.contoso.com/x"}, "url must begin with https://, or PRIVATE_HOSTS"),
        ({"url": "https://a.test/{{args.year}}"}, "url has the argument year: it must be among"),
        ({"query": {"a": "{{args.nmber}}"}}, 'query.a unknown name "args.nmber" (did you mean'),
        ({"query": {"a": "{{form.x}}"}}, 'query.a "form.x" is not known here'),
        ({"save": {"a": "$..x"}}, "save.a must name one value"),
        ({"parameters": {"type": "array"}}, "parameters must be the schema of an object"),
        ({"parameters": {"properties": {"a": {"type": "sting"}}}}, "parameters is no JSON Schema"),
        (
            {"parameters": {"properties": {"a": {"$ref": "http://127.0.0.1/"}}}},
            "parameters refers to another document",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_named_at_the_start(
    tmp_path: Path, more: dict[str, object], sentence: str
) -> None:
    """With file, tool and field, and before the port opens."""
    with pytest.raises(ToolFault) as fault:
        lookup(Api(), tmp_path, **more)

    assert f"agent.yaml tools.lookup: {sentence}" in str(fault.value)
    assert "s3cret" not in str(fault.value)
