"""From a tool of the document to one that can be called. Knows nothing of calls, so
that a document is checked quickly.

Here meet what the operator wrote, the secrets of the environment and the tools' own floor. The
one rule: whatever cannot work is a ToolFault with a sentence, before the port opens, and no
sentence shows a secret.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import ref

from app.addresses import is_public
from app.agents.document import Agent
from app.agents.load import AgentDocument
from app.agents.tooling import HttpTool, McpTool, PythonTool
from app.call.templates import ALWAYS, BadTemplate, Known, Template, parse
from app.errors import ToolFault
from app.tools.documents import problems
from app.tools.foreign import ToolThreads
from app.tools.python_tools import load_handler
from app.tools.registry import Registry, Server, Tool

_SECRET = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_ROOTS = ALWAYS | {"args"}


def _no_secret(_name: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class House:
    """What of this house tools may use."""

    secret: Callable[[str], str | None] = _no_secret
    """What ``${NAME}`` stands for; None where there is no such secret."""
    hosts: frozenset[str] = frozenset()
    """Names of hosts that tools may be led to although they are in a private network."""


_NOBODYS = House()


def within_house(host: str, listed: frozenset[str]) -> bool:
    """Whether a host that is written in the document may be one of this house."""
    return host.lower() in listed or not is_public(host.lower())


def registry(
    document: AgentDocument, house: House = _NOBODYS, *, agent: Agent | None = None
) -> Registry:
    """The operator's tools of an agent, imported; of the first where none is given. Raises
    ``ToolFault`` naming file, tool and fix."""
    agent = agent or document.agent
    tools = Registry()
    for name, described in agent.tools.items():
        try:
            if isinstance(described, McpTool):
                tools.servers[name] = server(
                    name,
                    described,
                    document.path.parent,
                    house,
                    tools=tools,
                    timeout_ms=described.timeout_ms or agent.timeouts.tool_ms,
                )
                continue
            tools.add(
                made(name, described, document.path.parent, house, tools.threads),
                name=name,
                description=described.description,
                timeout_ms=described.timeout_ms or agent.timeouts.tool_ms,
                background=described.background or None,
                approval_ms=described.approval_timeout_ms
                if described.approval == "always"
                else None,
            )
        except ToolFault as fault:
            where = f"{document.path.name} tools.{name}"
            raise ToolFault(fault.reason, f"{where}: {fault}") from fault
    return tools


def unreadable(agent: Agent) -> list[str]:
    """What is wrong with the documents of an agent, each in a sentence. Reads all of them."""
    paths = agent.knowledge.paths if agent.knowledge else ()
    return [f"knowledge: {sentence}" for sentence in problems(map(Path, paths))]


class _Unfit(Exception):
    """A field of a tool cannot be used; the message is the end of a sentence."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field} {sentence}")


def server(
    label: str, written: McpTool, folder: Path, house: House, *, tools: Registry, timeout_ms: int
) -> Server:
    """The server that was written; nobody is asked yet. Raises ToolFault."""
    # Seventeen megabytes, and a second and a half, for who has such a server.
    from app.tools import mcp_tools  # noqa: PLC0415

    read = _Reader(frozenset(), house.secret)
    try:
        if written.server_url is not None:
            connect = mcp_tools.over_http(
                _server_url(written.server_url, house),
                {name: read.plain(f"headers.{name}", one) for name, one in written.headers.items()},
            )
        else:
            given = written.env.items()
            environment = {name: read.plain(f"env.{name}", one) for name, one in given}
            connect = mcp_tools.over_stdio(
                written.command or "", written.args, environment, str(folder)
            )
    except _Unfit as fault:
        raise ToolFault("tool_unsupported", str(fault)) from None
    offer = mcp_tools.Offer(
        label,
        allowed=None if written.allowed_tools is None else frozenset(written.allowed_tools),
        timeout_ms=timeout_ms,
        background=written.background,
        approval_ms=written.approval_timeout_ms if written.approval == "always" else None,
    )
    owner = ref(tools)  # Once nobody holds the tools any more, nobody asks the server.

    def taken(name: str) -> bool:
        held = owner()
        return held is not None and held.taken(name, but=label)

    return mcp_tools.McpServer(offer, connect, taken, owned=lambda: owner() is not None)


def _server_url(url: str, house: House) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not within_house(parts.hostname or "", house.hosts):
        raise _Unfit("server_url", "must begin with https://, or PRIVATE_HOSTS name its host")
    return url


def made(
    name: str, written: PythonTool | HttpTool, folder: Path, house: House, threads: ToolThreads
) -> Tool:
    """The tool that was written. Raises ToolFault."""
    if isinstance(written, HttpTool):
        return _http_tool(name, written, house, threads)
    return load_handler(written.handler, folder)


def _http_tool(name: str, written: HttpTool, house: House, threads: ToolThreads) -> Tool:
    # Eight megabytes of aiohttp and two of jsonschema, for who has such a tool.
    from app.tools import http_tools, schemas  # noqa: PLC0415

    try:
        schema = _schema(written.parameters)
        request = _request(written, schema, house)
    except _Unfit as fault:
        raise ToolFault("tool_unsupported", str(fault)) from None
    return Tool(
        name=name,
        description=written.description,
        function=http_tools.HttpCall(request, threads).ask,
        parameters=schemas.SchemaArguments(schema),
        source="http",
    )


def _schema(written: Mapping[str, Any]) -> dict[str, Any]:
    from app.tools import schemas  # noqa: PLC0415

    try:
        # A name that nobody asked for would be sent to nobody: the model is told so.
        return schemas.checked_schema({"additionalProperties": False, **written})
    except schemas.BadSchema as fault:
        raise _Unfit("parameters", str(fault)) from None


def _request(written: HttpTool, schema: Mapping[str, Any], house: House) -> Any:
    from app.tools import http_tools, paths  # noqa: PLC0415

    read = _Reader(frozenset(schema["properties"]), house.secret)
    parts = urlsplit(written.url)
    private = within_house(parts.hostname or "", house.hosts)
    if parts.scheme != "https" and not private:
        raise _Unfit("url", "must begin with https://, or PRIVATE_HOSTS name its host")
    url = read("url", written.url)
    for one in sorted(read.names_in(url) - set(schema.get("required", ()))):
        raise _Unfit("url", f"has the argument {one}: it must be among parameters.required")
    save = {}
    for name, text in written.save.items():
        try:
            save[name] = paths.path(text)
        except ValueError as fault:
            raise _Unfit(f"save.{name}", str(fault)) from None
    return http_tools.Request(
        method=written.method,
        url=url,
        headers={name: read(f"headers.{name}", text) for name, text in written.headers.items()},
        query={name: read(f"query.{name}", text) for name, text in written.query.items()},
        body=read.inside("body", written.body),
        save=save,
        retries=written.retries,
        within_house=private,
    )


class _Reader:
    """Reads texts with places for arguments, and with secrets."""

    def __init__(self, args: frozenset[str], secret: Callable[[str], str | None]) -> None:
        self._known = Known(_ROOTS, args=args)
        self._secret = secret

    def __call__(self, field: str, text: str) -> Template:
        """The text with its secrets, which are never read for places. Raises _Unfit."""
        try:
            read = parse(text, self._known)
        except BadTemplate as fault:
            meant = f' (did you mean "{fault.meant}"?)' if fault.meant else ""
            raise _Unfit(field, f"{fault.sentence}{meant}") from None
        return replace(
            read,
            parts=tuple(
                self._shown(field, part) if isinstance(part, str) else part for part in read.parts
            ),
        )

    def plain(self, field: str, text: str) -> str:
        """A text with its secrets and nothing else to fill in. Raises _Unfit."""
        return self._shown(field, text)

    def inside(self, field: str, value: Any) -> Any:
        """The same of every text in a value of JSON."""
        if isinstance(value, str):
            return self(field, value)
        if isinstance(value, Mapping):
            return {name: self.inside(f"{field}.{name}", one) for name, one in value.items()}
        return [self.inside(field, one) for one in value] if isinstance(value, list) else value

    def names_in(self, read: Template) -> set[str]:
        """The arguments that stand in a text."""
        places = [one for one in read.parts if not isinstance(one, str)]
        return {one.name for one in places if one.root == "args"}

    def _shown(self, field: str, text: str) -> str:
        for name in _SECRET.findall(text):
            if self._secret(name) is None:
                raise _Unfit(field, f"needs {name}, which is not set: put it into .env")
        return _SECRET.sub(lambda found: self._secret(found[1]) or "", text)
