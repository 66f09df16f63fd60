"""The rooms of the house: imports point down, and what must stay light never imports TensorFlow."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import inspectd

PACKAGE = Path(inspectd.__file__).parent

# From the bottom to the top. A room is a folder of the package, or a single module in it. It stands above every room
# that it imports.
FLOORS = [
    {"__init__", "clock", "domain", "durable", "errors", "mistakes", "mounts", "resources", "sizes", "system_names"},
    {"paths", "vision"},
    {"config", "ledger", "model"},
    {"dataset", "ingest", "worker"},
    {"evaluation", "rehearsal", "service"},
    {"bench", "demo", "simulate", "training"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def module_of(path: Path) -> str:
    return ".".join(("inspectd", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def existing(name: str) -> str:
    """The module that an imported name is, or stands in."""
    return name if name in MODULES else name.rpartition(".")[0]


def imports() -> Iterator[tuple[str, str]]:
    """Every (importing module, imported module) inside the package, at the top of a file or inside a function."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            yield from ((module, existing(name)) for name in names if name.split(".")[0] == "inspectd")


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def folder_of(module: str) -> str:
    """The folder that a module lies in; a module at the top of the package is a room of its own."""
    parts = MODULES[module].relative_to(PACKAGE).with_suffix("").parts
    return "/".join(parts[:-1]) or parts[0]


def assert_no_circle(name_of: Callable[[str], str]) -> None:
    """Raises CycleError, which names the circle."""
    below: dict[str, set[str]] = {name_of(module): set() for module in MODULES}
    for importer, imported in imports():
        below[name_of(importer)] |= {name_of(imported)} - {name_of(importer)}
    assert set(TopologicalSorter(below).static_order()) == set(below)


def test_every_room_has_its_floor() -> None:
    assert {room_of(module) for module in MODULES} == set(FLOOR_OF)


def test_imports_point_down() -> None:
    upward = [
        f"{importer} imports {imported}"
        for importer, imported in imports()
        if room_of(importer) != room_of(imported) and FLOOR_OF[room_of(imported)] >= FLOOR_OF[room_of(importer)]
    ]
    assert upward == []


def test_no_circle_of_files() -> None:
    assert_no_circle(lambda module: module)


def test_no_circle_of_folders() -> None:
    """Not among the folders inside a room either."""
    assert_no_circle(folder_of)


def test_no_tensorflow_where_it_must_not_be() -> None:
    """Not in a command's start, nor in any module of the daemon, but for the metrics that a port asks for."""
    rooms = [path for room in ("ingest", "ledger", "service", "cli") for path in (PACKAGE / room).rglob("*.py")]
    light = {"inspectd.worker.supervisor", "inspectd.evaluation.what_if", *map(module_of, rooms)}
    heavy = ("tensorflow", "jax", "keras", "cv2", "matplotlib", "sklearn", "scipy", "prometheus_client")
    program = f"""
import importlib, sys
for module in {sorted(light - {"inspectd.service.metrics.counters"})}:
    importlib.import_module(module)
    if found := [name for name in {heavy} if name in sys.modules]:
        sys.exit(f"{{module}} imports {{found}}")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
