"""docs/config.md against the schema: every key, its default, choices and range, and none that is not there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from inspectd.config import Config, json_schema, load

DOCS = Path(__file__).parents[2] / "docs" / "config.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
SECTIONS = {
    "Top level": None,
    "watch": "Watch",
    "worker": "WorkerSettings",
    "overlay": "OverlaySettings",
    "limits": "LimitSettings",
    "metrics": "MetricSettings",
    "retention": "RetentionSettings",
    "retention.overlays": "FileRule",
    "retention.rows": "RowRule",
}


def documented(section: str) -> dict[str, tuple[str, str]]:
    """Key, default and meaning, as the section's table has them."""
    text = DOCS.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return {key: (default, meaning) for key, default, meaning in ROW.findall(text)}


def properties(definition: str | None) -> dict[str, Any]:
    schema = json_schema()
    return (schema if definition is None else schema["$defs"][definition])["properties"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("section", "definition"), SECTIONS.items())
def test_every_key_is_documented_with_its_default_and_its_range(section: str, definition: str | None) -> None:
    table, schema = documented(section), properties(definition)
    assert list(table) == list(schema)
    for key, prop in schema.items():
        default, meaning = table[key]
        if "default" in prop:
            shown = {} if isinstance(prop["default"], dict) else prop["default"]
            assert yaml.safe_load(default.strip("`")) == shown or default.strip("`") == shown, key
        else:
            assert default == "required", key
        for kind in (prop, *prop.get("anyOf", ())):
            limits = [kind.get(name) for name in ("minimum", "exclusiveMinimum", "maximum")]
            assert all(f"{limit:g}" in meaning or str(limit) in meaning for limit in limits if limit is not None), key
            assert all(f"`{choice}`" in meaning for choice in kind.get("enum", ())), key


def test_every_key_is_described_for_editors() -> None:
    definitions = json_schema()["$defs"]
    for definition in SECTIONS.values():
        for key, prop in properties(definition).items():
            section = definitions.get(prop.get("$ref", "").rpartition("/")[2], {})
            assert prop.get("description") or section.get("description"), key


def test_the_schema_is_json_and_refuses_unknown_keys() -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["additionalProperties"] is False
    assert all(definition["additionalProperties"] is False for definition in schema["$defs"].values())


def test_the_smallest_configuration_of_the_docs_is_right(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(database: .*?)```", DOCS.read_text(), re.DOTALL)
    assert example
    file = tmp_path / "config.yaml"
    file.write_text(example[1])
    required = {name for name, field in Config.model_fields.items() if field.is_required()}
    assert load(file).model_fields_set == required
