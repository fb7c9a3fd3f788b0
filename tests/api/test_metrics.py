"""Seed 001, Metrics."""
import pytest


def test_metrics_count_what_happened(iris):
    user, dep = iris
    for i in range(10):
        assert user.predict(dep, [5.1, 3.5, 1.4, 0.2], user_id=f"u{i % 3}").status == 200
    assert user.predict(dep, [1]).status in (400, 422)
    r = user.get(f"/api/v1/metrics/{dep}?hours=24&resolution=1h")
    assert r.status == 200
    body = r.json()
    m = body["metrics"]
    assert body["deployment_id"] == dep
    assert m["request_count"] == 11 and m["error_count"] == 1
    assert 0 < m["avg_latency_ms"] < 1000 and m["p95_latency_ms"] >= m["p50_latency_ms"] > 0
    assert m["p99_latency_ms"] >= m["p95_latency_ms"]
    assert m["unique_users"] in (3, 4)
    ts = body["time_series"]
    assert len(ts["timestamps"]) == len(ts["request_counts"]) == len(ts["avg_latencies"])
    assert sum(ts["request_counts"]) == 11 and len(ts["timestamps"]) in (24, 25)
    cost = body["cost_estimate"]
    assert cost["total_usd"] == pytest.approx(sum(cost["breakdown"].values()), abs=2e-6)
    assert body["dashboard_url"].endswith(f"/dashboard/deployments/{dep}/metrics")
    d = user.get(f"/api/v1/deployments/{dep}").json()["metrics_summary"]
    assert d["total_predictions"] == 11 and d["error_rate"] == pytest.approx(1 / 11)
    assert user.get("/api/v1/auth/me").json()["total_predictions"] == 11


@pytest.mark.parametrize("resolution,least", [("1m", 60), ("5m", 12), ("1h", 1), ("1d", 1)])
def test_every_resolution_adds_up(iris, resolution, least):
    user, dep = iris
    for _ in range(3):
        user.predict(dep, [[5.1, 3.5, 1.4, 0.2]] * 2)
    body = user.get(f"/api/v1/metrics/{dep}?hours=1&resolution={resolution}").json()
    assert sum(body["time_series"]["request_counts"]) == 3
    assert len(body["time_series"]["timestamps"]) >= least


def test_metrics_without_samples_are_zero(iris):
    user, dep = iris
    m = user.get(f"/api/v1/metrics/{dep}").json()["metrics"]
    assert m["request_count"] == 0 and m["avg_latency_ms"] == 0 and m["p99_latency_ms"] == 0


def test_wrong_parameters_are_named(iris):
    user, dep = iris
    for query, field in (("hours=0", "hours"), ("hours=169", "hours"), ("hours=x", "hours"),
                         ("resolution=2h", "resolution")):
        r = user.get(f"/api/v1/metrics/{dep}?{query}")
        assert r.status == 422 and r.json()["error"]["details"]["field"] == field
    assert user.get("/api/v1/metrics/dep-" + "0" * 32).status == 404
