"""Seed 001, Rate Limits: the table, the headers, the exemptions."""
import pytest
from client import Api
from server import Server


@pytest.fixture(scope="module")
def limited(spec):
    with Server() as s:
        yield Api(s.host, s.port, None, spec), s


def register(api, name):
    r = api.post("/api/v1/auth/register", {"email": f"{name}@example.com", "username": name,
                                           "password": "secure-password"})
    return r


def test_the_table(limited, iris_file):
    api, server = limited
    r = register(api, "first")
    assert r.status == 200 and r.headers["x-ratelimit-limit"] == "10" and r.headers["x-ratelimit-remaining"] == "9"
    user = api.as_(r.json()["access_token"])
    statuses = [api.post("/api/v1/auth/login", {"email": "a@b.c", "password": "x"}).status for _ in range(11)]
    assert 429 in statuses and statuses[0] == 401
    r = api.post("/api/v1/auth/login", {"email": "a@b.c", "password": "x"})
    assert r.json()["error"]["code"] == "RATE_LIMITED" and int(r.headers["retry-after"]) >= 1
    assert r.headers["x-ratelimit-remaining"] == "0"
    r = user.deploy(iris_file, name="m")
    assert r.headers["x-ratelimit-limit"] == "100"
    dep = r.json()["id"]
    r = user.predict(dep, [5.1, 3.5, 1.4, 0.2])
    assert r.headers["x-ratelimit-limit"] == "1000" and r.headers["x-ratelimit-remaining"] == "999"
    r = user.get(f"/api/v1/metrics/{dep}")
    assert r.headers["x-ratelimit-limit"] == "100"
    assert int(user.get(f"/api/v1/deployments/{dep}").headers["x-ratelimit-limit"]) > 100, "reads are not writes"
    last = [user.predict(dep, [5.1, 3.5, 1.4, 0.2]).status for _ in range(1001)]
    assert last.count(429) >= 1 and last.count(200) >= 900
    owner = api.as_(server.key)
    dep = owner.deploy(iris_file).json()["id"]
    assert all(owner.predict(dep, [5.1, 3.5, 1.4, 0.2]).status == 200 for _ in range(1050))


def test_a_keys_own_rate(spec):
    with Server() as s:
        api = Api(s.host, s.port, None, spec)
        user = api.as_(register(api, "slow").json()["access_token"])
        made = user.post("/api/v1/auth/api-keys", {"name": "slow", "rate_limit_per_minute": 3}).json()
        assert made["rate_limit_per_minute"] == 3
        by_key = api.as_(made["key"])
        replies = [by_key.get("/api/v1/deployments") for _ in range(5)]
        assert [r.status for r in replies] == [200, 200, 200, 429, 429]
        assert replies[0].headers["x-ratelimit-limit"] == "3" and int(replies[3].headers["retry-after"]) >= 1
        assert user.get("/api/v1/deployments").status == 200, "the account itself is not used up"
