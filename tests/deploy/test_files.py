"""The systemd unit, the container file and the Kubernetes manifest, read as the programs that use them would."""

import configparser
import re
import shlex
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.serving import Server
from otel_voicebot.settings import Settings
from tests.receivers.service import certificates

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVE = {"--grpc", "--http", "--metrics"}


def containerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments, continued lines joined."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return [(instruction, argument) for instruction, argument in lines]


def last_stage() -> dict[str, str]:
    """The last of each instruction in the image that is run."""
    instructions = containerfile()
    last_from = max(number for number, (name, _) in enumerate(instructions) if name == "FROM")
    return dict(instructions[last_from:])


def manifests() -> dict[str, dict[str, Any]]:
    """The Kubernetes objects by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}


def unit() -> configparser.ConfigParser:
    """The systemd unit."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "otel-voicebot.service")
    return parser


def arguments() -> dict[str, list[str]]:
    """How each file starts the service."""
    pod = manifests()["StatefulSet"]["spec"]["template"]["spec"]
    return {
        "systemd": shlex.split(unit()["Service"]["ExecStart"])[1:],
        "container": yaml.safe_load(last_stage()["CMD"]),
        "kubernetes": pod["containers"][0]["args"],
    }


def port(address: str) -> int:
    """The port of HOST:PORT."""
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize("way", ["systemd", "container", "kubernetes"])
def test_the_service_is_started_with_its_own_verb_and_options(way: str) -> None:
    """`serve` with an address for every door; the unit binds loopback, beside the Collector's ports."""
    verb, *options = arguments()[way]
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert verb == "serve"
    assert given.keys() == SERVE
    if way == "systemd":
        assert {address.rpartition(":")[0] for address in given.values()} == {"127.0.0.1"}
        assert {port(given["--grpc"]), port(given["--http"])}.isdisjoint({4317, 4318})
        assert f"VOICEBOT_GRPC:-{given['--grpc']}" in (DEPLOY / "otel-collector.yaml").read_text()
    else:
        assert [port(given[name]) for name in ("--grpc", "--http", "--metrics")] == [4317, 4318, 8000]


def test_settings_named_in_the_files_exist() -> None:
    """Every OTEL_VOICEBOT_ variable is a setting."""
    known = {f"OTEL_VOICEBOT_{name.upper()}" for name in Settings.model_fields}
    for path in DEPLOY.iterdir():
        assert set(re.findall(r"OTEL_VOICEBOT_[A-Z_]+(?![A-Z_<])", path.read_text())) - {"OTEL_VOICEBOT_"} <= known


def test_the_image_is_whole_and_not_root() -> None:
    """What is copied is there, pins are used, and the user is a number other than 0 that owns the data directory."""
    for name, argument in containerfile():
        if name == "COPY" and not argument.startswith("--from"):
            *sources, _ = argument.split()
            assert all((ROOT / source).exists() for source in sources)
    assert any(name == "RUN" and "--constraint constraints.txt" in argument for name, argument in containerfile())
    last = last_stage()
    user = last["USER"].partition(":")[0]
    assert int(user) > 0
    assert f"chown {last['USER']} {last['VOLUME']}" in last["RUN"]
    assert f"OTEL_VOICEBOT_DATA={last['VOLUME']}" in last["ENV"]
    assert [int(number) for number in last["EXPOSE"].split()] == [4317, 4318, 8000]


@pytest.mark.timeout(900)
def test_the_image_builds() -> None:
    """Where a container engine runs, it builds the image and the command in it answers."""
    for engine in ("podman", "docker"):
        if shutil.which(engine) and not subprocess.run([engine, "info"], capture_output=True, check=False).returncode:
            break
    else:
        pytest.skip("no container engine runs here")
    tag = "otel-voicebot:test"
    command = [engine, "build", "-q", "-t", tag, "-f", "deploy/Containerfile", "."]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    said = subprocess.run([engine, "run", "--rm", tag, "serve", "--help"], check=True, capture_output=True, text=True)
    assert "--grpc" in said.stdout


def test_pods_are_not_root_and_keep_their_data() -> None:
    """Non-root, nothing to escalate to, a read-only root, a volume claim at the data directory that its group owns."""
    stateful = manifests()["StatefulSet"]["spec"]
    pod = stateful["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert str(pod["securityContext"]["runAsUser"]) == last_stage()["USER"].partition(":")[0]
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
    security = container["securityContext"]
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert security["capabilities"]["drop"] == ["ALL"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (claim,) = stateful["volumeClaimTemplates"]
    assert {"name": "OTEL_VOICEBOT_DATA", "value": mounts[claim["metadata"]["name"]]} in container["env"]
    assert mounts["tmp"] == "/tmp"


PROBES = ("startup", "liveness", "readiness")


def test_probes_ask_the_metrics_port() -> None:
    """Liveness asks /healthz, readiness /readyz, in plain HTTP at the port that never has TLS."""
    (container,) = manifests()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    options = container["args"]
    metrics = port(options[options.index("--metrics") + 1])
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in PROBES}
    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {ports[probe["port"]] for probe in probes.values()} == {metrics}
    assert not any("scheme" in probe for probe in probes.values())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("locked", [False, True], ids=["plain", "mTLS"])
def test_the_service_answers_the_probes(tmp_path: Path, locked: bool) -> None:
    """Each path that the manifest probes answers 200, also where senders need a certificate, which kubelet has not."""
    (container,) = manifests()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    options: list[str] = []
    if locked:
        files = certificates(tmp_path)
        given = {"--tls-cert": files["server"], "--tls-key": files["server_key"], "--tls-client-ca": files["ca"]}
        options = [word for pair in given.items() for word in map(str, pair)]
    with Server(tmp_path / "data", options=options) as server:
        for kind in PROBES:
            url = f"http://{server.metrics}{container[f'{kind}Probe']['httpGet']['path']}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert answer.status == 200
        if locked:
            with pytest.raises(OSError, match=r"reset|closed|EOF|disconnected"):
                urllib.request.urlopen(f"http://{server.http}/healthz", timeout=30)


def test_objects_select_the_pods_and_replicas_keep_their_names() -> None:
    """Service, budget and StatefulSet select the same labels; the Service is headless and names the claimed ports."""
    objects = manifests()
    service, stateful = objects["Service"]["spec"], objects["StatefulSet"]["spec"]
    labels = stateful["template"]["metadata"]["labels"]
    assert stateful["selector"]["matchLabels"] == service["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert stateful["serviceName"] == objects["Service"]["metadata"]["name"]
    assert service["clusterIP"] == "None"
    (container,) = stateful["template"]["spec"]["containers"]
    assert {one["targetPort"] for one in service["ports"]} == {one["name"] for one in container["ports"]}


def test_the_unit_is_confined_and_comes_back() -> None:
    """Not root, one writable directory which is the data directory, restarted always, drained by SIGTERM."""
    service = unit()["Service"]
    assert service["DynamicUser"] == "yes"
    assert service["Environment"] == f"OTEL_VOICEBOT_DATA=/var/lib/{service['StateDirectory']}"
    assert (service["ProtectSystem"], service["NoNewPrivileges"], service["Restart"]) == ("strict", "yes", "always")
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) > 10


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing in it but the program that is not installed here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (DEPLOY / "otel-voicebot.service").read_text()
    copy = tmp_path / "otel-voicebot.service"
    copy.write_text(text.replace("/opt/otel-voicebot/bin/otel-voicebot", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "otel-voicebot.service:" not in done.stderr, done.stderr
