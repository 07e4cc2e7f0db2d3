"""An MCP server as a program: spoken to by its standard input and output."""

import os

from mcp.server import MCPServer

server = MCPServer("program")


@server.tool()
def where(name: str) -> str:
    """Say what a variable of its environment is."""
    return os.environ.get(name, "unset")


if __name__ == "__main__":
    server.run("stdio")
