"""A small HTTP client for the tests that checks every reply against the spec.

Each request made through `Api` is matched to an operation of spec/*.yaml; the reply's status
must be one that the spec lists for it and its body must fit the schema. What was exercised is
recorded, so that the session can fail on an operation that no test ever called.
"""
import glob
import json
import os
import re
import uuid
from http.client import HTTPConnection

import jsonschema
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Spec:
    """All of spec/*.yaml. Where families share a path, the caller says whose it is."""

    def __init__(self, paths=None):
        self.docs = {}
        self.exercised = set()
        self.ok = set()
        self.operations = []  # (fixed path, method, pattern, template, operation)
        self._validators = {}
        for path in paths or sorted(glob.glob(os.path.join(ROOT, "spec", "*.yaml"))):
            with open(path, encoding="utf-8") as f:
                self._add(yaml.safe_load(f))
        self.operations.sort(key=lambda o: (not o[0], o[4]["family"] != "serveml"))

    def _add(self, doc):
        family = doc["x-family"]
        self.docs[family] = doc
        for template, item in doc["paths"].items():
            pattern = re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", template) + "$")
            fixed = "{" not in template
            for method, op in item.items():
                if isinstance(op, dict) and "operationId" in op:
                    op["family"] = family
                    op["name"] = f"{family}.{op['operationId']}"
                    self.operations.append((fixed, method.upper(), pattern, template, op))

    def ids(self):
        return {op["name"] for _, _, _, _, op in self.operations}

    def find(self, method, path, family=None):
        path = path.split("?")[0]
        found = [op for _, m, pattern, _, op in self.operations if m == method and pattern.match(path)]
        for op in found:
            if op["family"] == family:
                return op
        return found[0] if found else None

    def resolve(self, node, family):
        while "$ref" in node:
            target = self.docs[family]
            for part in node["$ref"].lstrip("#/").split("/"):
                target = target[part]
            node = target
        return node

    def schema(self, family, schema):
        return jsonschema.Draft202012Validator(
            {**schema, "components": self.docs[family]["components"]})

    def validator(self, op, status):
        key = (op["name"], status)
        if key not in self._validators:
            reply = self.resolve(op["responses"][str(status)], op["family"])
            schema = reply.get("content", {}).get("application/json", {}).get("schema")
            self._validators[key] = schema and self.schema(op["family"], schema)
        return self._validators[key]

    # Statuses that any operation may answer without listing them.
    COMMON = {400, 405, 413, 429, 500, 503, 507}

    def check(self, method, path, reply, family=None):
        op = self.find(method, path, family)
        if op is None:
            return
        self.exercised.add(op["name"])
        if reply.status < 400:
            self.ok.add(op["name"])
        if str(reply.status) not in op["responses"]:
            assert reply.status in self.COMMON, (
                f"{method} {path} answered {reply.status}, which its operation does not list: "
                f"{reply.text[:300]}")
            schema = self.schema(op["family"], {"$ref": "#/components/schemas/Error"})
        else:
            schema = self.validator(op, reply.status)
        json_body = reply.headers.get("content-type", "").startswith("application/json")
        if schema is not None and method != "HEAD" and json_body:
            errors = sorted(schema.iter_errors(reply.json()), key=str)
            assert not errors, f"{method} {path} {reply.status}: {errors[0].message} in {reply.text[:500]}"


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.text[:300]}>"


def multipart(fields, files):
    """Encodes fields {name: text} and files {name: (file_name, bytes)}; returns (body, type)."""
    boundary = uuid.uuid4().hex
    out = []
    for name, value in fields.items():
        out.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
                   + str(value).encode() + b"\r\n")
    for name, (file_name, data) in files.items():
        out.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
                   f'filename="{file_name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
                   .encode() + data + b"\r\n")
    out.append(f"--{boundary}--\r\n".encode())
    return b"".join(out), f"multipart/form-data; boundary={boundary}"


class Api:
    def __init__(self, host, port, token=None, spec=None, family=None):
        self.host, self.port, self.token, self.spec = host, port, token, spec
        self.family = family  # of a listener that is pinned to one

    def as_(self, token):
        return Api(self.host, self.port, token, self.spec, self.family)

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def request(self, method, path, body=None, headers=None, check=True, timeout=60):
        headers = dict(headers or {})
        if self.token and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {self.token}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        conn = HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            conn.request(method, path, body=body, headers=headers)
            r = conn.getresponse()
            reply = Reply(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        finally:
            conn.close()
        if check and self.spec:
            self.spec.check(method, path, reply, self.family)
        return reply

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body, **kw)

    def patch(self, path, body=None, **kw):
        return self.request("PATCH", path, body, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def deploy(self, data, file_name="model.pkl", requirements=None, headers=None, **fields):
        files = {"model_file": (file_name, data)}
        if requirements is not None:
            files["requirements_file"] = ("requirements.txt", requirements)
        body, kind = multipart(fields, files)
        return self.post("/api/v1/deploy", body, headers={"Content-Type": kind, **(headers or {})})

    def predict(self, dep, data, **extra):
        return self.post(f"/api/v1/predict/{dep}", {"data": data, **extra})
