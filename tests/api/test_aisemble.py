"""Seed 002: login, tokens, errors, limits; what needs no model."""
import base64
import json
import time
import uuid

import pytest
from client import Api, multipart
from server import Server

V2 = "/api/v2"


def error(r, status, code):
    assert r.status == status, r
    body = r.json()["error"]
    assert body["code"] == code, r
    return body


# --- login ---------------------------------------------------------------------------------------

def test_login_by_user_name_and_by_email(user, anonymous):
    for name in (user.username, user.email, user.email.upper()):
        r = anonymous.post(V2 + "/auth/login", {"username": name, "password": "secure-password"})
        assert r.status == 200, r
        body = r.json()
        assert body["token_type"] == "bearer" and body["expires_in"] == 86400
        assert anonymous.as_(body["access_token"]).get(V2 + "/jobs").status == 200
    for name, password in ((user.username, "wrong"), ("nobody-" + user.username, "secure-password")):
        r = anonymous.post(V2 + "/auth/login", {"username": name, "password": password})
        assert error(r, 401, "AUTHENTICATION_REQUIRED")["message"] == "user name or password is wrong"


def test_an_address_as_user_name_does_not_get_in_its_owners_way(user, anonymous):
    mail = user.email
    r = anonymous.post("/api/v1/auth/register", {"email": f"x{uuid.uuid4().hex}@example.com",
                                                 "username": mail, "password": "other-password"})
    assert r.status == 200, r
    r = anonymous.post(V2 + "/auth/login", {"username": mail, "password": "secure-password"})
    assert r.status == 200, r
    me = anonymous.as_(r.json()["access_token"]).get("/api/v1/auth/me").json()
    assert me["email"] == mail


def test_the_owner_logs_in_with_the_owner_key(server, anonymous):
    r = anonymous.post(V2 + "/auth/login", {"username": "owner", "password": server.key})
    assert r.status == 200, r
    owner = anonymous.as_(r.json()["access_token"])
    assert owner.get(V2 + "/ops/logs").status == 200
    r = anonymous.post(V2 + "/auth/refresh", {"refresh_token": r.json()["refresh_token"]})
    assert anonymous.as_(r.json()["access_token"]).get(V2 + "/ops/logs").status == 200
    error(anonymous.post(V2 + "/auth/login", {"username": "owner", "password": server.key + "x"}), 401,
          "AUTHENTICATION_REQUIRED")


def test_refresh_tokens_rotate_and_a_second_use_ends_the_login(user, anonymous):
    login = lambda: anonymous.post(V2 + "/auth/login",  # noqa: E731
                                   {"username": user.username, "password": "secure-password"}).json()
    refresh = lambda t: anonymous.post(V2 + "/auth/refresh", {"refresh_token": t})  # noqa: E731
    first, other = login(), login()
    second = refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    api = anonymous.as_(second["access_token"])
    assert api.get(V2 + "/jobs").status == 200
    r = refresh(first["refresh_token"])
    assert "used before" in error(r, 401, "AUTHENTICATION_REQUIRED")["message"]
    error(refresh(second["refresh_token"]), 401, "AUTHENTICATION_REQUIRED")
    error(api.get(V2 + "/jobs"), 401, "AUTHENTICATION_REQUIRED")
    assert anonymous.as_(other["access_token"]).get(V2 + "/jobs").status == 200, "another login goes on"
    assert refresh(other["refresh_token"]).status == 200
    error(refresh("mrr_" + "A" * 43), 401, "AUTHENTICATION_REQUIRED")


def test_refresh_tokens_are_not_in_the_database(user, anonymous, server):
    import glob
    token = anonymous.post(V2 + "/auth/login", {"username": user.username,
                                                "password": "secure-password"}).json()["refresh_token"]
    for path in glob.glob(server.data_dir + "/millrace.db*"):
        with open(path, "rb") as f:
            assert token.encode() not in f.read(), path


# --- errors --------------------------------------------------------------------------------------

def test_errors_have_the_seeds_shape(user, anonymous):
    e = error(anonymous.get(V2 + "/jobs"), 401, "AUTHENTICATION_REQUIRED")
    assert e["request_id"].startswith("req_") and e["details"] == {}
    r = user.post(V2 + "/ai/llm/generate", {"prompt": "x", "temperature": 9})
    assert error(r, 400, "INVALID_REQUEST")["details"]["field"] == "temperature"
    assert r.headers["x-request-id"] == r.json()["error"]["request_id"]
    r = user.post(V2 + "/ai/llm/generate", b"{", headers={"Content-Type": "application/json"})
    error(r, 400, "INVALID_REQUEST")
    error(user.get(V2 + "/nothing"), 404, "RESOURCE_NOT_FOUND")
    error(user.request("PUT", V2 + "/jobs", {}), 405, "INVALID_REQUEST")
    error(user.get(V2 + "/jobs/job_00"), 404, "RESOURCE_NOT_FOUND")
    error(user.get(V2 + "/ops/logs"), 403, "INSUFFICIENT_PERMISSIONS")
    r = user.get(V2 + "/jobs", headers={"X-Request-Id": "mine-1"})
    assert r.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("parameters,field", [
    ({"top_p": 2}, "parameters.top_p"), ({"top_p": "x"}, "parameters.top_p"), ({"topp": 1}, "parameters.topp"),
    ({"stop": [1]}, "parameters.stop"), ({"stop": ["a"] * 17}, "parameters.stop"), ({"seed": 1.5}, "parameters.seed"),
    ({"top_k": -1}, "parameters.top_k"), ({"json_schema": 1}, "parameters.json_schema")])
def test_a_wrong_parameter_is_named(user, parameters, field):
    r = user.post(V2 + "/ai/llm/generate", {"prompt": "x", "parameters": parameters})
    assert error(r, 400, "INVALID_REQUEST")["details"]["field"] == field


@pytest.mark.parametrize("messages,field", [
    ([], "messages"), ([{"role": "king", "content": "x"}], "messages[0].role"), ([{"role": "user"}], "messages[0].content")])
def test_a_wrong_message_is_named(user, messages, field):
    r = user.post(V2 + "/ai/llm/chat", {"messages": messages})
    assert error(r, 400, "INVALID_REQUEST")["details"]["field"] == field


# --- limits --------------------------------------------------------------------------------------

def tier(server, account_email, name):
    import sqlite3
    db = sqlite3.connect(server.data_dir + "/millrace.db", timeout=10)
    with db:
        db.execute("UPDATE accounts SET tier = ? WHERE id = (SELECT home_account FROM users WHERE email = ?)",
                   (name, account_email))
    db.close()


def register(api, name):
    r = api.post("/api/v1/auth/register", {"email": f"{name}@example.com", "username": name,
                                           "password": "secure-password"})
    return api.as_(r.json()["access_token"])


def test_requests_an_hour_by_tier(spec):
    with Server() as s:
        api = Api(s.host, s.port, None, spec)
        free = register(api, "free")
        r = free.get(V2 + "/jobs")
        assert r.headers["x-ratelimit-limit"] == "100" and r.headers["x-ratelimit-remaining"] == "99"
        assert 3500 < int(r.headers["x-ratelimit-reset"]) - time.time() <= 3601
        # every route of the family counts together; a refused one says when to come again
        replies = [free.get(V2 + path) for path in ("/jobs", "/models") for _ in range(50)]
        assert [r.status for r in replies] == [200] * 99 + [429], [r.status for r in replies]
        error(replies[-1], 429, "RATE_LIMIT_EXCEEDED")
        assert int(replies[-1].headers["retry-after"]) >= 1
        assert free.get("/api/v1/deployments").status == 200, "another family is not used up"
        for name, limit in (("pro", "1000"), ("enterprise", "10000")):
            user = register(api, name)
            tier(s, f"{name}@example.com", name)
            assert user.get(V2 + "/jobs").headers["x-ratelimit-limit"] == limit
        owner = api.as_(s.key)
        assert all(owner.get(V2 + "/jobs").status == 200 for _ in range(120)), "the owner is exempt"


def test_a_pinned_listener_speaks_this_family(spec):
    with Server(flags=["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0=aisemble"]) as s:
        pinned = Api(s.host, s.more_ports[0], None, spec, family="aisemble")
        r = pinned.get("/")
        assert r.status == 200 and r.json()["version"] == "2.0.0", r
        error(pinned.get("/nothing"), 404, "RESOURCE_NOT_FOUND")
        assert pinned.get(V2 + "/health").status == 200
        main = Api(s.host, s.port, None, spec, family="serveml")
        assert main.get("/").json()["message"] == "Welcome to ServeML API"
