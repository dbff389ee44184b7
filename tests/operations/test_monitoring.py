"""Metrics, alerts and dashboard: promtool accepts them, and each query means what it says on a live run."""

import json
import re
import subprocess

import pytest
import yaml

from tests.operations.conftest import OPERATIONS, ROOT

RULES = [
    rule
    for group in yaml.safe_load((OPERATIONS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((OPERATIONS / "dashboard.json").read_text(encoding="utf-8"))
PAGE = (OPERATIONS / "metrics.md").read_text(encoding="utf-8")
PANELS = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
QUERIES += [("annotation", each["expr"]) for each in DASHBOARD["annotations"]["list"]]
METRIC = re.compile(r"\b(?:greenwave|process)_[a-z_]+\b")
MAY_BE_EMPTY = {"annotation"}
OPTIONAL = set(re.findall(r"^\| `(\w+)` .*; only with `(?:SCHEMA_REGISTRY_URL|WEBHOOK_URL)`", PAGE, re.MULTILINE))
"""Metrics of what this run does not use."""


def promtool(*arguments, given=None):
    """Run promtool; return what it prints, for a failure."""
    done = subprocess.run(["promtool", *arguments], check=False, input=given, capture_output=True, cwd=ROOT, timeout=60)
    return done.returncode, (done.stdout + done.stderr).decode()


def filled(expression):
    """Return a query of the dashboard with its variables filled in, as Grafana does."""
    return expression.replace("$__rate_interval", "5s").replace("$job", ".*").replace("$instance", ".*")


def test_promtool_accepts_the_metrics(server):
    status, printed = promtool("check", "metrics", given=server.get("/metrics"))
    assert (status, printed) == (0, "")


def test_promtool_accepts_the_rules():
    status, printed = promtool("check", "rules", "--lint=all", "--lint-fatal", "docs/operations/alerts.yml")
    assert (status, f"{len(RULES)} rules found" in printed) == (0, True), printed


def test_the_rules_pass_their_unit_tests():
    status, printed = promtool("test", "rules", "tests/operations/alerts_test.yml")
    assert status == 0, printed


def test_the_unit_tests_fire_every_alert():
    tests = yaml.safe_load((ROOT / "tests" / "operations" / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    samples = tests[1]["promql_expr_test"][0]["exp_samples"]
    fired = {re.search(r'alertname="(\w+)"', each["labels"])[1] for each in samples}
    assert fired == {rule["alert"] for rule in RULES}


def test_the_page_lists_every_alert():
    assert re.findall(r"^\| `(Greenwave\w+)` \|", PAGE, re.MULTILINE) == [rule["alert"] for rule in RULES]


def test_the_page_lists_every_metric_with_its_type_and_labels(server):
    exposed = {}
    for line in server.get("/metrics").decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            exposed[name] = [kind, set()]
        elif not line.startswith("#"):
            series = line.rpartition(" ")[0]
            name = re.sub(r"_(?:bucket|count|sum)$", "", series.partition("{")[0])
            exposed[name if name in exposed else series.partition("{")[0]][1] |= set(re.findall(r'(\w+)="', series))
    exposed["greenwave_info"][0] = "info"
    described = {
        name: [kind, set(re.findall(r"`(\w+)`", labels))]
        for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\|", PAGE, re.MULTILINE)
        if name not in OPTIONAL
    }
    assert {name: [kind, labels - {"pid", "le"}] for name, (kind, labels) in exposed.items()} == described


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_metrics_of_an_alert_exist(prometheus, rule):
    for name in set(METRIC.findall(rule["expr"])) - OPTIONAL:
        prometheus.wait_for(name)


def test_no_alert_fires_in_a_healthy_run(prometheus):
    rules = prometheus.get("rules")["groups"][0]["rules"]
    assert [(each["name"], each["health"]) for each in rules] == [(rule["alert"], "ok") for rule in RULES]
    assert [each["name"] for each in rules if each["state"] == "firing"] == []


@pytest.mark.parametrize(("title", "expression"), QUERIES, ids=[f"{t} {n}" for n, (t, _) in enumerate(QUERIES)])
def test_a_query_of_the_dashboard_gives_values(prometheus, title, expression):
    for name in METRIC.findall(expression):
        prometheus.wait_for(name)
    if title not in MAY_BE_EMPTY:
        prometheus.wait_for(filled(expression))


@pytest.mark.parametrize("variable", DASHBOARD["templating"]["list"][1:], ids=lambda each: each["name"])
def test_a_variable_of_the_dashboard_has_values(prometheus, variable):
    selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
    series = prometheus.get("series", **{"match[]": filled(selector)})
    assert {each[label] for each in series} in ({"greenwave"}, {series[0]["instance"]})


def test_the_panels_of_the_dashboard_do_not_overlap():
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
