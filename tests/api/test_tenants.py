"""Every route of the spec against the wrong tenant, no key, a revoked key and a read-only key. The
table comes from the spec, so a new route cannot be forgotten."""
import re

import pytest
from client import Spec, multipart

ROUTES = [(m, t, op) for _, m, _, t, op in Spec().operations]
NEED = [(m, t, op) for m, t, op in ROUTES if op.get("x-auth", "required") == "required"]
IDS = [op["operationId"] for _, _, op in NEED]


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
    path = re.sub(r"\{(\w+)\}", lambda m: ids[m.group(1)], template)
    body, kind = body_for(op, ids)
    return api.request(method, path, body, headers={"Content-Type": kind} if kind else None)


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
    ids = {"deployment_id": dep, "webhook_id": hook, "delivery_id": delivery, "key_id": key,
           "user_id": mine.user_id, "asset": "docs.js"}
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
        assert r.status == 403 and r.json()["error"]["code"] == "FORBIDDEN", r


@pytest.mark.parametrize("method,template,op", [x for x in NEED if "{" in x[1]], ids=[
    op["operationId"] for _, t, op in NEED if "{" in t])
def test_wrong_tenant_is_404(tenant, method, template, op):
    r = call(tenant["other"], method, template, op, tenant["ids"])
    assert r.status == 404 and r.json()["error"]["code"] == "NOT_FOUND", r


def test_wrong_tenant_in_a_body_is_404(tenant):
    r = tenant["other"].post("/api/v1/test-model", {"deployment_id": tenant["ids"]["deployment_id"], "data": [1]})
    assert r.status == 404


def test_lists_show_only_ones_own(tenant):
    for path in ("/api/v1/deployments", "/api/v1/webhooks", "/api/v1/auth/api-keys"):
        assert tenant["other"].get(path).json()["items"] == []
