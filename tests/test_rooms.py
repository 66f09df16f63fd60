"""The rooms of the house: imports point down, and what must stay light never imports TensorFlow."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import inspectd

PACKAGE = Path(inspectd.__file__).parent

# From the bottom to the top; a room may import from its own floor's rooms only where they are the same room.
FLOORS = [
    {"__init__", "errors", "paths", "clock", "durable", "resources", "region", "sizes", "system_names"},
    {"config"},
    {"ledger", "vision"},
    {"model"},
    {"dataset"},
    {"evaluation"},
    {"ingest", "training", "worker"},
    {"service"},
    {"demo"},
    {"simulate"},
    {"bench"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_of(path: Path) -> str:
    return ".".join(("inspectd", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def imports() -> Iterator[tuple[str, str]]:
    """Every (importing module, imported module) inside the package, wherever in a file it stands."""
    for path in PACKAGE.rglob("*.py"):
        module = module_of(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "inspectd":
                if node.module == "inspectd":
                    yield from ((module, f"inspectd.{alias.name}") for alias in node.names)
                else:
                    yield module, node.module
            elif isinstance(node, ast.Import):
                yield from ((module, alias.name) for alias in node.names if alias.name.split(".")[0] == "inspectd")


def test_every_room_has_its_floor() -> None:
    rooms = {path.stem for path in PACKAGE.glob("*.py")} | {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert rooms - {"__pycache__"} == set(FLOOR_OF)


def test_imports_point_down() -> None:
    upward = [
        f"{importer} imports {imported}"
        for importer, imported in imports()
        if (source := room_of(importer))
        != (target := room_of(imported) if room_of(imported) in FLOOR_OF else "__init__")
        and FLOOR_OF[target] >= FLOOR_OF[source]
    ]
    assert upward == []


def test_no_tensorflow_where_it_must_not_be() -> None:
    """Not in a command's start, nor in any module of the daemon, but for the metrics that a port asks for."""
    rooms = [path for room in ("ingest", "ledger", "service", "cli") for path in (PACKAGE / room).rglob("*.py")]
    light = {"inspectd.worker.supervisor", "inspectd.evaluation.what_if", *map(module_of, rooms)}
    heavy = ("tensorflow", "jax", "keras", "cv2", "matplotlib", "sklearn", "scipy", "prometheus_client")
    program = f"""
import importlib, sys
for module in {sorted(light - {"inspectd.service.metrics"})}:
    importlib.import_module(module)
    if found := [name for name in {heavy} if name in sys.modules]:
        sys.exit(f"{{module}} imports {{found}}")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
