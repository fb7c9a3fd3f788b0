"""Seed 001, Authentication: register, login, me; API keys and members."""
import base64
import json
import time
import uuid


def test_register_answers_token_and_user(anonymous):
    name = "u" + uuid.uuid4().hex[:10]
    r = anonymous.post("/api/v1/auth/register", {
        "email": f"{name}@Example.com", "username": name, "password": "secure-password",
        "full_name": "Jane Doe"})
    assert r.status == 200
    body = r.json()
    assert body["token_type"] == "bearer" and body["access_token"].startswith("ey")
    assert body["user"]["email"] == f"{name}@example.com"
    assert body["user"]["username"] == name
    assert body["user"]["id"].startswith("user-")


def test_register_refuses_duplicates_and_bad_fields(anonymous, user):
    dup = {"email": user.email, "username": "x" + uuid.uuid4().hex[:8], "password": "secure-password"}
    r = anonymous.post("/api/v1/auth/register", dup)
    assert r.status == 409 and r.json()["error"]["details"]["field"] == "email"
    r = anonymous.post("/api/v1/auth/register", {**dup, "email": "new@example.com", "username": user.username})
    assert r.status == 409 and r.json()["error"]["details"]["field"] == "username"
    for field, value in (("email", "no-at-sign"), ("email", 7), ("password", "short"), ("username", ""),
                         ("full_name", 3)):
        body = {"email": "a@example.com", "username": "abc", "password": "secure-password", field: value}
        r = anonymous.post("/api/v1/auth/register", body)
        assert r.status == 422, (field, r)
        assert r.json()["error"]["code"] == "VALIDATION_ERROR"
        assert r.json()["error"]["details"]["field"] == field
    r = anonymous.post("/api/v1/auth/register", {"email": "a@example.com"})
    assert r.status == 422 and r.json()["error"]["details"]["field"] in ("username", "password")


def test_login_and_me(anonymous, user):
    r = anonymous.post("/api/v1/auth/login", {"email": user.email.upper(), "password": "secure-password"})
    assert r.status == 200 and r.json()["token_type"] == "bearer"
    me = anonymous.as_(r.json()["access_token"]).get("/api/v1/auth/me").json()
    assert me["email"] == user.email and me["username"] == user.username
    assert me["deployment_count"] == 0 and me["total_predictions"] == 0
    for email, password in ((user.email, "wrong-password"), ("nobody@example.com", "secure-password")):
        r = anonymous.post("/api/v1/auth/login", {"email": email, "password": password})
        assert r.status == 401 and r.json()["error"]["code"] == "UNAUTHORIZED"


def b64(data):
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def test_forged_tokens_are_refused(anonymous, user):
    head, payload, sig = user.token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = [
        f"{b64({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        f"{b64({'alg': 'none', 'typ': 'JWT'})}.{payload}.{sig}",
        f"{b64({'alg': 'RS256', 'typ': 'JWT'})}.{payload}.{sig}",
        f"{head}.{b64({**claims, 'exp': int(time.time()) + 10 ** 7})}.{sig}",
        f"{head}.{payload}.{sig[:-2]}AA", f"{head}.{payload}", "ey", "e" * 5000, "mrk_" + "A" * 43,
    ]
    for token in forged:
        r = anonymous.as_(token).get("/api/v1/auth/me")
        assert r.status == 401, token
        assert r.json()["error"]["code"] == "UNAUTHORIZED"
    assert anonymous.get("/api/v1/auth/me").status == 401
    r = anonymous.get("/api/v1/auth/me", headers={"Authorization": "Basic dTpw"})
    assert r.status == 401


def test_api_keys_live_and_die(user, anonymous):
    r = user.post("/api/v1/auth/api-keys", {"name": "ci", "scopes": ["read", "predict"],
                                            "rate_limit_per_minute": 100, "monthly_budget_usd": 12.5,
                                            "expires_in_days": 30})
    assert r.status == 201
    key = r.json()
    assert key["key"].startswith("mrk_") and key["key"].startswith(key["prefix"])
    assert key["scopes"] == ["read", "predict"] and key["monthly_budget_usd"] == 12.5
    listed = user.get("/api/v1/auth/api-keys").json()
    assert [k["id"] for k in listed["items"]] == [key["id"]]
    assert "key" not in listed["items"][0]
    by_key = anonymous.as_(key["key"])
    assert by_key.get("/api/v1/deployments").status == 200
    r = by_key.post("/api/v1/auth/api-keys", {"name": "more"})
    assert r.status == 403 and r.json()["error"]["code"] == "FORBIDDEN"
    assert user.delete(f"/api/v1/auth/api-keys/{key['id']}").status == 200
    assert by_key.get("/api/v1/deployments").status == 401
    assert user.delete(f"/api/v1/auth/api-keys/{key['id']}").status == 404
    assert user.get("/api/v1/auth/api-keys").json()["total"] == 0


def test_api_key_fields_are_checked(user):
    for field, value in (("name", ""), ("scopes", ["root"]), ("scopes", "read"), ("scopes", []),
                         ("rate_limit_per_minute", 0), ("monthly_budget_usd", -1), ("expires_in_days", 1.5)):
        r = user.post("/api/v1/auth/api-keys", {"name": "x", field: value})
        assert r.status == 422 and r.json()["error"]["details"]["field"] == field, (field, value, r)


def test_x_api_key_header_works_too(anonymous, server):
    r = anonymous.get("/api/v1/auth/me", headers={"X-API-Key": server.key})
    assert r.status == 200


def test_members_are_invited_and_removed(user, anonymous):
    email = f"c{uuid.uuid4().hex[:8]}@example.com"
    r = user.post("/api/v1/account/members", {"email": email, "role": "viewer"})
    assert r.status == 201
    token = r.json()["invitation"]
    reg = {"email": email, "username": "v" + uuid.uuid4().hex[:8], "password": "secure-password"}
    r = anonymous.post("/api/v1/auth/register", {**reg, "invitation": "inv_wrong"})
    assert r.status == 422 and r.json()["error"]["details"]["field"] == "invitation"
    r = anonymous.post("/api/v1/auth/register", {**reg, "invitation": token})
    assert r.status == 200
    viewer = anonymous.as_(r.json()["access_token"])
    members = user.get("/api/v1/account/members").json()["items"]
    assert {m["role"] for m in members} == {"owner", "viewer"}
    assert viewer.get("/api/v1/deployments").status == 200
    assert viewer.post("/api/v1/auth/api-keys", {"name": "x"}).status == 403
    assert viewer.delete("/api/v1/deployments/dep-" + "0" * 32).status == 403
    second = {**reg, "email": "other@example.com", "username": "w" + uuid.uuid4().hex[:8]}
    assert anonymous.post("/api/v1/auth/register", {**second, "invitation": token}).status == 422
    member = next(m for m in members if m["role"] == "viewer")
    assert user.delete(f"/api/v1/account/members/{member['user_id']}").status == 200
    assert viewer.get("/api/v1/deployments").status == 401
    owner_id = next(m for m in members if m["role"] == "owner")["user_id"]
    assert user.delete(f"/api/v1/account/members/{owner_id}").status == 409
    assert user.delete("/api/v1/account/members/user-" + "0" * 32).status == 404
