"""Every verb of the command line, against the real server."""
import json
import os
import pty
import re
import shutil
import subprocess
import threading
import time

import pytest
from fake import Fake, error
from sdkenv import ROOT, golden_values, iris_path, model_path, server  # noqa: F401
from server import Server

BINARY = os.environ.get("MILLRACE_BINARY", os.path.join(ROOT, "build", "millrace"))
VERBS = ["serve", "deploy", "predict", "models", "chat", "generate", "classify", "ocr", "jobs", "metrics",
         "keys", "logs", "doctor", "config", "completion", "version"]
ROW = "[5.1, 3.5, 1.4, 0.2]"


def base_env():
    return {k: v for k, v in os.environ.items() if not k.startswith("MILLRACE_")}


class Cli:
    def __init__(self, cwd, **env):
        self.cwd, self.env = cwd, {**base_env(), **env}

    def __call__(self, *args, status=0, stdin="", **env):
        out = subprocess.run([BINARY, *args], text=True, input=stdin, capture_output=True,
                             timeout=60, check=False, cwd=self.cwd, env={**self.env, **env})
        assert out.returncode == status, f"{args}: {out.returncode}\n{out.stdout}{out.stderr}"
        for word in ("AddressSanitizer", "runtime error"):
            assert word not in out.stderr, out.stderr
        return out

    def json(self, *args, **kw):
        return json.loads(self(*args, "--json", **kw).stdout)


@pytest.fixture
def cli(server, tmp_path):  # noqa: F811
    return Cli(tmp_path, MILLRACE_URL=server.url, MILLRACE_KEY=server.key)


@pytest.fixture
def iris(cli, iris_path):  # noqa: F811
    name = f"iris-{time.monotonic_ns()}"
    return cli.json("deploy", iris_path, "--name", name)


def test_every_verb_has_help(cli):
    listing = cli("--help").stdout
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", listing, re.M), verb
        out = cli(verb, "--help")
        text = out.stdout + out.stderr
        assert f"usage: millrace {verb}" in text
        if verb != "serve":
            assert "--json" in text


def test_wrong_usage_is_2(cli):
    for args in ([], ["nonsense"], ["deploy"], ["deploy", "a", "b"], ["predict", "x"], ["models"],
                 ["models", "frob"], ["models", "show"], ["models", "list", "x"], ["keys"],
                 ["keys", "create"], ["metrics"], ["metrics", "x", "--hours", "0"],
                 ["logs", "x"], ["logs", "--lines", "many"], ["completion"], ["completion", "tcsh"],
                 ["doctor", "x"], ["models", "list", "--frob"], ["models", "list", "--status"],
                 ["models", "list", "--json=1"], ["models", "list", "--url", "ftp://x"],
                 ["models", "list", "--key", "two words"], ["version", "--frob"],
                 ["predict", "x", "not json"]):
        status = 1 if args[:2] == ["predict", "x"] and len(args) == 3 else 2
        out = cli(*args, status=status)
        assert out.stderr and not out.stdout, args


def test_version(cli):
    assert re.match(r"millrace \d+\.\d+\.\d+\n$", cli("version").stdout)
    assert cli("--version").stdout == cli("version").stdout
    assert re.match(r"\d+\.\d+\.\d+$", cli.json("version")["version"])


def test_deploy_prints_how_to_call(cli, server, iris_path, tmp_path):  # noqa: F811
    (tmp_path / "requirements.txt").write_text("scikit-learn\n")
    out = cli("deploy", iris_path, "--name", "shown", "--requirements", "requirements.txt",
              "--memory", "512", "--timeout", "7", "--changes", "first", "--wait").stdout
    first, url, line = out.splitlines()
    dep = first.split()[0]
    assert re.match(r"dep-[0-9a-f]{32}$", dep) and " active " in first and " v1 " in first
    assert "RandomForestClassifier" in first
    assert url == f"URL: {server.url}/api/v1/predict/{dep}"
    # The printed line works in a shell as it stands, and does not show the key.
    assert server.key not in line
    answer = subprocess.run(["bash", "-c", line.removeprefix("Try: ").replace("curl ", "curl -s ")],
                            capture_output=True, check=True, env=cli.env)
    assert json.loads(answer.stdout)["prediction"] in (0, 1, 2)
    shown = cli.json("models", "show", "shown")
    assert shown["configuration"]["memory_mb"] == 512
    assert shown["configuration"]["timeout_seconds"] == 7
    assert shown["versions"][0]["changes"] == "first"


def test_deploy_next_version_and_no_wait(cli, iris, iris_path):  # noqa: F811
    again = cli.json("deploy", iris_path, "--name", iris["name"])
    assert (again["id"], again["version"], again["status"]) == (iris["id"], "v2", "active")
    made = cli.json("deploy", iris_path, "--no-wait")
    assert made["status"] in ("building", "active") and made["id"] != iris["id"]


def test_deploy_failures(cli, tmp_path):
    (tmp_path / "junk.pkl").write_bytes(b"this is no model")
    out = cli("deploy", "junk.pkl", status=1)
    assert re.search(r"DEPLOYMENT_FAILED: .+ \(request req-[0-9a-f]+\)", out.stderr)
    assert not out.stdout
    body = json.loads(cli("deploy", "junk.pkl", "--json", status=1).stdout)
    assert body["error"]["code"] == "DEPLOYMENT_FAILED"
    assert "No such file" in cli("deploy", "missing.pkl", status=1).stderr
    assert "not a file" in cli("deploy", str(tmp_path), status=2).stderr


def test_deploy_shows_progress_on_a_terminal(cli, tmp_path):
    """stderr on a terminal gets a bar; the upload is large enough to take some steps."""
    (tmp_path / "big.bin").write_bytes(os.urandom(20 << 20))
    master, slave = pty.openpty()
    p = subprocess.Popen([BINARY, "deploy", "big.bin"], stdout=subprocess.PIPE, stderr=slave,
                         cwd=tmp_path, env=cli.env)
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(master)
    p.communicate(timeout=60)
    assert p.returncode == 1  # random bytes are no model
    assert b"Uploading [" in seen and b"100%" in seen and b"\r" in seen
    assert seen.count(b"100%") == 1


def test_predict_forms(cli, iris, tmp_path):
    dep, name = iris["id"], iris["name"]
    assert cli("predict", dep, ROW).stdout.startswith("0  [")
    assert cli("predict", name, ROW).stdout.startswith("0  [")
    assert cli("predict", name, "5.1, 3.5, 1.4, 0.2").stdout.startswith("0  [")
    batch = f"[{ROW}, [6.2, 3.4, 5.4, 2.3]]"
    lines = cli("predict", name, batch).stdout.splitlines()
    assert [x.split()[0] for x in lines] == ["0", "2"]
    (tmp_path / "rows.json").write_text(batch)
    assert cli("predict", name, "@rows.json").stdout.splitlines() == lines
    assert cli("predict", name, "-", stdin=batch).stdout.splitlines() == lines
    answer = cli.json("predict", name, batch)
    assert answer["predictions"] == [0, 2] and answer["batch_size"] == 2
    tested = cli.json("predict", name, ROW, "--test")
    assert tested["prediction"] == 0 and tested["input_schema"]
    assert "(v1, " in cli("predict", name, ROW, "--user", "somebody").stderr
    assert cli.json("metrics", dep)["metrics"]["unique_users"] == 2


def test_predict_failures(cli, iris, tmp_path):
    out = cli("predict", iris["id"], "[1, 2]", status=1)
    assert re.search(r"^millrace predict: [A-Z_]+: .+ \(request req-", out.stderr)
    assert "not JSON" in cli("predict", iris["id"], "{broken", status=2).stderr
    assert "empty" in cli("predict", iris["id"], "-", status=2).stderr
    assert "No such file" in cli("predict", iris["id"], "@missing", status=1).stderr
    assert "nobody" in cli("predict", "nobody", ROW, status=1).stderr


def test_predict_regression_has_no_probabilities(cli):
    values = golden_values("ada_diab_linear")
    dep = cli.json("deploy", model_path("ada_diab_linear"))["id"]
    out = cli("predict", dep, json.dumps(values["inputs"][0])).stdout
    assert float(out) == pytest.approx(values["predict"][0], rel=1e-9)


def test_models(cli, iris, iris_path):  # noqa: F811
    table = cli("models", "list", "--search", iris["name"]).stdout.splitlines()
    assert table[0].split() == ["ID", "NAME", "STATUS", "VERSION", "FRAMEWORK", "TYPE", "CREATED"]
    assert table[1].split()[:4] == [iris["id"], iris["name"], "active", "v1"] and len(table) == 2
    assert [d["id"] for d in cli.json("models", "list", "--search", iris["name"])] == [iris["id"]]
    assert cli.json("models", "list", "--framework", "onnx", "--search", iris["name"]) == []
    assert "status" in cli("models", "list", "--status", "odd", status=1).stderr
    cli("deploy", iris_path, "--name", iris["name"])
    text = cli("models", "show", iris["name"]).stdout
    assert f"id: {iris['id']}" in text and re.search(r"\* current +v2 ", text)
    assert "Rolled back to v1" in cli("models", "rollback", iris["name"], "v1").stdout
    assert cli.json("models", "show", iris["id"])["version"] == "v1"
    assert cli.json("models", "rollback", iris["id"], "v2")["previous_version"] == "v1"
    cli("models", "rollback", iris["id"], "v9", status=1)
    assert "--yes" in cli("models", "rm", iris["name"], status=2).stderr
    assert "deleted" in cli("models", "rm", iris["name"], "--yes").stdout
    assert "nothing" not in cli("models", "show", iris["name"], status=1).stdout
    assert cli.json("models", "list", "--status", "deleted", "--search", iris["name"])[0]["id"]


def test_models_list_goes_through_all_pages(tmp_path):
    def page(n, offset):
        items = [{"id": f"dep-{i:032x}", "name": f"m{i}", "status": "active", "version": "v1",
                  "created_at": "t", "model_metadata": {}} for i in range(offset, offset + n)]
        return (200, {"items": items, "total": 130, "limit": 100, "offset": offset})

    with Fake([page(100, 0), page(30, 100)]) as f:
        out = Cli(tmp_path, MILLRACE_URL=f.url, MILLRACE_KEY="k" * 20).json("models", "list")
    assert len(out) == 130 and "offset=100" in f.requests[1][1]


def test_a_name_cannot_steer_the_terminal(tmp_path):
    item = {"id": "dep-1", "name": "a\x1b[2Jb", "status": "active", "model_metadata": {}}
    with Fake([(200, {"items": [item], "total": 1, "limit": 100, "offset": 0})]) as f:
        out = Cli(tmp_path, MILLRACE_URL=f.url).__call__("models", "list").stdout
    assert "\x1b" not in out and "a?[2Jb" in out


def test_two_of_one_name_need_the_id(tmp_path):
    items = [{"id": f"dep-{i:032x}", "name": "same"} for i in range(2)]
    with Fake([(200, {"items": items, "total": 2, "limit": 100, "offset": 0})]) as f:
        out = Cli(tmp_path, MILLRACE_URL=f.url, MILLRACE_KEY="k" * 20)("metrics", "same", status=1)
    assert "give the id" in out.stderr


def test_keys(cli, server):  # noqa: F811
    out = cli("keys", "create", "ci", "--scopes", "read,predict", "--rate", "50", "--budget", "2.5",
              "--expires-days", "3")
    key = out.stdout.strip()
    assert key.startswith("mrk_")
    ident = re.search(r"Id (key-\w+)", out.stderr).group(1)
    mine = [k for k in cli.json("keys", "list")["items"] if k["id"] == ident][0]
    assert mine["scopes"] == ["read", "predict"] and mine["rate_limit_per_minute"] == 50
    assert mine["monthly_budget_usd"] == 2.5 and mine["expires_at"]
    assert re.search(rf"^{ident} +ci ", cli("keys", "list").stdout, re.M)
    assert "FORBIDDEN" in cli("keys", "list", "--key", key, status=1).stderr
    cli("models", "list", "--key", key)
    assert ident in cli("keys", "revoke", ident).stdout
    assert "UNAUTHORIZED" in cli("models", "list", "--key", key, status=1).stderr
    assert cli.json("keys", "create", "other")["key"].startswith("mrk_")
    cli("keys", "create", "bad", "--scopes", "fly", status=1)
    cli("keys", "create", "bad", "--budget", "much", status=2)
    cli("keys", "revoke", "key-none", status=1)


def test_metrics(cli, iris):
    for _ in range(3):
        cli("predict", iris["id"], ROW)
    text = cli("metrics", iris["name"], "--hours", "2", "--resolution", "1m").stdout
    assert re.search(r"^requests +3$", text, re.M) and re.search(r"^errors +0$", text, re.M)
    assert "p99" in text and "cost estimate" in text and "REQUESTS" in text
    body = cli.json("metrics", iris["id"], "--hours", "1")
    assert body["metrics"]["request_count"] == 3
    assert "resolution" in cli("metrics", iris["id"], "--resolution", "2m", status=1).stderr


def test_owner_key_of_a_local_server(tmp_path, server):  # noqa: F811
    """Without a key the owner key file is read, for a server on this machine only."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(os.path.join(server.data_dir, "owner.key"), data / "owner.key")
    cli = Cli(tmp_path, MILLRACE_URL=server.url)
    assert cli("keys", "list").stdout
    (data / "owner.key").rename(tmp_path / "away")
    assert "MILLRACE_KEY" in cli("keys", "list", status=1).stderr
    os.mkdir(tmp_path / "elsewhere")
    shutil.copy(tmp_path / "away", tmp_path / "elsewhere" / "owner.key")
    (tmp_path / "millrace.toml").write_text('data_dir = "elsewhere"\n')
    assert cli("keys", "list").stdout
    (tmp_path / "millrace.toml").unlink()
    assert cli("keys", "list", MILLRACE_DATA_DIR="elsewhere").stdout
    # A proxy shows what would be sent to another machine: no key.
    with Fake([error("UNAUTHORIZED", status=401)]) as proxy:
        away = Cli(tmp_path, MILLRACE_URL="http://models.example.com", http_proxy=proxy.url,
                   MILLRACE_DATA_DIR="elsewhere")
        assert "UNAUTHORIZED" in away("keys", "list", status=1).stderr
        assert "authorization" not in proxy.requests[0][2]
        away("keys", "list", "--key", "given-one-is-sent", status=1)
        assert proxy.requests[1][2]["authorization"] == "Bearer given-one-is-sent"


def test_no_server_and_timeouts(tmp_path):
    cli = Cli(tmp_path, MILLRACE_URL="http://127.0.0.1:1")
    assert "no server answers" in cli("models", "list", status=1).stderr
    with Fake(["hang"]) as f:
        start = time.monotonic()
        out = cli("models", "list", "--url", f.url, "--http-timeout", "1", status=1)
        assert "no answer in time" in out.stderr and time.monotonic() - start < 10
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
    with Fake([("raw", page)]) as f:
        assert "JSON" in cli("models", "list", "--url", f.url, status=1).stderr


def test_deploy_waits_and_tells_failure(tmp_path):
    made = {"id": "dep-1", "name": "m", "status": "building", "version": "v2", "model_metadata": {}}
    serving = {**made, "status": "active", "version": "v1"}
    v = {"created_at": "t", "is_current": False, "changes": ""}
    failed = {"versions": [{**v, "version": "v2", "status": "failed", "error": "too old"}]}
    (tmp_path / "m").write_bytes(b"x")
    with Fake([(200, made), (200, made), (200, serving), (200, failed)]) as f:
        cli = Cli(tmp_path, MILLRACE_URL=f.url, MILLRACE_KEY="k" * 20)
        assert "DEPLOYMENT_FAILED: too old" in cli("deploy", "m", status=1).stderr
        assert len(f.requests[0][2]["idempotency-key"]) == 32
    with Fake([(200, made)]) as f:
        cli = Cli(tmp_path, MILLRACE_URL=f.url, MILLRACE_KEY="k" * 20)
        assert "still building" in cli("deploy", "m", "--wait-timeout", "1", status=1).stderr


def test_an_early_refusal_of_an_upload_is_shown(tmp_path):
    with open(tmp_path / "big", "wb") as f:
        f.truncate(64 << 20)
    step = ("early", 413, error("INVALID_INPUT", "the body is too large")[1], "drain")
    with Fake([step]) as f:
        cli = Cli(tmp_path, MILLRACE_URL=f.url, MILLRACE_KEY="k" * 20)
        assert "INVALID_INPUT: the body is too large" in cli("deploy", "big", status=1).stderr


def test_logs(tmp_path):
    cli = Cli(tmp_path)
    out = cli("logs", status=1)
    assert "--log-file" in out.stderr and "journalctl" in out.stderr
    log = tmp_path / "server.json.log"
    with Server(flags=["--log-file", str(log)]) as s:
        for _ in range(5):
            Cli(tmp_path, MILLRACE_URL=f"http://{s.host}:{s.port}", MILLRACE_KEY=s.key)(
                "models", "list")
        assert s.stop() == 0
        assert s.log_text() == ""  # nothing went to standard error
        assert s.key not in log.read_text()
    assert os.stat(log).st_mode & 0o777 == 0o600
    lines = log.read_text().splitlines()
    assert len(lines) >= 7 and all(json.loads(x) for x in lines)
    given = {"MILLRACE_LOG_FILE": str(log)}
    assert cli("logs", **given).stdout.splitlines() == lines
    assert cli("logs", "--lines", "2", **given).stdout.splitlines() == lines[-2:]
    assert cli("logs", "--lines", "0", **given).stdout == ""
    (tmp_path / "millrace.toml").write_text(f'log_file = "{log}"\n')
    assert cli("logs", "--lines", "1").stdout.splitlines() == lines[-1:]
    other = tmp_path / "mixed.log"
    other.write_text('text line\n{"a":1}\nmore\n' + "x" * 100_000 + "\n{\"b\":2}\n")
    assert cli("logs", "--file", str(other), "--json").stdout == '{"a":1}\n{"b":2}\n'
    cli("logs", "--file", str(tmp_path / "none"), status=1)


def test_logs_follow(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("one\n")
    p = subprocess.Popen([BINARY, "logs", "--follow", "--file", str(log)], cwd=tmp_path, text=True,
                         env=base_env(), stdout=subprocess.PIPE)
    watchdog = threading.Timer(30, p.kill)
    watchdog.start()
    try:
        assert p.stdout.readline() == "one\n"
        with open(log, "a", encoding="ascii") as f:
            f.write("two\n")
        assert p.stdout.readline() == "two\n"
        log.rename(tmp_path / "a.log.1")  # rotation
        log.write_text("three\n")
        assert p.stdout.readline() == "three\n"
        log.write_text("4\n")  # truncation
        assert p.stdout.readline() == "4\n"
        assert p.poll() is None
    finally:
        watchdog.cancel()
        p.terminate()  # a job of a shell may have SIGINT ignored
        p.wait(10)
        p.stdout.close()


def checks(body):
    return {c["check"]: c for c in body["checks"]}


def test_doctor(cli, server, tmp_path):  # noqa: F811
    out = cli("doctor").stdout
    for line in out.splitlines()[:-1]:
        assert re.match(r"(ok  |warn|fail|    )  ", line), line
    for check in ("settings", "data dir", "disk", "CPU", "seccomp", "user ns", "open files",
                  "ONNX Runtime", "clock", "server", "key"):
        assert re.search(rf"^(ok  |warn)  {check} ", out, re.M), check
    body = cli.json("doctor")
    assert body["ok"] is True
    assert checks(body)["server"]["status"] == checks(body)["key"]["status"] == "ok"
    bad = checks(json.loads(cli("doctor", "--json", "--key", "mrk_wrong", status=1).stdout))
    assert bad["key"]["status"] == "fail" and bad["key"]["do"]
    gone = checks(json.loads(cli("doctor", "--json", "--url", "http://127.0.0.1:1", status=1).stdout))
    assert gone["server"]["status"] == "fail"
    # Nothing was said about where the server is: that none runs is no failure.
    alone = Cli(tmp_path).env
    (tmp_path / "millrace.toml").write_text("data_dir = 5x\nnonsense = 1\n")
    broken = checks(json.loads(cli("doctor", "--json", status=1).stdout))
    assert broken["settings"]["status"] == "fail" and "MILLRACE_KEY" not in alone
    (tmp_path / "millrace.toml").unlink()


def test_doctor_sees_loose_permissions_and_a_wrong_clock(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    os.chmod(data, 0o755)
    (data / "owner.key").write_text("x" * 30)
    os.chmod(data / "owner.key", 0o644)
    with Fake([(200, {"status": "ok"}, {"Date": "Mon, 15 Jan 2024 10:00:00 GMT"})]) as f:
        cli = Cli(tmp_path, MILLRACE_URL=f.url)
        body = checks(json.loads(cli("doctor", "--json", status=1).stdout))
    assert body["data dir"]["status"] == "warn" and "755" in body["data dir"]["message"]
    assert body["owner.key"]["status"] == "fail"
    with Fake([error("SERVICE_ERROR", status=503)]) as f:
        os.chmod(data / "owner.key", 0o600)
        body = checks(Cli(tmp_path, MILLRACE_URL=f.url).json("doctor"))
    assert body["server"]["status"] == "warn" and "owner.key" not in body


def test_config_print(cli):
    out = cli("config", "print", MILLRACE_OWNER_KEY="a-very-secret-owner-key").stdout
    assert "a-very-secret" not in out and "log_file" in out
    body = cli.json("config", "print", "--threads", "3", MILLRACE_OWNER_KEY="a-very-secret-owner-key")
    assert body["owner_key"] == "(set)" and body["threads"] == 3 and body["rate_limits"] is True
    assert isinstance(body["listen"], list)
    cli("config", status=2)


COMPLETE = """
source <("$BINARY" completion bash)
COMP_WORDS=({words}); COMP_CWORD={at}
_millrace
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def complete(cli, *words):
    script = COMPLETE.format(words=" ".join(f"'{w}'" for w in words), at=len(words) - 1)
    out = subprocess.run(["bash", "-euc", script], text=True, capture_output=True, check=True,
                         cwd=cli.cwd, env={**cli.env, "BINARY": BINARY})
    return set(out.stdout.split())


def test_completion_bash(cli, tmp_path):
    assert set(VERBS) <= complete(cli, "millrace", "")
    assert complete(cli, "millrace", "de") == {"deploy"}
    assert complete(cli, "millrace", "models", "") == {
        "list", "show", "rm", "rollback", "catalog", "pull", "load", "unload"}
    assert complete(cli, "millrace", "keys", "re") == {"revoke"}
    assert complete(cli, "millrace", "deploy", "--wait") == {"--wait", "--wait-timeout"}
    assert {"--url", "--key", "--json", "--help"} <= complete(cli, "millrace", "metrics", "--")
    assert complete(cli, "millrace", "serve", "--log-f") == {"--log-format", "--log-file"}
    assert complete(cli, "millrace", "serve", "--log-format", "") == {"auto", "json", "text"}
    (tmp_path / "model.pkl").write_text("")
    assert complete(cli, "millrace", "deploy", "mod") == {"model.pkl"}


def test_completion_covers_every_verb_and_setting(cli):
    settings = re.findall(r"^  (--[a-z-]+) ", cli("serve", "--help").stdout, re.M)
    assert len(settings) > 15
    for shell in ("bash", "zsh", "fish"):
        text = cli("completion", shell).stdout
        for verb in VERBS:
            assert verb in text
        for flag in settings:
            assert (f"-l {flag[2:]} " if shell == "fish" else flag) in text, (shell, flag)
    for shell in ("zsh", "fish"):
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=cli("completion", shell).stdout, text=True,
                           check=True)
