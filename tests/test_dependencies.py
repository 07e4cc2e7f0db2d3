"""What is installed with the server is what it uses: every package more is one more to trust."""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
USED_BY_OTHERS = {
    "aiosqlite": "SQLAlchemy's driver of SQLite, named in its address",
    "audioop-lts": "is the module audioop where Python has none any more",
    "httptools": "uvicorn's parser, below which our bounds are",
    "uvloop": "uvicorn takes it where it is installed",
}


def declared() -> set[str]:
    """The names of the packages that ``pyproject.toml`` asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {re.split(r"[^\w.-]", one)[0] for one in project["dependencies"]}


def imported() -> set[str]:
    """The packages whose modules the program imports, lazily too."""
    owners = packages_distributions()
    found: set[str] = set()
    for file in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                found |= {_normal(one) for one in owners.get(name.partition(".")[0], ())}
    return found


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


def test_every_declared_package_is_used() -> None:
    """A package that nobody imports is still downloaded, watched for holes, and updated."""
    assert declared() - imported() - set(USED_BY_OTHERS) == set()
