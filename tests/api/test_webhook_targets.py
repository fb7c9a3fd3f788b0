"""The setting webhook_allow_targets: private targets that the operator lets pass."""
import subprocess

import pytest

from client import Api
from server import Server
from test_webhooks import Receiver


@pytest.mark.parametrize("form", ["127.0.0.1:{port}", "127.0.0.0/8"])
def test_a_listed_target_is_called(iris_file, form, tmp_path):
    receiver = Receiver()
    port = receiver.httpd.server_address[1]
    # Beyond loopback nothing on this machine may be called, unless it is listed.
    with Server(flags=["--listen", "0.0.0.0:0"]) as server:
        api = Api("127.0.0.1", server.port, server.key)
        r = api.post("/api/v1/webhooks", {"url": receiver.url, "events": ["deployment.ready"]})
        assert r.status == 422 and "127.0.0.1" in r.text, r
    with Server(flags=["--listen", "0.0.0.0:0", "--webhook-allow-targets", "hooks.lan",
                       "--webhook-allow-targets", form.format(port=port)]) as server:
        api = Api("127.0.0.1", server.port, server.key)
        r = api.post("/api/v1/webhooks", {"url": receiver.url, "events": ["deployment.ready"]})
        assert r.status == 200, r
        assert api.deploy(iris_file).status == 200
        receiver.wait("deployment.ready")
        r = api.post("/api/v1/webhooks", {"url": "http://10.0.0.1/", "events": ["deployment.ready"]})
        assert r.status == 422, r
    receiver.httpd.shutdown()


@pytest.mark.parametrize("value, why", [("https://a.example/", "URL"), ("10.0.0.0/40", "0 to 32"),
                                        ("a.example:0", "port"), ("fd00::1", "brackets")])
def test_what_cannot_be_read_stops_the_start(value, why, tmp_path):
    server = Server()
    done = subprocess.run([server.binary, "serve", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0",
                           "--webhook-allow-targets", value], env=server.env, capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 1
    assert "webhook_allow_targets" in done.stderr and why in done.stderr and value in done.stderr
