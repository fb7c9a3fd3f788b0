"""Every route of the spec against the wrong tenant, no key, a revoked key and a read-only key. The
table comes from the spec, so a new route cannot be forgotten."""
import re
from urllib.parse import urlencode

import pytest
from client import Spec, multipart

ROUTES = [(m, t, op) for _, m, _, t, op in Spec().operations]
NEED = [(m, t, op) for m, t, op in ROUTES if op.get("x-auth", "required") == "required"]
IDS = [op["name"] for _, _, op in NEED]


def body_for(op, ids):
    content = op.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        return multipart({}, {"model_file": ("m.pkl", b"x")})
    media = content.get("application/json")
    if not media:
        return None, None
    example = media.get("example") or next(iter(media["examples"].values()))["value"]
    example = {**example}
    if "deployment_id" in example:
        example["deployment_id"] = ids["deployment_id"]
    return example, None


def call(api, method, template, op, ids):
    path = re.sub(r"\{(\w+)\}", lambda m: str(ids[m.group(1)]), template)
    need = [p["name"] for p in op.get("parameters", []) if p["in"] == "query" and p.get("required")]
    if need:
        path += "?" + urlencode({name: ids[name] for name in need})
    body, kind = body_for(op, ids)
    headers = {"Content-Type": kind} if kind else {}
    if not api.token:
        headers["X-Forwarded-For"] = "203.0.113.9"  # not the keyless owner: it came through a proxy
    return api.request(method, path, body, headers=headers)


def code(r):
    """The error's code in the families that have one, else what its status says."""
    body = r.json()
    if isinstance(body["error"], dict) and "param" in body["error"]:
        return {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND"}.get(r.status)
    if isinstance(body["error"], dict):
        words = {"AUTHENTICATION_REQUIRED": "UNAUTHORIZED", "INSUFFICIENT_PERMISSIONS": "FORBIDDEN",
                 "RESOURCE_NOT_FOUND": "NOT_FOUND"}
        return words.get(body["error"]["code"], body["error"]["code"])
    return body.get("code", {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND"}.get(r.status))


@pytest.fixture(scope="module")
def tenant(server, spec, iris_file):
    """Objects of one account, and callers that must not reach them."""
    import uuid

    from client import Api
    anonymous = Api(server.host, server.port, None, spec)

    def make():
        name = "t" + uuid.uuid4().hex[:10]
        r = anonymous.post("/api/v1/auth/register", {"email": f"{name}@example.com", "username": name,
                                                     "password": "secure-password"})
        api = anonymous.as_(r.json()["access_token"])
        api.user_id = r.json()["user"]["id"]
        return api
    mine, other = make(), make()
    dep = mine.deploy(iris_file, name="mine").json()["id"]
    hook = mine.post("/api/v1/webhooks", {"url": "http://127.0.0.1:9/x", "events": ["deployment.ready"]}).json()["id"]
    delivery = mine.post(f"/api/v1/webhooks/{hook}/test").json()["delivery_id"]
    key = mine.post("/api/v1/auth/api-keys", {"name": "target"}).json()["id"]
    revoked = mine.post("/api/v1/auth/api-keys", {"name": "revoked"}).json()
    mine.delete(f"/api/v1/auth/api-keys/{revoked['id']}")
    read_only = mine.post("/api/v1/auth/api-keys", {"name": "ro", "scopes": ["read"]}).json()
    task = mine.post("/api/task", {"prompt": "mine"}).json()["task_id"]
    charge = mine.get(f"/api/task/{task}").json()["charge_id"]
    job = mine.post("/api/v2/jobs", {"type": "batch_processing", "service": "predictions", "parameters": {
        "deployment_id": dep, "inputs": [[5.1, 3.5, 1.4, 0.2]]}}).json()["job_id"]
    body, kind = multipart({}, {"file": ("items.jsonl", b'"one"\n')})
    file = mine.post("/api/v2/jobs/inputs", body, headers={"Content-Type": kind}).json()["input_file"]
    batch = mine.post("/v1/batches", {"input_file_id": file, "endpoint": "/v1/embeddings",
                                      "completion_window": "24h"}).json()["id"]
    ids = {"task_id": task, "charge_id": charge, "report_type": "daily", "userId": mine.user_id,
           "deployment_id": dep, "webhook_id": hook, "delivery_id": delivery, "key_id": key,
           "user_id": mine.user_id, "asset": "docs.js", "job_id": job, "file_id": file,
           "service_name": "nlp", "model_id": "all-minilm-l6-v2", "model_name": dep, "model_version": "1",
           "owner": "openai", "model": "gpt-4o-mini", "batch_id": batch}
    return {"ids": ids, "mine": mine, "other": other, "anonymous": anonymous,
            "revoked": anonymous.as_(revoked["key"]), "read_only": anonymous.as_(read_only["key"])}


@pytest.mark.parametrize("method,template,op", NEED, ids=IDS)
def test_no_key_is_401(tenant, method, template, op):
    assert call(tenant["anonymous"], method, template, op, tenant["ids"]).status == 401


@pytest.mark.parametrize("method,template,op", NEED, ids=IDS)
def test_revoked_key_is_401(tenant, method, template, op):
    assert call(tenant["revoked"], method, template, op, tenant["ids"]).status == 401


@pytest.mark.parametrize("method,template,op", NEED, ids=IDS)
def test_read_only_key_may_only_read(tenant, method, template, op):
    r = call(tenant["read_only"], method, template, op, tenant["ids"])
    if op.get("x-scope") == "read":
        assert r.status < 400, r
    else:
        assert r.status == 403 and code(r) == "FORBIDDEN", r


# Words of a path that name no object of an account.
NO_OBJECT = {"/api/report/{report_type}", "/api/v2/ops/services/{service_name}",
             "/api/v2/ops/services/{service_name}/start", "/api/v2/ops/services/{service_name}/stop",
             "/api/v2/models/{model_id}/load", "/api/v2/models/{model_id}/unload",
             "/api/v2/models/{model_id}/performance", "/v1/models/{model}", "/v1/models/{owner}/{model}"}
OBJECTS = [x for x in NEED if "{" in x[1] and x[1] not in NO_OBJECT]


@pytest.mark.parametrize("method,template,op", OBJECTS, ids=[op["name"] for _, _, op in OBJECTS])
def test_wrong_tenant_is_404(tenant, method, template, op):
    r = call(tenant["other"], method, template, op, tenant["ids"])
    assert r.status == 404 and code(r) == "NOT_FOUND", r


def test_wrong_tenant_in_a_body_is_404(tenant):
    r = tenant["other"].post("/api/v1/test-model", {"deployment_id": tenant["ids"]["deployment_id"], "data": [1]})
    assert r.status == 404


def test_lists_show_only_ones_own(tenant):
    for path in ("/api/v1/deployments", "/api/v1/webhooks", "/api/v1/auth/api-keys"):
        assert tenant["other"].get(path).json()["items"] == []
