"""The API reference's SDK and curl examples, word for word, against a real server."""
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from sdkenv import ROOT, iris_path, node, requirements, server  # noqa: F401
from server import Server

HERE = os.path.dirname(os.path.abspath(__file__))


def snippet(name, **replace):
    with open(os.path.join(HERE, "snippets", name), encoding="utf-8") as f:
        text = f.read()
    for old, new in replace.items():
        old = old.replace("_", "-")
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def folder(tmp_path, iris_path, requirements):
    shutil.copy(iris_path, tmp_path / "model.pkl")
    return tmp_path


def env(server, **more):
    return {**os.environ, "MILLRACE_URL": server.url, **more}


def run(command, **kw):
    out = subprocess.run(command, text=True, capture_output=True, timeout=120, check=False, **kw)
    assert out.returncode == 0, out.stderr + out.stdout
    return out


def test_python(server, folder):
    (folder / "example.py").write_text(snippet("python.py", your_api_key=server.key))
    out = run([sys.executable, "example.py"], cwd=folder,
              env=env(server, PYTHONPATH=os.path.join(ROOT, "sdk", "python")))
    assert out.stdout == "0\nTotal predictions: 1\n"


@pytest.mark.parametrize("kind", ["module", "commonjs"])
def test_javascript(server, folder, node, kind):
    scope = folder / "node_modules" / "@serveml"
    scope.mkdir(parents=True)
    (scope / "client").symlink_to(os.path.join(ROOT, "sdk", "js", "serveml"))
    text = snippet("javascript.mjs", your_api_key=server.key)
    # The example takes two buffers as given.
    given = ("globalThis.modelBuffer = fs.readFileSync('model.pkl');\n"
             "globalThis.reqBuffer = fs.readFileSync('requirements.txt');\n")
    if kind == "module":
        (folder / "example.mjs").write_text(text)
        (folder / "main.mjs").write_text(
            "import fs from 'node:fs';\n" + given + "await import('./example.mjs');\n")
    else:
        text = re.sub(r"import (\{.*\}) from '(.*)';", r"const \1 = require('\2');", text)
        (folder / "main.cjs").write_text(
            "const fs = require('node:fs');\n" + given
            + "(async () => {\n" + text + "})().catch((e) => { console.error(e); process.exit(1); });\n")
    out = run([node, "main.mjs" if kind == "module" else "main.cjs"], cwd=folder, env=env(server))
    assert out.stdout == "0\n"


def test_curl(folder):
    """The example names https://api.serveml.com: curl is told where that is, and whose certificate
    to trust; the command lines stay as printed."""
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=api.serveml.com", "-addext", "subjectAltName=DNS:api.serveml.com", "-keyout",
         "key.pem", "-out", "cert.pem"], cwd=folder)
    flags = ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]
    with Server(flags=flags) as s:
        (folder / ".curlrc").write_text(
            f'connect-to = "api.serveml.com:443:127.0.0.1:{s.port}"\n'
            f'cacert = "{folder}/cert.pem"\nsilent\nshow-error\nfail-with-body\nwrite-out = "\\n"\n')
        text = snippet("curl.sh")
        deploy, predict = text.split("# Make prediction")
        home = {**os.environ, "CURL_HOME": str(folder), "HOME": str(folder), "TOKEN": s.key}
        out = run(["bash", "-euc", deploy], cwd=folder, env=home)
        made = json.loads(out.stdout)
        assert made["name"] == "iris-classifier" and made["status"] == "building"
        assert made["model_metadata"]["model_type"] == "RandomForestClassifier"
        out = run(["bash", "-euc", predict.replace("dep-abc123", made["id"])], cwd=folder, env=home)
        answer = json.loads(out.stdout)
        assert answer["prediction"] == 0 and answer["model_version"] == "v1"
        assert s.stop() == 0
