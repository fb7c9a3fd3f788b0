"""The four calls of the API that check_models.py needs, with the standard library alone."""

import json
import os
import time
import urllib.error
import urllib.request
import uuid


class Refused(Exception):
    """The server answered with an error; the text is its code and message."""


class Client:
    def __init__(self, url, key):
        self.url, self.key = url.rstrip("/"), key

    def call(self, method, path, body=None, content_type="application/json"):
        """One request; waits out 429 as told; gives the JSON reply."""
        for _ in range(20):
            req = urllib.request.Request(self.url + path, data=body, method=method)
            req.add_header("Authorization", "Bearer " + self.key)
            if body is not None:
                req.add_header("Content-Type", content_type)
            try:
                with urllib.request.urlopen(req, timeout=60) as reply:
                    return json.loads(reply.read() or b"null")
            except urllib.error.HTTPError as e:
                text = e.read()
                if e.code == 429:
                    time.sleep(min(30.0, float(e.headers.get("Retry-After") or 1)))
                    continue
                raise Refused(f"{e.code} {error_text(text)}") from None
        raise Refused("429 still limited after 20 tries")

    def deploy(self, path):
        """Uploads a model file and waits until it is active; gives the deployment's id."""
        boundary = uuid.uuid4().hex
        with open(path, "rb") as f:
            content = f.read()
        head = (f'--{boundary}\r\nContent-Disposition: form-data; name="model_file"; '
                f'filename="{os.path.basename(path)}"\r\nContent-Type: application/octet-stream\r\n\r\n')
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        reply = self.call("POST", "/api/v1/deploy", body, "multipart/form-data; boundary=" + boundary)
        end = time.monotonic() + 30
        while reply["status"] in ("building", "updating"):
            if time.monotonic() > end:
                raise Refused("still building after 30 s")
            reply = self.call("GET", "/api/v1/deployments/" + reply["id"])
            if reply["status"] == "building":
                time.sleep(0.05)
        if reply["status"] != "active":
            raise Refused(f"status {reply['status']}")
        return reply["id"]

    def predict(self, deployment, rows):
        """predictions and probabilities (None without) of a batch."""
        body = json.dumps({"data": rows}).encode()
        reply = self.call("POST", "/api/v1/predict/" + deployment, body)
        return reply["predictions"], reply.get("probabilities")

    def delete(self, deployment):
        self.call("DELETE", "/api/v1/deployments/" + deployment)


def error_text(body):
    try:
        error = json.loads(body)["error"]
        reason = (error.get("details") or {}).get("reason", "")
        return f"{error['code']}: {error['message']} {reason}".strip()
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
