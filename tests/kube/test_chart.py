"""The chart, rendered by helm: its objects, the values that it refuses, and the rights that it grants."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import pytest
import yaml

from jobpools_operator.kube.manifests import REDIS_SECRET

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "jobpools"
TOOLS = Path(os.environ.get("CLUSTER_CACHE") or Path.home() / ".cache" / "jobpools-cluster") / "bin"

Object = dict[str, Any]


def tool(name: str) -> str:
    return shutil.which(name) or shutil.which(name, path=str(TOOLS)) or missing(name)


def missing(what: str) -> NoReturn:
    message = f"{what}: not installed; run hack/test-cluster.sh build"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("helm"), *arguments], capture_output=True, text=True, check=False)


def render(*values: str) -> list[Object]:
    run = helm("template", "jobpools", str(CHART), "--namespace", "jobpools-system", *(f"--set={v}" for v in values))
    assert run.returncode == 0, run.stderr
    return [document for document in yaml.safe_load_all(run.stdout) if document]


def render_error(*values: str) -> str:
    run = helm("template", "jobpools", str(CHART), *(f"--set={value}" for value in values))
    assert run.returncode != 0
    return run.stderr


def one(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def pod_specs(objects: list[Object]) -> list[Object]:
    return [o["spec"]["template"]["spec"] for o in objects if o["kind"] in ("Deployment", "StatefulSet")]


def test_helm_lint_accepts_the_chart() -> None:
    run = helm("lint", "--strict", str(CHART))
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_chart_installs_these_objects() -> None:
    names = sorted((o["kind"], o["metadata"]["name"]) for o in render())
    assert names == [
        ("ClusterRole", "jobpools-edit"),
        ("ClusterRole", "jobpools-operator"),
        ("ClusterRole", "jobpools-view"),
        ("ClusterRoleBinding", "jobpools-operator"),
        ("Deployment", "jobpools-operator"),
        ("PodDisruptionBudget", "jobpools-operator"),
        ("Role", "jobpools-operator"),
        ("RoleBinding", "jobpools-operator"),
        ("Secret", "jobpools-redis"),
        ("Service", "jobpools-valkey"),
        ("ServiceAccount", "jobpools-operator"),
        ("StatefulSet", "jobpools-valkey"),
    ]


def test_each_template_has_one_object() -> None:
    for template in CHART.joinpath("templates").glob("*.yaml"):
        assert template.read_text().count("\nkind: ") + template.read_text().startswith("kind: ") == 1, template.name


def test_every_namespaced_object_names_its_namespace() -> None:
    for found in render():
        if not found["kind"].startswith("Cluster"):
            assert found["metadata"]["namespace"] == "jobpools-system", found["metadata"]["name"]


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("valkey.enabled=false", "redis.url=redis://elsewhere:6379/0"),
        ("operator.replicas=1", "valkey.persistence.enabled=false"),
    ],
    ids=["defaults", "own redis", "small"],
)
def test_the_rendered_objects_are_valid(values: tuple[str, ...], tmp_path: Path) -> None:
    """Validate against the schemas of Kubernetes' source: an unknown field is an error."""
    schemas = TOOLS / "schemas"
    if not schemas.is_dir():
        missing("the folder of schemas")
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(render(*values)))
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    run = subprocess.run(
        [tool("kubeconform"), "-strict", "-schema-location", location, str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout


@pytest.mark.api
@pytest.mark.usefixtures("api_server")
def test_the_api_server_accepts_the_chart() -> None:
    """Use strict validation, and allow no warning of the Pod Security Standard `restricted`."""
    kubectl = tool("kubectl")
    rendered = yaml.safe_dump_all([
        o | {"metadata": o["metadata"] | ({} if o["kind"].startswith("Cluster") else {"namespace": "default"})}
        for o in render()
    ])  # fmt: skip
    run = subprocess.run(
        [kubectl, "apply", "--dry-run=server", "--validate=strict", "-f", "-"],
        input=rendered, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("operator.replica=3", "/operator"),
        ("valkey.persistance.enabled=false", "/valkey"),
        ("redisUrl=redis://x", ""),
        ("operator.image.pullPolicy=always", "/operator/image/pullPolicy"),
        ("operator.replicas=0", "/operator/replicas"),
        ("redis.url=localhost:6379", "/redis/url"),
        ("operator.resources.limit.memory=1Gi", "/operator/resources"),
    ],
)
def test_an_unknown_value_is_refused_with_its_path(value: str, place: str) -> None:
    assert f"at '{place}'" in render_error(value)


def test_the_schema_has_every_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema)

    def same_keys(described: Object, given: Object, path: str) -> None:
        if described.get("additionalProperties") is not False or "properties" not in described:
            return
        assert set(described["properties"]) - {"global", "requests", "limits"} <= set(given), path
        for key, value in given.items():
            if isinstance(value, dict):
                same_keys(described["properties"][key], value, f"{path}.{key}")

    same_keys(schema, values, "values")


@pytest.mark.parametrize(
    "values",
    [
        ("redis.url=redis://a",),
        ("valkey.enabled=false",),
        ("valkey.enabled=false", "redis.url=redis://a", "redis.existingSecret.name=s"),
    ],
    ids=["two", "none", "url and secret"],
)
def test_exactly_one_redis_must_be_chosen(values: tuple[str, ...]) -> None:
    assert "choose exactly one Redis" in render_error(*values)


def test_pods_satisfy_the_pod_security_standard_restricted() -> None:
    for pod in pod_specs(render()):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]
            assert container["livenessProbe"]
            assert container["readinessProbe"]


def test_the_operator_has_no_wildcard_rights_and_few_on_secrets() -> None:
    rules = [rule for o in render() if o["metadata"]["name"] == "jobpools-operator" for rule in o.get("rules", ())]
    assert rules
    for rule in rules:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        if "secrets" in rule["resources"]:
            assert rule["resources"] == ["secrets"]
            assert set(rule["verbs"]) <= ({"create", "patch"} if "resourceNames" in rule else {"get"})
            assert rule.get("resourceNames", [REDIS_SECRET]) == [REDIS_SECRET]


def test_only_the_operator_gets_a_token() -> None:
    valkey = one(render(), "StatefulSet", "jobpools-valkey")["spec"]["template"]["spec"]
    assert valkey["automountServiceAccountToken"] is False


def test_valkey_never_evicts_and_has_an_append_only_file() -> None:
    (container,) = one(render(), "StatefulSet", "jobpools-valkey")["spec"]["template"]["spec"]["containers"]
    given = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
    assert given["--maxmemory-policy"] == "noeviction"
    assert given["--appendonly"] == "yes"


def test_the_password_is_in_the_secret_only() -> None:
    objects = render()
    secret = one(objects, "Secret", "jobpools-redis")["stringData"]
    password = secret["password"]
    assert len(password) == 32
    assert secret["url"] == f"redis://:{password}@jobpools-valkey.jobpools-system.svc:6379/0"
    others = [o for o in objects if o["kind"] != "Secret"]
    assert password not in yaml.safe_dump_all(others)


def test_a_redis_url_replaces_the_valkey() -> None:
    objects = render("valkey.enabled=false", "redis.url=rediss://user:word@elsewhere:6380/1")
    assert one(objects, "Secret", "jobpools-redis")["stringData"] == {"url": "rediss://user:word@elsewhere:6380/1"}
    assert not [o for o in objects if "valkey" in o["metadata"]["name"]]


def test_an_existing_secret_replaces_the_charts() -> None:
    objects = render("valkey.enabled=false", "redis.existingSecret.name=mine", "redis.existingSecret.key=dsn")
    assert not [o for o in objects if o["kind"] == "Secret"]
    (container,) = one(objects, "Deployment", "jobpools-operator")["spec"]["template"]["spec"]["containers"]
    (url,) = [e for e in container["env"] if e["name"] == "JOBPOOLS_REDIS_URL"]
    assert url["valueFrom"] == {"secretKeyRef": {"name": "mine", "key": "dsn"}}


def test_another_redis_restarts_the_operator() -> None:
    def redis_hash(*values: str) -> str:
        template = one(render(*values), "Deployment", "jobpools-operator")["spec"]["template"]
        return str(template["metadata"]["annotations"]["jobpools.dev/redis"])

    assert redis_hash() == redis_hash("operator.log=text")
    assert redis_hash() != redis_hash("valkey.enabled=false", "redis.url=redis://elsewhere")


def test_crds_are_the_generated_ones() -> None:
    generated = sorted(ROOT.joinpath("crds").glob("*.yaml"))
    copied = sorted(CHART.joinpath("crds").glob("*.yaml"))
    assert [f.name for f in generated] == [f.name for f in copied]
    assert [f.read_text() for f in generated] == [f.read_text() for f in copied]
