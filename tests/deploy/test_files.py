"""What several processes are run with: judged by those who will read it, where they are here."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from app.settings import Settings, setting_names
from tests.needs import needs
from tests.test_docs import GUIDE, names, quoted

ROOT = Path(__file__).parents[2]
HAPROXY = ROOT / "deploy" / "haproxy.cfg"
KUBERNETES = ROOT / "deploy" / "kubernetes"
TELLING_THE_LAST_S = 30
"""From the end of the drain to that of the process, at most."""


def read(file: Path) -> Any:
    """A YAML file of one document."""
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


COMPOSE = read(ROOT / "compose.yaml")
SERVICES = COMPOSE["services"]
KUSTOMIZATION = read(KUBERNETES / "kustomization.yaml")
MANIFESTS = {name: read(KUBERNETES / name) for name in KUSTOMIZATION["resources"]}
PODS = {
    name: one["spec"]["template"]["spec"]
    for name, one in MANIFESTS.items()
    if "template" in one["spec"]
}
CONFIGURED = dict(line.split("=", 1) for line in KUSTOMIZATION["configMapGenerator"][0]["literals"])


@needs("HAProxy", there=shutil.which("haproxy") is not None)
def test_haproxy_takes_its_configuration() -> None:
    """It would not start, and no call would come in."""
    addresses = {"VOICE_1": "127.0.0.1:1", "VOICE_2": "127.0.0.1:2"}

    done = subprocess.run(
        ["haproxy", "-c", "-f", str(HAPROXY)],
        env=os.environ | addresses,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_knows_every_field(name: str) -> None:
    """A misspelt field is ignored by a cluster, and with it what it was to ensure."""
    kubernetes_validate.validate(MANIFESTS[name], "1.37", strict=True)


def test_every_manifest_is_applied() -> None:
    """A file that nobody names is a file that nobody applies."""
    files = {file.name for file in KUBERNETES.glob("*.yaml")}

    assert files == {*MANIFESTS, "kustomization.yaml", "agent.yaml"}


def test_a_pod_has_time_to_end() -> None:
    """Killed before its drain is over it cuts calls."""
    voice = PODS["voice.yaml"]
    paused = voice["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = paused + int(CONFIGURED["DRAIN_SECONDS"]) + TELLING_THE_LAST_S

    assert voice["terminationGracePeriodSeconds"] >= needed


def test_a_pod_is_asked_what_the_routes_mean() -> None:
    """Judged alive by /ready it would be killed for draining."""
    container = PODS["voice.yaml"]["containers"][0]
    port = Settings(_env_file=None).port

    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["ports"] == [{"name": "http", "containerPort": port}]


@pytest.mark.parametrize("name", PODS)
def test_no_pod_may_more_than_it_must(name: str) -> None:
    """What talks to strangers writes nothing but its data, and is nobody."""
    pod, own = PODS[name]["securityContext"], PODS[name]["containers"][0]["securityContext"]

    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert PODS[name]["automountServiceAccountToken"] is False


def test_pods_are_scaled_by_a_figure_that_exists() -> None:
    """A metric nobody serves leaves a cluster at its smallest size."""
    pods = [one["pods"]["metric"]["name"] for one in MANIFESTS["scaling.yaml"]["spec"]["metrics"]]

    assert set(pods) <= set(names("metric"))


def test_what_a_cluster_is_told_are_settings() -> None:
    """Others are silently ignored."""
    assert set(CONFIGURED) <= set(setting_names())


def test_compose_asks_for_documented_values_only() -> None:
    """And holds none itself: what is secret comes from outside."""
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    section = GUIDE.partition("## Several processes")[2].partition("\n## ")[0]

    asked = set(re.findall(r"\$\{(\w+)", text))

    assert asked <= {*setting_names(), *re.findall(r"POSTGRES_\w+", section)}
    assert "$" not in re.sub(r"\$\{\w+(:[-?][^}]*)?\}", "", text)


@pytest.mark.parametrize("name", ["voice1", "voice2", "jobs", "migrate"])
def test_compose_hands_out_settings_only(name: str) -> None:
    """A secret is a reference; every other name is one that the server reads."""
    environment = SERVICES[name]["environment"]
    secret = {"DATABASE_URL", "OPENAI_API_KEY", "API_KEY", "TWILIO_AUTH_TOKEN", "WEBHOOK_SECRETS"}

    assert set(environment) <= set(setting_names())
    assert all("${" in environment[one] for one in secret & set(environment))


@pytest.mark.parametrize("name", ["voice1", "voice2"])
def test_compose_gives_calls_the_time_to_end(name: str) -> None:
    """Docker's own ten seconds would cut every call."""
    grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    drain_s = int(SERVICES[name]["environment"]["DRAIN_SECONDS"])

    assert grace_s >= drain_s + TELLING_THE_LAST_S


@pytest.mark.parametrize("name", SERVICES)
def test_compose_starts_in_order(name: str) -> None:
    """Whoever is waited for says when they are ready, or end."""
    for other, how in SERVICES[name].get("depends_on", {}).items():
        healthy = how["condition"] == "service_healthy"
        assert not healthy or "test" in SERVICES[other]["healthcheck"]


def test_the_image_takes_the_commands_that_are_given_to_it() -> None:
    """``migrate`` behind an entry point that serves would serve."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    commands = {tuple(one["command"]) for one in SERVICES.values() if "command" in one}
    commands |= {tuple(pod["containers"][0]["args"]) for pod in PODS.values()}

    assert 'ENTRYPOINT ["python", "-m", "app"]\nCMD ["serve"]' in dockerfile
    documented = {name.removeprefix("python -m app ") for name in names("command")}
    assert {command for (command,) in commands} <= documented


def test_the_files_of_the_readme_exist() -> None:
    """They are what somebody who wants several processes begins with."""
    section = GUIDE.partition("## Several processes")[2].partition("\n## ")[0]
    files = [one for one in quoted(section) if re.fullmatch(r"(deploy/)?[\w.]+(/[\w.]+)?", one)]
    named = [one for one in files if "/" in one or one.endswith((".yaml", ".cfg"))]

    assert "compose.yaml" in named
    assert all((ROOT / one).exists() or (KUBERNETES / one).exists() for one in named)
