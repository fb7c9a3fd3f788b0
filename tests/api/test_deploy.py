"""Seed 001, Deployments: create, list, get, update, delete; versions and rollback."""
import time

import pytest
from conftest import golden


def wait_active(api, dep, wanted="active"):
    for _ in range(200):
        d = api.get(f"/api/v1/deployments/{dep}").json()
        if d["status"] == wanted:
            return d
        time.sleep(0.02)
    raise AssertionError(d)


def test_deploy_reads_building_with_complete_metadata(user, iris_file):
    r = user.deploy(iris_file, requirements=b"scikit-learn==0.24.0\n", name="iris", memory=512, timeout=5)
    assert r.status == 200
    d = r.json()
    assert d["id"].startswith("dep-") and d["name"] == "iris" and d["status"] == "building"
    meta = d["model_metadata"]
    assert meta["framework"] == "sklearn" and meta["model_type"] == "RandomForestClassifier"
    assert meta["input_shape"] == [4] and meta["output_shape"] == [3]
    assert meta["size_bytes"] == len(iris_file) and meta["size_mb"] > 0 and len(meta["sha256"]) == 64
    assert any("scikit-learn" in w for w in meta["warnings"])
    got = wait_active(user, d["id"])
    assert got["configuration"] == {"memory_mb": 512, "timeout_seconds": 5, "min_instances": 0, "max_instances": 10}
    assert got["endpoint_url"] == f"{user.url}/api/v1/predict/{d['id']}"
    assert got["metrics_summary"] == {"total_predictions": 0, "avg_latency_ms": 0.0, "error_rate": 0.0}


def test_requirements_may_be_absent_or_empty(user, iris_file):
    assert user.deploy(iris_file).status == 200
    assert user.deploy(iris_file, requirements=b"").status == 200
    items = user.get("/api/v1/deployments").json()["items"]
    assert len(items) == 2 and items[0]["id"] != items[1]["id"]


@pytest.mark.parametrize("data,part", [
    (b"", "empty"), (b"hello world, this is no model", ""), (b"\x80\x04cos\nsystem\n\x8c\x02ls\x85R.", "system"),
    (b"PK\x03\x04" + b"\0" * 40, ""), (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, ""),
])
def test_refused_files_are_deployment_failed_with_a_reason(user, data, part):
    r = user.deploy(data, name="bad")
    assert r.status == 400, r
    error = r.json()["error"]
    assert error["code"] == "DEPLOYMENT_FAILED" and error["message"]
    assert part in error["message"]
    dep = error["details"]["deployment_id"]
    d = user.get(f"/api/v1/deployments/{dep}").json()
    assert d["status"] == "failed" and d["error"] == error["message"]
    assert [i["id"] for i in user.get("/api/v1/deployments?status=failed").json()["items"]] == [dep]
    assert user.predict(dep, [1, 2, 3, 4]).status == 409


def test_missing_and_wrong_form_fields(user, iris_file):
    from client import multipart
    body, kind = multipart({"name": "x"}, {})
    r = user.post("/api/v1/deploy", body, headers={"Content-Type": kind})
    assert r.status == 422 and r.json()["error"]["details"]["field"] == "model_file"
    for field, value in (("memory", "lots"), ("memory", "0"), ("timeout", "-1"), ("name", "x" * 300)):
        r = user.deploy(iris_file, **{field: value})
        assert r.status == 422 and r.json()["error"]["details"]["field"] == field, r
    r = user.post("/api/v1/deploy", {"model_file": "x"})
    assert r.status == 422
    r = user.post("/api/v1/deploy", b"--x\r\nrubbish", headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert r.status == 400


def test_same_name_makes_the_next_version(user, iris_file):
    first = user.deploy(iris_file, name="m").json()
    second = user.deploy(golden("lr_iris")[0], name="m", changes="smaller").json()
    assert second["id"] == first["id"] and second["version"] == "v2"
    assert user.predict(first["id"], [5.1, 3.5, 1.4, 0.2]).json()["model_version"] == "v2"
    bad = user.deploy(b"rubbish, no model at all", name="m", changes="broken")
    assert bad.status == 400
    assert user.predict(first["id"], [5.1, 3.5, 1.4, 0.2]).json()["model_version"] == "v2"
    versions = user.get(f"/api/v1/deployments/{first['id']}/versions").json()["versions"]
    assert [v["version"] for v in versions] == ["v3", "v2", "v1"]
    assert [v["status"] for v in versions] == ["failed", "active", "inactive"]
    assert [v["is_current"] for v in versions] == [False, True, False]
    assert [v["changes"] for v in versions] == ["broken", "smaller", ""]


def test_rollback_switches_at_once(user, iris_file):
    dep = user.deploy(iris_file, name="m").json()["id"]
    user.deploy(golden("lr_iris")[0], name="m")
    r = user.post(f"/api/v1/deployments/{dep}/rollback", {"version": "v1"})
    assert r.status == 200
    assert {k: r.json()[k] for k in ("id", "version", "previous_version")} == {
        "id": dep, "version": "v1", "previous_version": "v2"}
    assert user.predict(dep, [5.1, 3.5, 1.4, 0.2]).json()["model_version"] == "v1"
    assert user.post(f"/api/v1/deployments/{dep}/rollback", {"version": "v9"}).status == 404
    assert user.post(f"/api/v1/deployments/{dep}/rollback", {"version": "2"}).status == 422
    assert user.post(f"/api/v1/deployments/{dep}/rollback", {}).status == 422
    user.deploy(b"rubbish, no model at all", name="m")
    assert user.post(f"/api/v1/deployments/{dep}/rollback", {"version": "v3"}).status == 409


def test_list_filters_pages_and_refuses_wrong_values(user, anonymous, iris_file):
    for i in range(5):
        user.deploy(iris_file, name=f"model_{i}%")
    user.deploy(iris_file, name="other")
    page = user.get("/api/v1/deployments?limit=2&offset=1").json()
    assert page["total"] == 6 and page["limit"] == 2 and page["offset"] == 1 and len(page["items"]) == 2
    assert user.get("/api/v1/deployments?search=model_").json()["total"] == 5
    assert user.get("/api/v1/deployments?search=MODEL_3").json()["total"] == 1
    assert user.get("/api/v1/deployments?search=%25").json()["total"] == 5
    assert user.get("/api/v1/deployments?framework=sklearn&status=active").json()["total"] == 6
    assert user.get("/api/v1/deployments?framework=pytorch").json()["total"] == 0
    for query, field in (("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("offset=-1", "offset"),
                         ("status=ok", "status"), ("framework=rust", "framework")):
        r = user.get("/api/v1/deployments?" + query)
        assert r.status == 422 and r.json()["error"]["details"]["field"] == field, (query, r)
    empty = anonymous.get("/api/v1/deployments")
    assert empty.status == 200 and empty.json() == {"items": [], "total": 0, "limit": 20, "offset": 0}


def test_update_takes_effect(iris):
    user, dep = iris
    r = user.patch(f"/api/v1/deployments/{dep}", {
        "name": "new-name", "memory_mb": 2048, "timeout_seconds": 60, "min_instances": 1, "max_instances": 20})
    assert r.status == 200
    assert r.json() == {"id": dep, "name": "new-name", "status": "updating", "configuration": {
        "memory_mb": 2048, "timeout_seconds": 60, "min_instances": 1, "max_instances": 20}}
    d = wait_active(user, dep)
    assert d["name"] == "new-name" and d["configuration"]["max_instances"] == 20
    assert user.predict(dep, [5.1, 3.5, 1.4, 0.2]).status == 200


def test_update_refuses_what_is_wrong(iris, iris_file):
    user, dep = iris
    user.deploy(iris_file, name="taken")
    path = f"/api/v1/deployments/{dep}"
    for body, field in (({"memory_mb": 0}, "memory_mb"), ({"timeout_seconds": "60"}, "timeout_seconds"),
                        ({"min_instances": -1}, "min_instances"), ({"max_instances": 0}, "max_instances"),
                        ({"min_instances": 5, "max_instances": 2}, "min_instances"),
                        ({"price": 0}, "price"), ({"account_id": "x"}, "account_id")):
        r = user.patch(path, body)
        assert r.status == 422 and r.json()["error"]["details"]["field"] == field, (body, r)
    assert user.patch(path, {}).status == 422
    r = user.patch(path, {"name": "taken"})
    assert r.status == 409 and r.json()["error"]["details"]["field"] == "name"


def test_delete_hides_the_deployment(iris):
    user, dep = iris
    r = user.delete(f"/api/v1/deployments/{dep}")
    assert r.status == 200 and r.json() == {"message": "Deployment deleted successfully", "id": dep}
    assert user.get(f"/api/v1/deployments/{dep}").status == 404
    assert user.predict(dep, [5.1, 3.5, 1.4, 0.2]).status == 404
    assert user.delete(f"/api/v1/deployments/{dep}").status == 404
    assert user.get("/api/v1/deployments").json()["total"] == 0
    assert [i["id"] for i in user.get("/api/v1/deployments?status=deleted").json()["items"]] == [dep]


def test_idempotency_key_repeats_the_answer(user, iris_file):
    headers = {"Idempotency-Key": "k1"}
    a = user.deploy(iris_file, headers=headers)
    b = user.deploy(iris_file, headers=headers)
    assert a.status == b.status == 200 and a.json()["id"] == b.json()["id"]
    assert user.get("/api/v1/deployments").json()["total"] == 1
    c = user.deploy(iris_file, name="different", headers=headers)
    assert c.status == 422 and c.json()["error"]["details"]["field"] == "Idempotency-Key"


def many_trees(copies):
    """The golden LightGBM text with its trees repeated, so that the model outgrows a megabyte."""
    text = golden("lgb_diab_txt")[0].decode()
    head, rest = text.split("Tree=0", 1)
    body, tail = ("Tree=0" + rest).split("end of trees", 1)
    blocks = [b.split("\n", 1)[1] for b in body.split("Tree=")[1:]]
    trees = [f"Tree={i}\n{blocks[i % len(blocks)]}" for i in range(len(blocks) * copies)]
    head = "".join(("tree_sizes=" + " ".join(str(len(t)) for t in trees) if line.startswith("tree_sizes=") else line)
                   + "\n" for line in head.split("\n")[:-1])
    return (head + "".join(trees) + "end of trees" + tail).encode()


def test_model_over_its_memory_fails_with_the_figures(user):
    data = many_trees(400)
    r = user.deploy(data, file_name="big.txt", memory=1, name="tight")
    assert r.status == 400 and r.json()["error"]["code"] == "DEPLOYMENT_FAILED", r
    assert "MB" in r.json()["error"]["message"]
    r = user.deploy(data, file_name="big.txt", memory=64, name="roomy")
    assert r.status == 200, r
    r = user.patch(f"/api/v1/deployments/{r.json()['id']}", {"memory_mb": 1})
    assert r.status == 422 and r.json()["error"]["details"]["field"] == "memory_mb", r
