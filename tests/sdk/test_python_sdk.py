"""The Python SDK against the real server: every call of the API."""
import http.server
import json
import threading
import uuid

import pytest
from sdkenv import client, golden_values, iris_path, model_path, requirements, server  # noqa: F401

import serveml

ROW = [5.1, 3.5, 1.4, 0.2]
BATCH = [[5.1, 3.5, 1.4, 0.2], [6.2, 3.4, 5.4, 2.3], [4.9, 3.0, 1.4, 0.2]]


@pytest.fixture
def user(server):
    """A fresh user with an account of its own."""
    name = "u" + uuid.uuid4().hex[:12]
    with serveml.Client(base_url=server.url) as c:
        token = c.register(f"{name}@example.com", name, "secure-password", full_name="A User")
        assert token.user.username == name and token.token_type == "bearer"
        c.email = f"{name}@example.com"
        yield c


@pytest.fixture
def iris(user, iris_path, requirements):
    return user.deploy(model_path=iris_path, requirements_path=requirements, name="iris")


def test_deploy_and_predict(iris):
    assert iris.status == "active" and iris.version == "v1" and iris.id.startswith("dep-")
    assert iris.model_metadata.framework == "sklearn"
    assert iris.model_metadata.model_type == "RandomForestClassifier"
    assert iris.model_metadata.input_shape == [4]
    assert iris.configuration.memory_mb == 1024 and iris.configuration.timeout_seconds == 30
    assert iris.endpoint_url.endswith("/api/v1/predict/" + iris.id)
    assert iris.created_at.tzinfo is not None and iris.updated_at >= iris.created_at
    one = iris.predict(ROW)
    assert one.prediction == 0 and len(one.probabilities) == 3 and not one.is_batch
    assert abs(sum(one.probabilities) - 1) < 1e-9
    assert one.predictions == [0] and one.model_version == "v1" and one.response_time_ms > 0
    many = iris.predict(BATCH)
    assert many.predictions == [0, 2, 0] and many.batch_size == 3 and many.is_batch
    assert many.probabilities[0] == one.probabilities
    with pytest.raises(AttributeError, match="predictions"):
        many.prediction


def test_predictions_are_the_librarys(iris):
    values = golden_values("rf100_iris")
    answer = iris.predict(values["inputs"])
    assert answer.predictions == values["predict"]
    for got, want in zip(answer.probabilities, values["predict_proba"]):
        assert max(abs(g - w) for g, w in zip(got, want)) < 1e-12


def test_metrics(iris):
    for _ in range(5):
        iris.predict(ROW, user_id="someone")
    metrics = iris.get_metrics(hours=24)
    assert metrics.request_count == 5 and metrics.error_count == 0
    assert metrics.unique_users == 1 and metrics.avg_latency_ms > 0
    assert metrics.p99_latency_ms >= metrics.p95_latency_ms > 0
    assert sum(metrics.time_series.request_counts) == 5
    assert len(metrics.time_series.timestamps) == len(metrics.time_series.avg_latencies)
    assert metrics.period_end > metrics.period_start
    assert set(metrics.cost_estimate.breakdown) == {"compute", "storage", "network"}
    assert iris.id in metrics.dashboard_url
    assert len(iris.get_metrics(hours=2, resolution="1m").time_series.timestamps) > 100
    assert iris.refresh().metrics_summary.total_predictions == 5


def test_versions_and_rollback(user, iris, iris_path):
    next_one = user.deploy(iris_path, name="iris", changes="more data")
    assert next_one.id == iris.id and next_one.version == "v2"
    versions = iris.versions()
    assert [(v.version, v.is_current) for v in versions] == [("v2", True), ("v1", False)]
    assert versions[0].changes == "more data"
    assert iris.predict(ROW).model_version == "v2"
    answer = iris.rollback("v1")
    assert (answer.version, answer.previous_version) == ("v1", "v2")
    assert iris.version == "v1" and iris.predict(ROW).model_version == "v1"
    with pytest.raises(serveml.APIError):
        iris.rollback("v9")


def test_update_and_delete(user, iris):
    iris.update(name="renamed", memory_mb=2048, timeout_seconds=60, min_instances=1,
                max_instances=20)
    assert iris.name == "renamed" and iris.status == "updating"
    iris.refresh()
    assert iris.configuration == serveml.Configuration(2048, 60, 1, 20)
    assert user.find_deployment("renamed").id == iris.id
    iris.delete()
    with pytest.raises(serveml.NotFoundError):
        iris.predict(ROW)
    assert [d.id for d in user.list_deployments(status="deleted")] == [iris.id]
    with pytest.raises(serveml.NotFoundError):
        user.find_deployment("renamed")


def test_test_model(iris):
    result = iris.test(ROW)
    assert result.prediction == 0 and result.deployment_id == iris.id
    assert result.input_schema and len(result.features_read) == 4
    assert iris.get_metrics().request_count == 0


def test_list_pages(user, iris_path):
    made = {user.deploy(iris_path, name=f"m{i}").id for i in range(5)}
    page = user.list_deployments(limit=2, offset=1)
    assert (len(page), page.total, page.limit, page.offset) == (2, 5, 2, 1)
    assert {d.id for d in user.iter_deployments(page_size=2)} == made
    assert len(list(user.iter_deployments(page_size=2))) == 5
    assert [d.name for d in user.list_deployments(search="m3")] == ["m3"]
    assert len(user.list_deployments(framework="onnx")) == 0
    assert len(user.list_deployments(status="active", framework="sklearn")) == 5


def test_failures_carry_code_reason_and_request_id(user, iris):
    with pytest.raises(serveml.DeploymentFailed) as e:
        user.deploy(b"this is no model", name="junk")
    assert e.value.code == "DEPLOYMENT_FAILED" and e.value.status == 400 and e.value.message
    assert user.get_deployment(e.value.deployment_id).status == "failed"
    assert user.get_deployment(e.value.deployment_id).error == e.value.message
    with pytest.raises(serveml.DeploymentFailed):
        user.deploy(b"this is no model either", name="iris")
    assert iris.refresh().status == "active" and iris.version == "v1"
    with pytest.raises(serveml.NotFoundError) as e:
        user.get_deployment("dep-abc123")
    assert e.value.request_id and e.value.code == "NOT_FOUND" and "NOT_FOUND" in str(e.value)
    with pytest.raises(serveml.ValidationError) as e:
        user.list_deployments(limit=1000)
    assert e.value.details["field"] == "limit"
    with pytest.raises(serveml.APIError) as e:
        iris.predict([1, 2])
    assert e.value.status in (400, 422)
    with pytest.raises(serveml.AuthenticationError):
        serveml.Client(api_key="mrk_wrong", base_url=user.base_url).me()
    with pytest.raises(FileNotFoundError):
        user.deploy("no such file")


def test_idempotency(user, iris_path):
    first = user.deploy(iris_path, idempotency_key="same")
    again = user.deploy(iris_path, idempotency_key="same")
    assert first.id == again.id and len(user.list_deployments()) == 1
    assert user.deploy(iris_path).id != first.id


def test_no_wait_progress_and_settings(user, iris_path):
    seen = []
    d = user.deploy(iris_path, memory=512, timeout=5, wait=False,
                    progress=lambda sent, total: seen.append((sent, total)))
    d.wait_until_active(30)
    assert d.configuration.memory_mb == 512 and d.configuration.timeout_seconds == 5
    assert seen[-1][0] == seen[-1][1] > 0 and [s for s, _ in seen] == sorted(s for s, _ in seen)


def test_account(user, client):
    me = user.me()
    assert me.email == user.email and me.full_name == "A User" and me.deployment_count == 0
    token = user.login(user.email, "secure-password")
    assert token.access_token == user.api_key and token.user is None
    assert "access_token" not in repr(token)
    with pytest.raises(serveml.AuthenticationError):
        user.login(user.email, "wrong-password")
    key = user.create_api_key("ci", ["read"], rate_limit_per_minute=100, monthly_budget_usd=1.5,
                              expires_in_days=7)
    assert key.key.startswith("mrk_") and key.key not in repr(key) and key.scopes == ["read"]
    assert key.rate_limit_per_minute == 100 and key.monthly_budget_usd == 1.5
    assert key.expires_at > key.created_at
    reader = serveml.Client(api_key=key.key, base_url=user.base_url)
    assert reader.list_deployments().total == 0
    with pytest.raises(serveml.PermissionDeniedError):
        reader.deploy(b"x")
    assert [k.id for k in user.list_api_keys()] == [key.id]
    assert user.list_api_keys()[0].key is None
    user.revoke_api_key(key.id)
    with pytest.raises(serveml.AuthenticationError):
        reader.me()


def test_members(user, server):
    name = "m" + uuid.uuid4().hex[:12]
    invitation = user.invite_member(f"{name}@example.com", "viewer")
    assert invitation.role == "viewer" and invitation.expires_at
    with serveml.Client(base_url=server.url) as other:
        other.register(f"{name}@example.com", name, "secure-password",
                       invitation=invitation.invitation)
        member = [m for m in user.list_members() if m.username == name][0]
        assert member.role == "viewer" and member.email == f"{name}@example.com"
        user.remove_member(member.user_id)
        assert name not in [m.username for m in user.list_members()]


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.event.release()

    def log_message(self, *a):
        pass


@pytest.fixture
def receiver():
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    s.calls, s.event = [], threading.Semaphore(0)
    s.url = f"http://127.0.0.1:{s.server_address[1]}/hook"
    threading.Thread(target=s.serve_forever, args=(0.05,), daemon=True).start()
    yield s
    s.shutdown()
    s.server_close()


@pytest.mark.parametrize("secret", ["webhook-secret", None])
def test_webhooks(user, receiver, iris_path, secret):
    hook = user.create_webhook(receiver.url, ["deployment.ready"], secret)
    assert hook.events == ["deployment.ready"] and hook.status == "active"
    assert (hook.secret is None) == (secret is not None)
    secret = secret or hook.secret
    d = user.deploy(iris_path, name="hooked")
    assert receiver.event.acquire(timeout=20)
    headers, body = receiver.calls[0]
    event = serveml.verify_signature(body, headers, secret)
    assert event["event"] == "deployment.ready" and event["data"]["deployment_id"] == d.id
    with pytest.raises(serveml.SignatureError):
        serveml.verify_signature(body, headers, "another-secret")
    assert user.test_webhook(hook.id).startswith("dlv-")
    assert receiver.event.acquire(timeout=20)
    assert json.loads(receiver.calls[1][1])["event"] == "webhook.test"
    deliveries = user.list_deliveries(hook.id)
    assert deliveries.total == 2 and deliveries.items[1].event == "deployment.ready"
    user.replay_delivery(hook.id, deliveries.items[1].id)
    assert receiver.event.acquire(timeout=20)
    serveml.verify_signature(receiver.calls[2][1], receiver.calls[2][0], secret)
    assert [w.id for w in user.list_webhooks()] == [hook.id]
    assert user.get_webhook(hook.id).url == receiver.url
    user.delete_webhook(hook.id)
    assert user.list_webhooks() == []


def test_status_and_health(client):
    status = client.status()
    assert {status.api, status.deployments, status.predictions, status.database,
            status.storage} == {"operational"} and status.issues == []
    health = client.health()
    assert health.status == "healthy" and health.version and health.timestamp.year >= 2024


def test_one_client_in_many_threads(iris):
    answers, threads = [], []

    def work():
        for _ in range(25):
            answers.append(iris.predict(ROW).prediction)

    for _ in range(8):
        threads.append(threading.Thread(target=work))
        threads[-1].start()
    for t in threads:
        t.join()
    assert answers == [0] * 200


def test_regression_has_no_probabilities(user):
    values = golden_values("ada_diab_linear")
    d = user.deploy(model_path("ada_diab_linear"))
    answer = d.predict(values["inputs"][0])
    assert answer.probabilities is None
    assert answer.prediction == pytest.approx(values["predict"][0], rel=1e-9)
