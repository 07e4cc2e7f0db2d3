"""The jobs process beside the server: only where there is work, with what it needs."""

from pathlib import Path

import pytest

from app.jobs_child import _programme, jobs_beside
from app.settings import Settings

ACCOUNT = {
    "twilio_account_sid": "AC" + "0123456789abcdef" * 2,
    "TWILIO_AUTH_TOKEN": "fedcba9876543210" * 2,
    "public_url": "https://house.patchline.dev",
}


def settings(**more: str) -> Settings:
    """Of a server with an account."""
    return Settings(_env_file=None, **ACCOUNT, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("more", [{}, {"dial_countries": "US", "jobs": "none"}])
def test_without_work_there_is_no_process(more: dict[str, str]) -> None:
    """Who never calls anybody does not pay a hundred megabytes for it."""
    with jobs_beside(settings(**more)) as companion:
        assert companion is None


def test_it_gets_the_settings_of_its_work_and_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Companions are started in another folder, and are told no secret that is not theirs."""
    monkeypatch.chdir(tmp_path)
    given = settings(
        dial_countries="us, fr",
        openai_api_key="sk-0123456789abcdef",
        database_url="sqlite:///data/a.db",
    )

    environment = _programme(given).environment

    assert environment["DIAL_COUNTRIES"] == "US,FR"
    assert environment["DATABASE_URL"] == f"sqlite:///{tmp_path}/data/a.db"
    assert environment["TWILIO_AUTH_TOKEN"] == ACCOUNT["TWILIO_AUTH_TOKEN"]
    assert "sk-0123456789abcdef" not in environment.values()


def test_it_is_a_companion_of_the_server(tmp_path: Path) -> None:
    """It says that it may work, and is gone when the block ends."""
    address = f"sqlite:///{tmp_path}/a.db"
    with jobs_beside(settings(dial_countries="US", database_url=address)) as companion:
        assert companion is not None
        assert companion.ready["ready"] is True
        assert companion.pid is not None

    with jobs_beside(settings(dial_countries="US", database_url=address)) as again:
        assert again is not None
