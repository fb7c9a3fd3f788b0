"""The JavaScript SDK: its own tests under node, and its generated CommonJS build."""
import os
import subprocess

import pytest
from sdkenv import ROOT, iris_path, node, server  # noqa: F401

PACKAGE = os.path.join(ROOT, "sdk", "js", "serveml")


@pytest.mark.parametrize("name", ["faults", "api"])
def test_under_node(server, node, iris_path, name):  # noqa: F811
    env = {**os.environ, "MILLRACE_URL": server.url, "TEST_MODEL": iris_path}
    env.pop("MILLRACE_KEY", None)
    path = os.path.join(ROOT, "tests", "sdk", "js", name + ".test.mjs")
    out = subprocess.run([node, "--test", path], text=True, capture_output=True, timeout=180,
                         check=False, env=env)
    assert out.returncode == 0, out.stdout[-6000:] + out.stderr[-2000:]


def test_commonjs_build_is_fresh(node):  # noqa: F811
    out = subprocess.run([node, os.path.join(ROOT, "sdk", "js", "tools", "build.mjs"), "--check"],
                         text=True, capture_output=True, timeout=60, check=False)
    assert out.returncode == 0, out.stderr
