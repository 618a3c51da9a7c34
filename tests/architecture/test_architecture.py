"""Rules of the architecture: imports, the purity of core, sizes of files and functions, public names."""

import ast
import functools
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.parsed import nodes_of

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "worker" / "jobpools"
OPERATOR = ROOT / "operator" / "jobpools_operator"
SOURCES = sorted([*PRODUCT.rglob("*.py"), *OPERATOR.rglob("*.py")])
CORE = sorted((PRODUCT / "core").rglob("*.py"))

FILE_LIMIT, LUA_LIMIT, FUNCTION_LIMIT = 400, 120, 60
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "types", "manager", "operations", *sys.stdlib_module_names}
STDLIB_NAMES_KEPT = {"__init__", "__main__", "operator"}

PURE_STDLIB = {
    "__future__", "calendar", "collections", "copy", "dataclasses", "datetime", "difflib", "enum", "fnmatch",
    "functools", "hashlib", "itertools", "json", "math", "operator", "re", "string", "tomllib", "types", "typing",
    "uuid", "zoneinfo",
}  # fmt: skip
IMPURE_CALLS = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("uuid", "uuid1"),
    ("uuid", "uuid4"), ("uuid", "uuid7"),
}  # fmt: skip


@functools.cache
def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def module_of(path: Path) -> str:
    base = PRODUCT.parent if path.is_relative_to(PRODUCT) else OPERATOR.parent
    return ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")


def import_graph() -> dict[str, set[str]]:
    """Return the modules of this project that each of them imports, under TYPE_CHECKING and inside functions too."""
    modules = {module_of(path): path for path in SOURCES}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        found: set[str] = set()
        for node in nodes_of(path):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found |= {name if name in modules else node.module for name in names}
        graph[module] = found & modules.keys() - {module}
    return graph


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_import_rules() -> None:
    """The contracts are in pyproject.toml: layers, and one home for each foreign library."""
    run = subprocess.run(["lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False,
                         executable=Path(sys.executable).with_name("lint-imports"))  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_modules_import_each_other() -> None:
    """A module never imports, directly or through others, a module that imports it."""
    try:
        graphlib.TopologicalSorter(import_graph()).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"import cycle: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("path", CORE, ids=short)
def test_core_is_pure(path: Path) -> None:
    """Core reads no clock, draws no random numbers and opens no files."""
    roots = {name.split(".")[0] for name in imports(path)}
    allowed = PURE_STDLIB | {"jobpools", "pydantic", "pydantic_core", "croniter"}
    assert roots <= allowed, f"{short(path)} imports {sorted(roots - allowed)}"
    for node in nodes_of(path):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            assert (node.func.value.id, node.func.attr) not in IMPURE_CALLS, f"{short(path)}:{node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input", "exec", "eval"}, f"{short(path)}:{node.lineno}"


def test_core_imports_only_core_and_errors() -> None:
    for path in CORE:
        ours = {name for name in imports(path) if name.startswith("jobpools")}
        assert all(name.startswith(("jobpools.core", "jobpools.errors")) for name in ours), f"{short(path)}: {ours}"


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("redis", "jobpools/store/"),
        ("croniter", "jobpools/core/schedules/expression.py"),
        ("kubernetes", "jobpools_operator/kube/"),
        ("kopf", ("jobpools_operator/handlers/", "jobpools_operator/__main__.py")),
        ("subprocess", "jobpools/local/"),
        ("typer", "jobpools/cli/"),
        ("rich", ("jobpools/cli/", "jobpools/local/")),
        ("matplotlib", "jobpools/local/"),
        ("yaml", ("jobpools/cli/", "jobpools/local/", "jobpools_operator/crdgen.py")),
    ],
)
def test_each_library_has_one_home(library: str, home: str | tuple[str, ...]) -> None:
    homes = (home,) if isinstance(home, str) else home
    users = {short(path) for path in SOURCES if library in {name.split(".")[0] for name in imports(path)}}
    elsewhere = {user for user in users if not any(place in user for place in homes)}
    assert not elsewhere, f"{library} belongs in {homes}, not in {sorted(elsewhere)}"


@pytest.mark.parametrize("path", [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))], ids=short)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LIMIT, f"{short(path)}: split it"


@pytest.mark.parametrize("path", sorted(PRODUCT.rglob("*.lua")), ids=short)
def test_scripts_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LUA_LIMIT


def test_functions_stay_short() -> None:
    long = [
        f"{short(path)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno > FUNCTION_LIMIT
    ]
    assert not long


def test_module_names_are_specific_and_do_not_shadow_the_standard_library() -> None:
    bad = [short(path) for path in SOURCES if path.stem in FORBIDDEN_NAMES - STDLIB_NAMES_KEPT]
    assert not bad


def test_the_operator_folder_is_not_a_package() -> None:
    """With an __init__.py it would shadow the standard library's `operator` for a Python started in the root."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    run = subprocess.run([sys.executable, "-c", "import operator; print(operator.add(1, 2))"], cwd=ROOT,
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert run.stdout == "3\n"


def test_public_names_are_listed_and_sorted() -> None:
    package = importlib.import_module("jobpools")
    assert list(package.__all__) == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)


def test_importing_jobpools_imports_nothing_expensive() -> None:
    """A process that only enqueues imports neither the command line nor YAML nor the operator."""
    code = "import sys, jobpools; jobpools.App; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expensive = {"typer", "rich", "yaml", "kopf", "kubernetes", "matplotlib", "aiohttp"} & set(run.stdout.split())
    assert not expensive


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    inside = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    bare = [line for line in inside.splitlines() if line.strip().startswith('"') and "# " not in line]
    assert not bare


def test_generated_files_are_fresh(tmp_path: Path) -> None:
    """`make generate` writes crds/ and the chart's copy of them; run it after a change of a spec."""
    subprocess.run([sys.executable, "-m", "jobpools_operator.crdgen", str(tmp_path)], check=True, cwd=ROOT)
    fresh = {path.name: path.read_text() for path in tmp_path.glob("*.yaml")}
    assert fresh
    for folder in (ROOT / "crds", ROOT / "helm" / "jobpools" / "crds"):
        assert {path.name: path.read_text() for path in folder.glob("*.yaml")} == fresh, (
            f"{folder}: outdated; run make generate"
        )
