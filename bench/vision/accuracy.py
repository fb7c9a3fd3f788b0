#!/usr/bin/env python3
"""What the server says of the packaged photos and of the rendered pages, as the tables of
docs/VISION.md.

    accuracy.py        after make build and scripts/setup --dev
"""
import http.client
import json
import os
import subprocess
import tempfile
import time

import run

PHOTOS = ("china.jpg", "flower.jpg", "chelsea.png", "coffee.png", "astronaut.png",
          "motorcycle_left.png", "rocket.jpg")
PAGES = (("made/invoice.png", "made/invoice.txt"), ("made/invoice.jpg", "made/invoice.txt"),
         ("made/sign.jpg", "made/sign.txt"))
KEY = "mrk_" + "a" * 43


def ask(what, photo, fields=()):
    conn = http.client.HTTPConnection("127.0.0.1", 18090, timeout=60)
    conn.request("POST", f"/api/v2/ai/vision/{what}", run.form(photo, fields),
                 {"Content-Type": f"multipart/form-data; boundary={run.BOUNDARY}",
                  "Authorization": f"Bearer {KEY}"})
    reply = conn.getresponse()
    body = reply.read()
    if reply.status != 200:
        raise SystemExit(f"{what}: {reply.status} {body[:300]}")
    return json.loads(body)


def read(name):
    with open(os.path.join(run.CACHE, "photos", name), "rb") as f:
        return f.read()


def tables():
    print("| photo | classes | objects | scene |\n|---|---|---|---|")
    for name in PHOTOS:
        photo = read(name)
        classes = ask("classify", photo, [("top_k", "3")])["predictions"]
        got = ask("analyze", photo, [("analysis_type", "object_detection,scene_analysis")])
        got = got["analysis_results"]
        scene = got["scene"]
        print("|", name, "|", ", ".join(f"{c['class']} {c['confidence']:.2f}" for c in classes),
              "|", ", ".join(f"{o['class']} {o['confidence']:.2f}" for o in got["objects"]) or "none",
              "|", f"{scene['setting']} {scene['confidence']:.2f}, {scene['time_of_day']}, "
              f"{scene['weather']} |")
    print("\n| picture | model | lines right |\n|---|---|---|")
    for name, text in PAGES:
        want = read(text).decode().splitlines()
        for model in ("tesseract-eng", "pp-ocr-v4"):
            got = ask("analyze", read(name), [("analysis_type", "text_extraction"),
                                              ("model", model)])["analysis_results"]["text"]
            got = [line["text"] for line in got]
            right = sum(line in got for line in want)
            print(f"| {name[5:]} | {model} | {right} of {len(want)} |")


def main():
    millrace = os.path.join(run.HERE, "..", "..", "build", "release", "millrace")
    with tempfile.TemporaryDirectory() as data:
        server = subprocess.Popen([millrace, "serve", "--data-dir", data, "--rate-limits", "off",
                                   "--listen", "127.0.0.1:18090", "--owner-key", KEY,
                                   "--log-level", "error"])
        try:
            for _ in range(100):
                try:
                    http.client.HTTPConnection("127.0.0.1", 18090).connect()
                    break
                except ConnectionError:
                    time.sleep(0.1)
            tables()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
