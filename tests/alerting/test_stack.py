"""The files of the Docker stack, checked by schema and with their own tools."""

import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from redis import AuthenticationError


@pytest.fixture
def compose(root):
    return yaml.safe_load((root / "docker-compose.yml").read_text("utf-8"))


def _run(*command, **options):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )


def test_the_compose_file_matches_the_specification(root):
    done = _run(
        *(sys.executable, "-m", "check_jsonschema"),
        *("--builtin-schema", "vendor.compose-spec", str(root / "docker-compose.yml")),
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_every_port_is_bound_to_loopback(compose):
    for name, service in compose["services"].items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


def test_every_image_is_pinned(compose):
    for name, service in compose["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert tag not in ("latest", service["image"]), name


def test_every_service_but_the_collector_has_a_health_check(compose, root):
    dockerfile = (root / "Dockerfile").read_text("utf-8")

    for name, service in compose["services"].items():
        checked = "healthcheck" in service or (
            "build" in service and "HEALTHCHECK" in dockerfile
        )
        # The Collector's image has neither shell nor HTTP client.
        assert checked or "otel-collector" == name, name


def test_every_service_is_hardened(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert ["ALL"] == service["cap_drop"], name
        assert ["no-new-privileges:true"] == service["security_opt"], name
        assert "unless-stopped" == service["restart"], name


def test_redis_asks_for_a_password_that_only_the_shop_is_given(compose):
    services = compose["services"]
    wanted = services["redis"]["environment"]["REDISCLI_AUTH"]
    holders = {n for n, s in services.items() if wanted in str(s)}

    assert wanted.startswith("${REDIS_PASSWORD:?")
    assert wanted == services["shop"]["environment"]["EVMON_REDIS_PASSWORD"]
    assert {"redis", "shop"} == holders
    assert ["--requirepass", wanted] == services["redis"]["command"][-2:]


def test_redis_refuses_whoever_has_no_password(compose, own_server):
    _, *options, _ = compose["services"]["redis"]["command"]
    server = own_server(*options, 'a "b" $c')

    with server.client() as stranger, pytest.raises(AuthenticationError):
        stranger.ping()
    with server.client(password='a "b" $c') as shop:
        assert shop.ping()


def test_the_image_has_pinned_versions_of_all_dependencies(root):
    lines = (root / "stack/constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    dockerfile = (root / "Dockerfile").read_text("utf-8")

    for text in requires("evmon"):
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"python_version": "3.13"}):
            assert wanted.specifier.contains(pins[wanted.name]), text
    assert '"--constraint", "constraints.txt"' in dockerfile


def test_grafana_has_no_default_password(compose):
    environment = compose["services"]["grafana"]["environment"]

    assert environment["GF_SECURITY_ADMIN_PASSWORD"].startswith(
        "${GRAFANA_ADMIN_PASSWORD:?"
    )


def test_every_mounted_file_exists(compose, root):
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.replace("${SLACK_URL_FILE:-", "").replace("}", "")
            source = source.split(":")[0]
            if source.startswith("./"):
                assert (root / source).exists(), f"{name}: {source}"


def test_promtool_accepts_the_configuration_of_prometheus(root, tmp_path):
    shutil.copy(root / "stack/prometheus.yml", tmp_path)
    shutil.copy(root / "alerts/evmon-rules.yaml", tmp_path)

    done = _run("promtool", "check", "config", str(tmp_path / "prometheus.yml"))

    assert 0 == done.returncode, done.stdout + done.stderr


def test_every_static_target_is_a_service_that_always_runs(compose, root):
    config = yaml.safe_load((root / "stack/prometheus.yml").read_text("utf-8"))
    always = {n for n, s in compose["services"].items() if "profiles" not in s}
    targets = [
        target
        for job in config["scrape_configs"]
        for group in job.get("static_configs", ())
        for target in group["targets"]
    ]

    assert targets
    assert {target.partition(":")[0] for target in targets} <= always


def test_grafana_is_provisioned_with_data_sources_and_dashboards(root, compose):
    folder = root / "stack/grafana/provisioning"
    sources = yaml.safe_load((folder / "datasources/evmon.yaml").read_text("utf-8"))
    found = yaml.safe_load((folder / "dashboards/evmon.yaml").read_text("utf-8"))
    services = compose["services"]

    assert 1 == sources["apiVersion"] == found["apiVersion"]
    for source in sources["datasources"]:
        assert {"name", "uid", "type", "access", "url"} <= source.keys()
        host = source["url"].removeprefix("http://").partition(":")[0]
        assert host in services
    mounted = [v.split(":")[1] for v in services["grafana"]["volumes"]]
    for provider in found["providers"]:
        assert "file" == provider["type"]
        assert provider["options"]["path"] in mounted


def test_the_pipelines_of_the_collector_use_configured_components(root):
    config = yaml.safe_load((root / "stack/otel-collector.yaml").read_text("utf-8"))

    for pipeline in config["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= config[kind].keys()


def test_the_image_runs_as_a_user_without_privileges_in_exec_form(root):
    lines = Path(root / "Dockerfile").read_text("utf-8").splitlines()
    instructions = [line.split(" ", 1) for line in lines if line]

    user = [rest for name, rest in instructions if name == "USER"][-1]
    assert user.partition(":")[0] not in ("0", "root")
    for name, rest in instructions:
        if name in ("CMD", "ENTRYPOINT", "RUN"):
            assert rest.startswith("["), f"{name} is not in exec form"
