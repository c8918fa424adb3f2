"""The dashboards match the schema of Grafana's types; see `grafana/README.md`."""

import copy
import json

import jsonschema
import pytest

ADDED = {
    # Fields that the types of Grafana 10.1 lack, and what reads them.
    ("AnnotationQuery", "expr"): "the Prometheus data source, as there is no target",
    ("AnnotationQuery", "titleFormat"): "the Prometheus data source",
    ("AnnotationQuery", "textFormat"): "the Prometheus data source",
    ("AnnotationQuery", "tagKeys"): "the Prometheus data source",
    ("VariableModel", "allValue"): "variables of type query; typed from 10.2 on",
    ("VariableModel", "includeAll"): "variables of type query; typed from 10.2 on",
    ("VariableModel", "sort"): "variables of type query; typed from 10.2 on",
}
TYPES = {"includeAll": "boolean", "sort": "integer"}
NOT_REQUIRED = {
    ("VariableModel", "id"): "10.2 dropped it; nothing refers to it",
    ("VariableModel", "datasource"): "a variable that chooses a source has none",
}


@pytest.fixture(scope="session")
def raw(root):
    path = root / "tests/alerting/grafana/dashboard.schema.json"
    return json.loads(path.read_text("utf-8"))


@pytest.fixture(scope="session")
def schema(raw):
    """The schema with the missing fields added."""
    completed = copy.deepcopy(raw)
    types = completed["definitions"]
    for name, key in ADDED:
        assert key not in types[name]["properties"]
        types[name]["properties"][key] = {"type": TYPES.get(key, "string")}
    for name, key in NOT_REQUIRED:
        types[name]["required"].remove(key)
    # The type lacks the interval, which is a string.
    types["Shipped"]["properties"]["refresh"] = {"type": "string", "pattern": "^\\d+s$"}
    return completed


@pytest.fixture(params=["evmon-overview", "evmon-events"])
def dashboard(request, dashboards):
    return copy.deepcopy(dashboards[request.param])


def _mistakes(document, schema):
    """Return the schema errors; those of a panel for the type that it states."""
    found = []
    for error in jsonschema.Draft7Validator(schema).iter_errors(document):
        meant = [
            inner
            for inner in error.context or ()
            if not _is_of_another_type(error, inner)
        ]
        found += [f"{e.json_path}: {e.message}" for e in meant or [error]]
    return found


def _is_of_another_type(error, inner):
    branch = inner.schema_path[0]
    return any(
        other.schema_path[0] == branch and other.absolute_path[-1] == "type"
        for other in error.context
    )


def test_a_dashboard_matches_the_schema(dashboard, schema):
    assert [] == _mistakes(dashboard, schema)


def test_every_added_field_is_missing_in_the_schema(dashboards, raw):
    errors = " ".join(m for d in dashboards.values() for m in _mistakes(d, raw))

    for _, key in (*ADDED, *NOT_REQUIRED):
        assert f"'{key}'" in errors, key
    assert "$.refresh" in errors


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("panels", 1, "type"), "timeserie"),
        (("panels", 1, "gridPos", "w"), "8"),
        (("panels", 1, "gridPos"), None),
        (("panels", 1, "fieldConfig", "defaults", "unit"), 5),
        (("panels", 1, "options"), None),
        (("panels", 1, "options", "colorMode"), "colourful"),
        (("panels", 1, "targets", 0, "format"), "matrix"),
        (("panels", 1, "targets", 0, "expression"), "up"),
        (("panels", 0, "panel"), []),
        (("templating", "list", 1, "hide"), "yes"),
        (("refresh",), "often"),
        (("schemaVersion",), "36"),
    ],
)
def test_the_schema_rejects_a_broken_dashboard(dashboards, schema, path, value):
    broken = copy.deepcopy(dashboards["evmon-overview"])
    *way, last = path
    place = broken
    for step in way:
        place = place[step]
    place[last] = value

    assert _mistakes(broken, schema)
