#!/usr/bin/env python3
"""Writes the C tables and the embedded OpenAPI document of every family from spec/<family>.yaml.

    tools/gen_api.py            write
    tools/gen_api.py --check    fail when a committed file differs from what would be written
"""
import json
import os
import sys

import yaml

TYPES = {"string": "MR_T_STR", "integer": "MR_T_INT", "number": "MR_T_NUM", "boolean": "MR_T_BOOL",
         "array": "MR_T_ARR", "object": "MR_T_OBJ"}
METHODS = {"get": "MR_GET", "post": "MR_POST", "put": "MR_PUT", "patch": "MR_PATCH",
           "delete": "MR_DELETE"}
AUTH = {"none": "MR_AUTH_NONE", "optional": "MR_AUTH_OPTIONAL", "required": "MR_AUTH_REQUIRED"}
SCOPE = {None: "0", "read": "MR_SCOPE_READ", "write": "MR_SCOPE_WRITE",
         "predict": "MR_SCOPE_PREDICT", "admin": "MR_SCOPE_ADMIN"}


def cstr(text):
    return "NULL" if text is None else json.dumps(text, ensure_ascii=True)


def resolve(doc, node):
    while isinstance(node, dict) and "$ref" in node:
        target = doc
        for part in node["$ref"].lstrip("#/").split("/"):
            target = target[part]
        node = target
    return node


def field_row(doc, name, where, schema, required, symbol, enums):
    schema = resolve(doc, schema)
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds] if kinds else []
    nullable = "null" in kinds
    kinds = [k for k in kinds if k != "null"]
    mask = " | ".join(TYPES[k] for k in kinds) or "MR_T_ANY"
    items = resolve(doc, schema.get("items", {})) or {}
    values = schema.get("enum") or items.get("enum")
    enum_ref = "NULL"
    if values:
        enum_ref = f"{symbol}_enum"
        enums.append(f"static const char *const {enum_ref}[] = {{"
                     + ", ".join(cstr(v) for v in values) + ", NULL};")
    lo = schema.get("minimum", schema.get("minLength", schema.get("minItems")))
    hi = schema.get("maximum", schema.get("maxLength", schema.get("maxItems")))
    if items.get("type") == "string":
        mask += " | MR_T_STR_ITEMS"
    fmt = {"email": "MR_F_EMAIL", "binary": "MR_F_FILE"}.get(schema.get("format"), "MR_F_NONE")
    if schema.get("pattern", "").startswith("^v[1-9]"):
        fmt = "MR_F_VERSION"
    default = schema.get("default")
    return (f"    {{.name = {cstr(name)}, .in = MR_IN_{where.upper()}, .type = {mask}, "
            f".required = {'true' if required else 'false'}, "
            f".nullable = {'true' if nullable else 'false'}, .format = {fmt}, "
            f".has_min = {'true' if lo is not None else 'false'}, "
            f".has_max = {'true' if hi is not None else 'false'}, "
            f".min = {lo if lo is not None else 0}, .max = {hi if hi is not None else 0}, "
            f".enums = {enum_ref}, .def = {cstr(None if default is None else str(default))}}},")


def operation_fields(doc, path_item, op, symbol):
    rows, enums, body, strict = [], [], op.get("x-body"), False
    kinds = []
    for p in path_item.get("parameters", []) + op.get("parameters", []):
        p = resolve(doc, p)
        if p["in"] == "path":
            continue
        rows.append(field_row(doc, p["name"], p["in"], p["schema"], p.get("required", False),
                              f"{symbol}_{p['name'].replace('-', '_')}", enums))
    content = op.get("requestBody", {}).get("content", {})
    for media, where, kind in (("application/json", "body", "json"),
                               ("multipart/form-data", "form", "multipart")):
        if media in content:
            kinds.append(kind)
            if body in ("raw", "object"):  # the handler reads it
                continue
            schema = resolve(doc, content[media]["schema"])
            need = set(schema.get("required", []))
            strict = schema.get("additionalProperties") is False
            for name, prop in schema.get("properties", {}).items():
                # a name of both forms of the body has an enum each
                of = f"{symbol}_{name}" + ("_form" if len(kinds) > 1 else "")
                rows.append(field_row(doc, name, where, prop, name in need, of, enums))
    body = body or ("either" if len(kinds) > 1 else kinds[0] if kinds else "none")
    return rows, enums, body, strict


def generate(spec_path):
    doc = yaml.safe_load(open(spec_path, encoding="utf-8"))
    family = doc["x-family"]
    handlers, tables, rows = [], [], []
    for path, item in doc["paths"].items():
        for method, op in item.items():
            if method not in METHODS:
                continue
            oid = op["operationId"]
            symbol = f"{family}_{oid}"
            fields, enums, body, strict = operation_fields(doc, item, op, symbol)
            tables += enums
            if fields:
                tables.append(f"static const struct mr_field {symbol}_fields[] = {{")
                tables += fields + ["};"]
            handlers.append(f"mr_handler_fn mr_{symbol};")
            rate = op.get("x-rate", "general")
            rows.append(
                f"    {{.id = {cstr(oid)}, .method = {METHODS[method]}, .path = {cstr(path)}, "
                f".fn = mr_{symbol}, .auth = {AUTH[op.get('x-auth', 'required')]}, "
                f".scope = {SCOPE[op.get('x-scope')]}, .rate = MR_RATE_{rate.upper()}, "
                f".body = MR_BODY_{'JSON' if body == 'object' else body.upper()}, "
                f".body_optional = {'false' if op.get('requestBody', {}).get('required', True) else 'true'}, "
                f".strict = {'true' if strict else 'false'}, "
                f".quick = {'true' if op.get('x-inline') else 'false'}, "
                f".body_max = {op.get('x-body-max', 1048576 if body != 'none' else 65536)}ull, "
                f".fields = {symbol + '_fields' if fields else 'NULL'}, "
                f".n_fields = {len(fields)}}},")
    head = f"/* Generated by tools/gen_api.py from {spec_path}: do not edit. */\n"
    header = (head + f"#ifndef MR_API_GEN_{family.upper()}_H\n#define MR_API_GEN_{family.upper()}_H\n\n"
              "#include \"api/api.h\"\n\n" + "\n".join(handlers)
              + f"\n\nextern const struct mr_row mr_{family}_rows[];\n"
              f"extern const size_t mr_{family}_n_rows;\n"
              f"extern const char mr_{family}_openapi_json[];\n"
              f"extern const size_t mr_{family}_openapi_json_len;\n\n#endif\n")
    code = (head + f"#include \"api/{family}/gen_{family}.h\"\n\n" + "\n".join(tables)
            + f"\n\nconst struct mr_row mr_{family}_rows[] = {{\n" + "\n".join(rows) + "\n};\n"
            + f"const size_t mr_{family}_n_rows = {len(rows)};\n")
    published = json.dumps(strip(doc), separators=(",", ":"), sort_keys=False)
    lines = [published[i:i + 4000] for i in range(0, len(published), 4000)]
    blob = (head + f"#include \"api/{family}/gen_{family}.h\"\n\n"
            f"const char mr_{family}_openapi_json[] =\n"
            + "\n".join("    " + cstr(line) for line in lines) + ";\n"
            + f"const size_t mr_{family}_openapi_json_len = sizeof mr_{family}_openapi_json - 1;\n")
    folder = f"src/api/{family}"
    return {f"{folder}/gen_{family}.h": header, f"{folder}/gen_{family}.c": code,
            f"{folder}/gen_{family}_openapi.c": blob}


def strip(node):
    """The published document: operations get their security, our x-* stay out."""
    if isinstance(node, list):
        return [strip(n) for n in node]
    if not isinstance(node, dict):
        return node
    out = {k: strip(v) for k, v in node.items() if not k.startswith("x-")}
    if "operationId" in node:
        auth = node.get("x-auth", "required")
        out["security"] = {"none": [], "optional": [{}, {"bearer": []}]}.get(auth, [{"bearer": []}])
    return out


def main():
    check = "--check" in sys.argv[1:]
    stale = []
    for name in sorted(os.listdir("spec")):
        if not name.endswith(".yaml"):
            continue
        for path, text in generate(f"spec/{name}").items():
            have = open(path, encoding="utf-8").read() if os.path.exists(path) else None
            if have == text:
                continue
            if check:
                stale.append(path)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                open(path, "w", encoding="utf-8").write(text)
    if stale:
        print("stale, run `make gen`: " + ", ".join(stale))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
