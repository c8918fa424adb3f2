"""The dashboards fit the schema of Grafana's own types; `grafana/README.md` has its source."""

import copy
import json

import jsonschema
import pytest

ADDED = {
    # Types of Grafana 10.1 are not complete: what the schema lacks, and who reads it.
    ("AnnotationQuery", "expr"): "the Prometheus data source, for want of a target",
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
REFRESH = "an interval is a string, which the type leaves out"


@pytest.fixture(scope="session")
def raw(root):
    path = root / "tests/alerting/grafana/dashboard.schema.json"
    return json.loads(path.read_text("utf-8"))


@pytest.fixture(scope="session")
def schema(raw):
    """The schema without its gaps."""
    mended = copy.deepcopy(raw)
    types = mended["definitions"]
    for name, key in ADDED:
        assert key not in types[name]["properties"]
        types[name]["properties"][key] = {"type": TYPES.get(key, "string")}
    for name, key in NOT_REQUIRED:
        types[name]["required"].remove(key)
    types["Shipped"]["properties"]["refresh"] = {"type": "string", "pattern": "^\\d+s$"}
    return mended


@pytest.fixture(params=["evmon-overview", "evmon-events"])
def dashboard(request, dashboards):
    return copy.deepcopy(dashboards[request.param])


def _mistakes(document, schema):
    """What is wrong with a dashboard; of a panel, by the type that it says it has."""
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


def test_it_fits_grafanas_types(dashboard, schema):
    assert [] == _mistakes(dashboard, schema)


def test_no_gap_is_listed_that_there_is_not(dashboards, raw):
    said = " ".join(m for d in dashboards.values() for m in _mistakes(d, raw))

    for _, key in (*ADDED, *NOT_REQUIRED):
        assert f"'{key}'" in said, key
    assert "$.refresh" in said


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
def test_it_refuses_what_is_broken(dashboards, schema, path, value):
    broken = copy.deepcopy(dashboards["evmon-overview"])
    *way, last = path
    place = broken
    for step in way:
        place = place[step]
    place[last] = value

    assert _mistakes(broken, schema)
