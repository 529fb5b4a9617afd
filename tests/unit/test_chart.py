"""The Helm chart: whatever its values switch is valid Kubernetes, and says what the service takes."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.protocols import ROUTERS
from app.settings import Settings
from app.workers import LAST_S
from tests import helm
from tests.helm import CHART, Resource

ROOT = Path(__file__).parents[2]
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = "".join(file.read_text() for file in sorted((CHART / "templates").iterdir()))
DOCKERFILE = (ROOT / "Dockerfile").read_text()

KUBERNETES = ("1.30", "1.37")
"""The oldest that Chart.yaml allows, and the newest that there are schemas of."""

WITHOUT_SCHEMA = {"ServiceMonitor", "PrometheusRule"}

VARIANTS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "claim": {
        "models": {"from": "claim", "claim": {"name": "models", "subPath": "headrace"}},
        "replicas": 3,
        "image": {
            "repository": "example.org/headrace",
            "digest": f"sha256:{'0' * 64}",
            "pullPolicy": "Always",
            "pullSecrets": ["registry"],
        },
        "settings": {"HEADRACE_POLL_S": 0.5, "HEADRACE_MAX_BODY_BYTES": 67108864, "HEADRACE_LOG_REQUESTS": True},
        "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"example.org/internal": "true"}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "models"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "topologySpread": [{"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}],
    },
    "copy": {
        "models": {
            "from": "copy",
            "copy": {"image": "models:7", "path": "/repository/"},
            "sizeLimit": "1Gi",
            "resources": {"limits": {"cpu": "2"}},
        },
        "keys": {"apiKey": {"secret": "headrace", "entry": "key"}, "file": {"secret": "callers", "entry": "keys.yml"}},
        "hosts": ["api.example.org", "*.example.net"],
        "metrics": {"annotations": False, "open": True},
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
    },
    "s3": {
        "models": {
            "from": "s3",
            "s3": {
                "bucket": "models",
                "prefix": "/headrace/",
                "endpoint": "http://minio.storage:9000",
                "region": "eu-central-1",
                "provider": "Minio",
                "image": "example.org/rclone:1",
                "timeoutSeconds": 30,
            },
            "credentialsSecret": "store",
        },
        "tls": {"secret": "headrace-tls"},
        "metrics": {
            "serviceMonitor": {
                "enabled": True,
                "interval": "30s",
                "labels": {"release": "prometheus"},
                "key": {"secret": "scrape", "entry": "key"},
                "tlsConfig": {"insecureSkipVerify": True},
            },
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        },
        "networkPolicy": {
            "from": [{"namespaceSelector": {}}],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
        },
        "stop": {"preStopSeconds": 0, "drainSeconds": 0, "answerSeconds": 0},
        "workers": 2,
        "tmpSizeLimit": "1Gi",
    },
    "address": {
        "models": {"from": "address", "address": "s3://models/headrace", "credentialsSecret": "store"},
        "env": [{"name": "AWS_ENDPOINT_URL", "value": "https://store.example.org"}],
        "serviceAccount": {"create": False, "name": "models", "annotations": {"a": "b"}},
        "settings": {"HEADRACE_CORS_ORIGINS": ["https://example.org"], "HEADRACE_HOST": "::"},
        "securityContext": {"privileged": False},
    },
    "gpu": {
        "gpu": {"count": 1, "resource": "example.org/gpu", "runtimeClassName": "nvidia"},
        "tolerations": [{"key": "models", "operator": "Exists"}],
        "resources": {"limits": {"cpu": "8", "memory": "16Gi"}, "requests": {"cpu": "4"}},
        "autoscaling": {"enabled": True, "cpu": {"targetPercent": None}},
    },
    "cpu alone": {"autoscaling": {"enabled": True, "queue": {"targetSeconds": None}}},
    "all off": {
        "image": {"tag": "main"},
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "serviceAccount": {"create": False},
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        "topologySpread": [],
    },
    "scaled": {
        "autoscaling": {
            "enabled": True,
            "minReplicas": 3,
            "maxReplicas": 30,
            "queue": {"targetSeconds": 0.001, "metric": "wait"},
            "behavior": {"scaleDown": {"selectPolicy": "Disabled"}},
        },
        "probes": {
            "startup": {"failureThreshold": 900},
            "readiness": {"failureThreshold": 3},
            "liveness": {"failureThreshold": 3},
        },
    },
}

SOURCES: dict[str, dict[str, Any]] = {
    "image": {},
    "claim": {"claim": {"name": "models"}},
    "copy": {"copy": {"image": "models:7"}},
    "s3": {"s3": {"bucket": "models"}},
    "address": {"address": "s3://models"},
}

SWITCHES: dict[str, dict[str, Any]] = {
    "on": {
        "keys": {"apiKey": {"secret": "a"}, "file": {"secret": "b"}},
        "tls": {"secret": "c"},
        "hosts": ["api.example.org"],
        "gpu": {"count": 1, "runtimeClassName": "nvidia"},
        "image": {"pullSecrets": ["registry"]},
        "autoscaling": {"enabled": True},
        "metrics": {"open": True, "serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
        "env": [{"name": "A", "value": "b"}],
    },
    "off": {
        "stop": {"preStopSeconds": 0},
        "metrics": {"annotations": False},
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "serviceAccount": {"create": False},
        "topologySpread": [],
    },
}

every_variant = pytest.mark.parametrize("variant", VARIANTS)


@cache
def rendered(variant: str) -> dict[str, Resource]:
    return helm.rendered(VARIANTS[variant])


def pod(variant: str) -> dict[str, Any]:
    return rendered(variant)["Deployment"]["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def container(variant: str) -> dict[str, Any]:
    [only] = pod(variant)["containers"]
    return only  # type: ignore[no-any-return]


def environment(variant: str) -> dict[str, str]:
    """The variables as kubelet sets them; what comes from a Secret or from the pod is made up."""
    env = {one["name"]: one.get("value", "10.1.2.3") for one in container(variant)["env"]}
    return {name: value.replace("$(POD_IP)", "10.1.2.3") for name, value in env.items()}


def leaves(values: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    """The paths of all values that are no objects with entries."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, *above, name)
        else:
            yield *above, name


@cache
def validate(resource: str, version: str) -> None:
    """Raises kubernetes_validate.ValidationError. Many variants have the same Service: each is looked at once."""
    kubernetes_validate.validate(json.loads(resource), version, strict=True)


def test_the_chart_passes_the_linter() -> None:
    linted = helm.run("lint", "--strict")
    assert linted.returncode == 0, linted.stdout


@every_variant
@pytest.mark.parametrize("version", KUBERNETES)
def test_what_is_rendered_is_what_kubernetes_reads(variant: str, version: str) -> None:
    for kind, resource in rendered(variant).items():
        if kind not in WITHOUT_SCHEMA:
            validate(json.dumps(resource), version)


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_of_models_goes_with_all_else_on_and_off(source: str, switches: str) -> None:
    values = {**SWITCHES[switches], "models": {"from": source, **SOURCES[source]}}
    for kind, resource in helm.rendered(values).items():
        if kind not in WITHOUT_SCHEMA:
            validate(json.dumps(resource), KUBERNETES[1])


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    deployment = json.loads(json.dumps(rendered("as it comes")["Deployment"]))
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        validate(json.dumps(deployment), KUBERNETES[1])


def test_every_value_is_changed_by_a_variant_and_read_by_a_template() -> None:
    passed_on = {"resources", "probes", "rollingUpdate", "behavior", "podSecurityContext", "securityContext"}
    own = {path for path in leaves(VALUES) if not passed_on & {*path}}
    changed = {path for variant in VARIANTS.values() for path in leaves(variant)}
    assert own - changed - {path[:-1] for path in changed} == set()
    assert {path for path in own if not re.search(rf"\.{path[-1]}\b", TEMPLATES)} == set()


@every_variant
def test_the_grace_period_outlasts_the_stop(variant: str) -> None:
    env = environment(variant)
    before = container(variant).get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})["preStop"]["sleep"]["seconds"]
    longest = before + float(env["HEADRACE_DRAIN_S"]) + float(env["HEADRACE_STOP_TIMEOUT_S"]) + LAST_S
    assert pod(variant)["terminationGracePeriodSeconds"] > longest


@every_variant
def test_the_service_takes_every_variable_and_ports_and_files_agree(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(variant).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    [port] = container(variant)["ports"]
    assert port["containerPort"] == settings.port
    mounts = {mount["mountPath"]: mount for mount in container(variant)["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in pod(variant)["volumes"]}
    for file in (settings.keys_file, settings.tls_certificate, settings.tls_key):
        assert file is None or mounts[str(file.parent)]["readOnly"]
    assert ("/models" in mounts) == (variant in ("claim", "copy", "s3", "address"))
    assert mounts.get("/models", {"readOnly": True})["readOnly"] == (str(settings.models) == "/models")
    assert "/tmp" in mounts  # noqa: S108  (where several workers keep their figures)
    assert "readOnly" not in mounts["/tmp"]  # noqa: S108


def test_numbers_lists_and_switches_reach_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: dict[str, dict[str, object]] = {
        "claim": {"poll_s": 0.5, "max_body_bytes": 67108864, "log_requests": True, "drain_s": 10, "workers": 1},
        "address": {"cors_origins": ("https://example.org",), "host": "::"},
        "copy": {"open_metrics": True, "keys_file": Path("/etc/headrace/keys/keys.yml")},
    }
    for variant, settings in wanted.items():
        with monkeypatch.context() as patched:
            for name, value in environment(variant).items():
                patched.setenv(name, value)
            given = Settings()
            assert {name: getattr(given, name) for name in settings} == settings


def test_a_setting_is_set_by_a_value_of_its_own_or_named_by_the_schema() -> None:
    names = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    free = json.loads((CHART / "values.schema.json").read_text())["properties"]["settings"]["propertyNames"]["enum"]
    own = set(re.findall(r"name: (HEADRACE_[A-Z_]+)", TEMPLATES))
    assert own & set(free) == set()
    assert own | set(free) == names, "values.schema.json, under settings, names every setting that no other value sets"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"settings": {"HEADRACE_MAX_BODY": 1}}, "invalid propertyName 'HEADRACE_MAX_BODY'"),
        ({"settings": {"HEADRACE_PORT": 80}}, "invalid propertyName 'HEADRACE_PORT'"),
        ({"env": [{"name": "HEADRACE_PORT"}]}, "at '/env/0/name'"),
        ({"replica": 1}, "additional properties 'replica' not allowed"),
        (
            {"models": {"from": "pvc"}},
            "at '/models/from': value must be one of 'image', 'claim', 'copy'",
        ),
        ({"models": {"from": "claim"}}, "at '/models/claim/name'"),
        ({"models": {"from": "copy"}}, "at '/models/copy/image'"),
        ({"models": {"from": "s3"}}, "at '/models/s3/bucket'"),
        ({"models": {"from": "address", "address": "/models"}}, "at '/models/address'"),
        ({"keys": {"file": {"secret": "keys", "entry": ""}}}, "at '/keys/file/entry'"),
        ({"autoscaling": {"enabled": True, "maxReplicas": 1}}, "autoscaling.maxReplicas: 1, wanted minReplicas (2)"),
        (
            {"autoscaling": {"enabled": True, "queue": {"targetSeconds": None}, "cpu": {"targetPercent": None}}},
            "wanted queue.targetSeconds or cpu.targetPercent",
        ),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_its_place(values: dict[str, Any], told: str) -> None:
    refused = helm.run("template", "headrace", values=values)
    assert refused.returncode == 1
    assert told in refused.stderr


@every_variant
def test_probes_and_scrapes_ask_what_the_service_answers_without_a_key(variant: str) -> None:
    routes = {route.path for router in ROUTERS for route in router.routes}  # type: ignore[attr-defined]
    scheme = "HTTPS" if pod(variant)["volumes"][-1]["name"] == "tls" else "HTTP"
    for probe, path in (("startup", "live"), ("readiness", "ready"), ("liveness", "live")):
        asked = container(variant)[f"{probe}Probe"]["httpGet"]
        assert asked == {"path": f"/health/{path}", "port": "http", "scheme": scheme}
        assert asked["path"] in routes
    annotations = rendered(variant)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations.get("prometheus.io/path", "/metrics") in routes
    assert annotations.get("prometheus.io/port", "8000") == environment(variant)["HEADRACE_PORT"]
    assert annotations.get("prometheus.io/scheme", scheme.lower()) == scheme.lower()


def test_the_alerts_are_those_of_the_file_word_for_word() -> None:
    rule = rendered("s3")["PrometheusRule"]
    assert rule["spec"] == yaml.safe_load((CHART / "alerts.yml").read_text())
    assert "{{ $labels.instance }}" in rule["spec"]["groups"][0]["rules"][0]["annotations"]["summary"]
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert "PrometheusRule" not in rendered("as it comes")


def test_alerts_ask_for_the_job_that_the_monitor_names_whatever_the_release_is_called() -> None:
    label = rendered("s3")["ServiceMonitor"]["spec"]["jobLabel"]
    jobs = set(re.findall(r'job="(\w+)"', (CHART / "alerts.yml").read_text()))
    done = helm.run("template", "another")
    services = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] == "Service"]
    assert [{one["metadata"]["labels"][label]} for one in services] == [jobs]


@every_variant
def test_every_container_has_no_rights_and_writes_nowhere_but_into_its_volumes(variant: str) -> None:
    spec = pod(variant)
    for one in (*spec.get("initContainers", []), *spec["containers"]):
        context = one["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "limits" in one["resources"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]


def test_the_user_the_models_and_the_command_are_the_images_own() -> None:
    context = pod("as it comes")["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in DOCKERFILE
    env = environment("as it comes")
    assert f"HEADRACE_MODELS={env['HEADRACE_MODELS']} " in DOCKERFILE
    assert f"EXPOSE {env['HEADRACE_PORT']}\n" in DOCKERFILE
    assert not {"command", "args"} & container("as it comes").keys()


def test_a_service_called_headrace_does_not_set_the_port() -> None:
    """Kubernetes tells each pod of a Service x in X_PORT=tcp://..., unless it is told not to."""
    assert rendered("as it comes")["Service"]["metadata"]["name"] == "headrace"
    assert not pod("as it comes")["enableServiceLinks"]


def test_the_images_tag_is_the_projects_version_and_that_of_gpus_has_its_own() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert container("as it comes")["image"] == f"headrace:{version}"
    assert container("gpu")["image"] == f"headrace:{version}-gpu"
    assert container("all off")["image"] == "headrace:main"
    assert container("claim")["image"] == f"example.org/headrace@sha256:{'0' * 64}"


def test_what_is_copied_is_the_repository_and_a_second_run_replaces_it(tmp_path: Path) -> None:
    [init] = pod("copy")["initContainers"]
    here = {"/repository/.": f"{tmp_path}/there/.", "/models": str(tmp_path / "here")}
    command = [here.get(word, word) for word in init["command"]]
    (tmp_path / "here").mkdir()
    (tmp_path / "there" / "m" / "1").mkdir(parents=True)
    (tmp_path / "weights").write_text("old")
    (tmp_path / "there" / "m" / "1" / "model.onnx").symlink_to(tmp_path / "weights")
    copied = tmp_path / "here" / "m" / "1" / "model.onnx"
    for content in ("old", "new"):
        (tmp_path / "weights").write_text(content)
        subprocess.run(command, check=True)
        assert (copied.read_text(), copied.is_symlink()) == (content, False)
        copied.chmod(0o444)


def test_a_gpu_is_asked_for_beside_what_all_pods_ask_for() -> None:
    assert container("gpu")["resources"] == {
        "limits": {"cpu": "8", "memory": "16Gi", "example.org/gpu": 1},
        "requests": {"cpu": "4", "memory": "1Gi"},
    }
    assert {one["key"] for one in pod("gpu")["tolerations"]} == {"models", "example.org/gpu"}


def test_the_queue_and_the_cpu_scale_and_either_may_be_alone() -> None:
    def sources(variant: str) -> list[str]:
        scaler = rendered(variant)["HorizontalPodAutoscaler"]["spec"]
        assert "replicas" not in rendered(variant)["Deployment"]["spec"]
        return [metric["type"] for metric in scaler["metrics"]]

    assert (sources("scaled"), sources("gpu"), sources("cpu alone")) == (["Pods", "Resource"], ["Pods"], ["Resource"])
    assert "HorizontalPodAutoscaler" not in rendered("as it comes")


def test_only_the_port_is_reachable_and_nothing_can_be_called_but_the_store() -> None:
    alone = rendered("as it comes")["NetworkPolicy"]["spec"]
    assert (alone["policyTypes"], alone["egress"]) == (["Ingress", "Egress"], [])
    assert alone["ingress"] == [{"ports": [{"port": "http"}]}]
    ports = {
        variant: [port["port"] for port in rendered(variant)["NetworkPolicy"]["spec"]["egress"][0]["ports"]]
        for variant in ("s3", "address")
    }
    assert ports == {"s3": [53, 53, 9000], "address": [53, 53, 443]}


@every_variant
def test_a_service_a_budget_and_a_policy_select_the_pods(variant: str) -> None:
    resources = rendered(variant)
    labels = resources["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [resources["Service"]["spec"]["selector"], resources["Deployment"]["spec"]["selector"]["matchLabels"]]
    if "PodDisruptionBudget" in resources:
        selectors.append(resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"])
    if "NetworkPolicy" in resources:
        selectors.append(resources["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"])
    assert [selector for selector in selectors if not selector.items() <= labels.items()] == []


def test_the_documentation_sets_values_that_there_are() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        assert helm.rendered(yaml.safe_load(block))
    named = set(re.findall(r"--set ([A-Za-z.]+)=", text)) - {"prometheus.url"}
    assert len(named) >= 2
    assert named - {".".join(path) for path in leaves(VALUES)} == set()
