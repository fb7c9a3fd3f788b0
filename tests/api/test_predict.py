"""Seed 001, Predictions: single, batch, test-model, wrong input."""
import math

import pytest
from conftest import golden


def close(a, b, tol=1e-12):
    return all(math.isclose(x, y, rel_tol=0, abs_tol=tol) for x, y in zip(a, b)) and len(a) == len(b)


def test_single_row_as_the_seed_shows(iris):
    user, dep = iris
    r = user.predict(dep, [5.1, 3.5, 1.4, 0.2])
    assert r.status == 200
    body = r.json()
    assert set(body) == {"prediction", "probabilities", "model_version", "response_time_ms"}
    assert body["prediction"] == 0 and body["model_version"] == "v1"
    assert isinstance(body["response_time_ms"], float) and 0 < body["response_time_ms"] < 5000
    assert len(body["probabilities"]) == 3 and abs(sum(body["probabilities"]) - 1) < 1e-12


def test_batch_equals_scikit_learn(iris):
    user, dep = iris
    _, want = golden("rf100_iris")
    body = user.predict(dep, want["inputs"]).json()
    assert body["batch_size"] == len(want["inputs"])
    assert body["predictions"] == want["predict"]
    for got, expected in zip(body["probabilities"], want["predict_proba"]):
        assert close(got, expected)


def test_objects_by_feature_name_and_in_order(iris):
    user, dep = iris
    one = user.predict(dep, {"feature1": 5.1, "feature2": 3.5, "feature3": 1.4, "feature4": 0.2})
    assert one.status == 200 and one.json()["prediction"] == 0
    many = user.predict(dep, [{"a": 5.1, "b": 3.5, "c": 1.4, "d": 0.2}, {"a": 6.2, "b": 3.4, "c": 5.4, "d": 2.3}])
    assert many.json()["predictions"] == [0, 2]


@pytest.mark.parametrize("data", [
    [5.1, 3.5, 1.4], [5.1, 3.5, 1.4, 0.2, 1], [], [[]], [[5.1, 3.5, 1.4, 0.2], [1, 2]], "text", 5, None, True,
    [5.1, "3.5", 1.4, 0.2], {"a": 1}, {}, [[1, 2, 3, [4]]], [1, 2, 3, {"x": 1}], [None, None],
])
def test_wrong_input_is_refused_with_a_reason(iris, data):
    user, dep = iris
    r = user.predict(dep, data)
    assert r.status in (400, 422), r
    assert r.json()["error"]["code"] in ("INVALID_INPUT", "VALIDATION_ERROR")
    assert r.json()["error"]["message"]


def test_errors_name_row_and_column(iris):
    user, dep = iris
    r = user.predict(dep, [[5.1, 3.5, 1.4, 0.2], [5.1, "x", 1.4, 0.2]])
    error = r.json()["error"]
    assert r.status in (400, 422) and "data[1]" in str(error["details"].get("field", "")) + error["message"]
    for raw in (b'{"data": [NaN, 1, 2, 3]}', b'{"data": [1e999, 1, 2, 3]}', b'{"data": [1,2', b"", b"[]", b'"x"'):
        r = user.post(f"/api/v1/predict/{dep}", raw, headers={"Content-Type": "application/json"})
        assert r.status in (400, 422), (raw, r)


def test_missing_values_where_the_model_takes_them(user):
    data, want = golden("hgb_iris")
    dep = user.deploy(data, name="hgb").json()["id"]
    row = list(want["inputs"][0])
    row[0] = None
    assert user.predict(dep, row).status == 200


def test_string_labels_come_back_as_strings(user):
    data, want = golden("rf_strings_frame")
    dep = user.deploy(data).json()["id"]
    got = user.predict(dep, want["inputs"]).json()
    assert got["predictions"] == want["predict"] and isinstance(got["predictions"][0], str)


def test_regression_has_no_probabilities(user):
    data, want = golden("rf_diab")
    dep = user.deploy(data).json()["id"]
    body = user.predict(dep, want["inputs"]).json()
    assert "probabilities" not in body
    assert close(body["predictions"], want["predict"], 1e-9)


def test_test_model_is_not_counted(iris):
    user, dep = iris
    r = user.post("/api/v1/test-model", {"deployment_id": dep, "data": {
        "feature1": 5.1, "feature2": 3.5, "feature3": 1.4, "feature4": 0.2}})
    assert r.status == 200
    body = r.json()
    assert body["prediction"] == 0 and body["deployment_id"] == dep and body["model_version"] == "v1"
    assert body["features_read"] == [[5.1, 3.5, 1.4, 0.2]] or body["features_read"] == [5.1, 3.5, 1.4, 0.2]
    assert body["input_schema"] and body["response_time_ms"] > 0
    assert user.get(f"/api/v1/deployments/{dep}").json()["metrics_summary"]["total_predictions"] == 0
    assert user.post("/api/v1/test-model", {"deployment_id": "dep-nope", "data": [1]}).status == 404
    assert user.post("/api/v1/test-model", {"data": [1]}).status == 422


def test_test_model_names_the_features_that_it_read(user):
    file, values = golden("cx_flow_clean")
    dep = user.deploy(file).json()["id"]
    row = values["inputs"][0] if "inputs" in values else values["X"][0]
    r = user.post("/api/v1/test-model", {"deployment_id": dep, "data": row})
    assert r.status == 200, r
    body = r.json()
    names = [f["name"] for f in body["input_schema"]["features"]]
    assert list(body["features_read"]) == names and body["input_schema"]["kind"] == "mixed"
    batch = user.post("/api/v1/test-model", {"deployment_id": dep, "data": [row, row]}).json()
    assert [list(r) for r in batch["features_read"]] == [names, names]


def test_unknown_deployments_are_not_found(user):
    for dep in ("dep-" + "0" * 32, "dep-abc123", "nonsense", "..%2f..%2fetc"):
        assert user.predict(dep, [1]).status == 404


def test_large_batch_runs_and_counts(iris):
    user, dep = iris
    rows = [[5.1, 3.5, 1.4, 0.2]] * 20000
    body = user.predict(dep, rows).json()
    assert body["batch_size"] == 20000 and set(body["predictions"]) == {0}
