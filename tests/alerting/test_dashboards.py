"""The dashboards hold the rules of Grafana's dashboard-linter, and load into its models."""

import json
import re

import pytest
import yaml
from grafana_foundation_sdk.models import dashboard as model

from evmon import Thresholds
from evmon._alerting.dashboards.boards import boards
from evmon._alerting.dashboards.grafana import render


@pytest.fixture(params=["evmon-overview", "evmon-events"])
def dashboard(request, dashboards):
    return dashboards[request.param]


def _panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_there_are_two(dashboards):
    assert {"evmon-overview", "evmon-events"} == set(dashboards)


def test_it_loads_into_grafanas_models(dashboard):
    loaded = model.Dashboard.from_json(dashboard)

    assert loaded.title == dashboard["title"]
    assert len(loaded.panels) == len(dashboard["panels"])


def test_it_imports_without_an_edit(dashboard):
    assert dashboard["id"] is None
    assert dashboard["uid"].startswith("evmon-")
    assert 36 >= dashboard["schemaVersion"]
    assert "__inputs" not in dashboard
    assert not dashboard["editable"]


def test_its_variables_choose_source_service_and_process(dashboard):
    variables = {v["name"]: v for v in dashboard["templating"]["list"]}

    assert "datasource" == variables["datasource"]["type"]
    assert "prometheus" == variables["datasource"]["query"]
    for name in variables.keys() - {"datasource"}:
        variable = variables[name]
        assert variable["multi"], name
        assert variable["includeAll"], name
        assert ".+" == variable["allValue"]
        assert "${datasource}" == variable["datasource"]["uid"]
        assert variable["label"]
    assert {"job", "instance"} <= variables.keys()


def test_no_variable_has_an_id(dashboard):
    assert not [v["name"] for v in dashboard["templating"]["list"] if "id" in v]


def test_several_services_filter_the_alert_list(dashboards):
    (alerts,) = (
        p for p in dashboards["evmon-overview"]["panels"] if p["type"] == "alertlist"
    )

    filter_ = alerts["options"]["alertInstanceLabelFilter"]
    assert '{job=~"${job:regex}"}' == filter_


def test_a_heatmap_says_its_numbers(dashboard):
    heatmaps = [p for p in _panels(dashboard) if p["type"] == "heatmap"]

    assert heatmaps
    assert all(p["options"]["tooltip"]["show"] for p in heatmaps)


def test_the_events_can_be_narrowed_to_a_destination_and_a_group(dashboards):
    variables = dashboards["evmon-events"]["templating"]["list"]

    assert {"destination", "group"} <= {v["name"] for v in variables}


def test_every_panel_says_what_it_is(dashboard):
    titles = [panel["title"] for panel in _panels(dashboard)]

    assert len(set(titles)) == len(titles)
    for panel in _panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith((".", "wait.")), panel["title"]
        assert "${datasource}" == panel["datasource"]["uid"]
        if panel["type"] != "alertlist":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_ids_are_unique_and_panels_do_not_overlap(dashboard):
    ids = [panel["id"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for g in (panel["gridPos"],)
        for x in range(g["x"], g["x"] + g["w"])
        for y in range(g["y"], g["y"] + g["h"])
    ]

    assert len(set(ids)) == len(ids)
    assert len(set(cells)) == len(cells)
    assert 24 > max(x for x, _ in cells)


def test_every_query_is_right_and_asks_for_service_and_process(
    queries, plain, selectors
):
    for _, title, expression in queries:
        found, _ = selectors(plain(expression))
        for name, matchers in found:
            assert {"job", "instance"} <= matchers.keys(), (title, name)


def test_no_query_has_a_range_of_its_own(queries):
    for _, title, expression in queries:
        assert {"$__rate_interval"} >= set(re.findall(r"\[(.+?)\]", expression)), title


def test_a_zero_that_stands_for_nothing_has_a_name_in_the_legend(dashboards):
    for dashboard in dashboards.values():
        for panel in _panels(dashboard):
            for target in panel.get("targets", ()):
                if "vector(0)" in target["expr"] and "{{" in target.get(
                    "legendFormat", ""
                ):
                    assert '"none"' in target["expr"], panel["title"]


def test_the_limits_are_lines(dashboards):
    limits = Thresholds()
    lines = {
        panel["title"]: [s["value"] for s in _steps(panel)]
        for dashboard in dashboards.values()
        for panel in _panels(dashboard)
        if panel["type"] != "alertlist"
    }

    assert [
        None,
        limits.cache_hit_rate_critical_percent,
        limits.cache_hit_rate_warning_percent,
    ] == lines["Cache hit rate"]
    assert [
        None,
        1e6 * limits.memory_warning_mb,
        1e6 * limits.memory_critical_mb,
    ] == lines["Memory"]
    assert [None, limits.processing_warning_ms] == lines["Discovery batch, average"]
    assert [None, limits.retries_warning] == lines["Retries of the worst process"]


def _steps(panel):
    defaults = panel["fieldConfig"]["defaults"]
    return defaults.get("thresholds", {"steps": []})["steps"]


def test_they_link_to_each_other_and_to_the_runbooks(dashboard):
    links = {link["title"]: link for link in dashboard["links"]}

    assert ["evmon"] == links["evmon"]["tags"]
    assert links["evmon"]["keepTime"]
    assert links["evmon"]["includeVars"]
    assert "evmon" in dashboard["tags"]
    assert links["Runbooks"]["url"].endswith("/docs/runbooks")


def test_restarts_and_deploys_are_annotations(dashboard):
    notes = {note["name"]: note for note in dashboard["annotations"]["list"]}

    assert "{{instance}}" in notes["Restarts"]["textFormat"]
    assert "{{service_version}}" in notes["Deploys"]["titleFormat"]
    # A service that does not say its version is no deploy.
    assert 2 == notes["Deploys"]["expr"].count('service_version!=""')


def test_the_sidecar_gets_the_same_dashboard_in_a_config_map():
    for board in boards(Thresholds()):
        wrapped = yaml.safe_load(render(board, "configmap"))

        assert {"grafana_dashboard": "1"} == wrapped["metadata"]["labels"]
        inner = json.loads(wrapped["data"][f"{board.uid}.json"])
        assert inner == json.loads(render(board))
