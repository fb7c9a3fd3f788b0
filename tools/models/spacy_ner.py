#!/usr/bin/env python3
"""Turns spaCy's small English named-entity network into one flat file for src/engine/nlp.

usage: spacy_ner.py OUT_DIR FOLDER   (as tools/models/install.py runs it)
       spacy_ner.py --small FILE     a few rules without a network, for the fuzz corpus

FOLDER is the unpacked en_core_web_sm wheel; OUT_DIR/ner.bin is written. spaCy itself is not needed: its msgpack files are read
here, and its tokenizer's regular expressions are taken apart by Python's own parser into lists of
alternatives (character sets before, in and after a match) that the C side walks. A construct that
does not fit this form stops the conversion. The file's layout: docs/NLP.md.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

import numpy as np

try:
    from re import _constants as sre
    from re import _parser as sre_parse
except ImportError:  # before Python 3.11
    import sre_constants as sre
    import sre_parse

MAGIC = b"MRNER\0\0\1"
PANEL = 48  # columns of one packed panel of a weight matrix
TOP = 0x10FFFF
MORE, NOT = 1, 2  # the last set of a body once or more; what follows must not be in the set

# Norms that spaCy gives to punctuation and currency whatever the model (its BASE_NORMS).
BASE_NORMS = {
    "'s": "'s 'S ’s ’S",
    "'": "’ ‘ ´ `",
    '"': "” “ '' `` ´´ „ » « ‘‘ ’’",
    "-": "— – -- --- ——",
    "$": "€ £ ¥ ฿ US$ C$ A$ ₺ ₹ ৳ ₩ Mex$ ₣ E£",
    ".": "。 ।",
    "...": "…",
    "?": "？",
    "!": "！",
    ",": "，",
    ";": "；",
    ":": "：",
}

# Strings that spaCy numbers instead of hashing, as far as a norm (lower case), a first letter, the
# last three letters or a shape can be one of them.
SYMBOLS = {
    64: "ID", 74: "POS TAG DEP", 84: "ADJ ADP ADV AUX", 90: "DET", 93: "NUM", 99: "SYM", 101: "X EOL",
    383: "ORG GPE LOC", 390: "LAW",
    398: "acomp advcl advmod agent amod appos attr aux auxpass cc ccomp complm conj cop csubj csubjpass "
    "dep det dobj expl hmod hyph infmod intj iobj mark meta neg nmod nn npadvmod nsubj nsubjpass num "
    "number oprd obj obl parataxis partmod pcomp pobj poss possessive preconj prep prt punct quantmod "
    "relcl rcmod root xcomp acl",
    455: "IDX _",
}  # fmt: skip

# The URL rule without its set of top-level-domain letters: src/engine/nlp/ner_url.c is written for it.
URL_RULE = "f05b784205a8d93f3d517ed12bffbf9b48f3c99983893ad37457926cd5d0a313"


class MsgPack:
    """MessagePack: https://github.com/msgpack/msgpack/blob/master/spec.md"""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise ValueError("msgpack: cut off")
        self.at += n
        return self.data[self.at - n : self.at]

    def num(self, fmt):
        return struct.unpack(">" + fmt, self.take(struct.calcsize(fmt)))[0]

    def text(self, n):
        raw = self.take(n)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw

    def read(self):
        t = self.num("B")
        if t < 0x80:
            return t
        if t < 0x90:
            return self.map(t & 15)
        if t < 0xA0:
            return self.array(t & 15)
        if t < 0xC0:
            return self.text(t & 31)
        if t >= 0xE0:
            return t - 256
        simple = {0xC0: None, 0xC2: False, 0xC3: True}
        if t in simple:
            return simple[t]
        if 0xC4 <= t <= 0xC6:
            return bytes(self.take(self.num("BHI"[t - 0xC4])))
        if 0xCA <= t <= 0xD3:
            return self.num("fdBHIQbhiq"[t - 0xCA])
        if 0xD9 <= t <= 0xDB:
            return self.text(self.num("BHI"[t - 0xD9]))
        if t in (0xDC, 0xDD):
            return self.array(self.num("HI"[t - 0xDC]))
        if t in (0xDE, 0xDF):
            return self.map(self.num("HI"[t - 0xDE]))
        raise ValueError(f"msgpack: type {t:#x} is not used by spaCy")

    def array(self, n):
        return [self.read() for _ in range(n)]

    def map(self, n):
        ret = {}
        for _ in range(n):
            key = self.read()
            ret[key] = self.read()
        return ret


def unpack(data):
    return MsgPack(data).read()


def tensor(t):
    """msgpack-numpy's form of an array: {nd, type, kind, shape, data} with bytes as keys or text."""
    t = {k if isinstance(k, str) else k.decode(): v for k, v in t.items()}
    data = t["data"]
    if isinstance(data, str):
        data = data.encode()
    kind = t["type"] if isinstance(t["type"], str) else t["type"].decode()
    return np.frombuffer(data, dtype=kind).reshape(t["shape"]).astype("<f4")


class Sets:
    """Sets of characters as sorted ranges, each kept once."""

    def __init__(self):
        self.ids = {}

    def add(self, ranges):
        merged = []
        for lo, hi in sorted(ranges):
            if merged and lo <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(hi, merged[-1][1]))
            else:
                merged.append((lo, hi))
        return self.ids.setdefault(tuple(merged), len(self.ids))

    def union(self, a, b):
        names = {v: k for k, v in self.ids.items()}
        return self.add(names[a] + names[b])

    def where(self, predicate):
        return self.add((c, c) for c in range(TOP + 1) if not 0xD800 <= c < 0xE000 and predicate(chr(c)))


def fail(what):
    raise SystemExit(f"spacy_ner.py: {what}: the tokenizer's rules are not those this converter was made for")


def char_set(op, arg, sets):
    if op is sre.LITERAL:
        return sets.add([(arg, arg)])
    if op is not sre.IN:
        return None
    ranges = []
    for kind, value in arg:
        if kind is sre.LITERAL:
            ranges.append((value, value))
        elif kind is sre.RANGE:
            ranges.append(value)
        else:
            fail(f"set item {kind}")
    return sets.add(ranges)


def sequences(items, sets):
    """All sequences of atoms that a pattern stands for, in the order in which they are tried.
    Atoms: ('set', id), ('more', id): once or more, at the end only; ('behind'/'ahead'/'not', ids); ends."""
    ret = [[]]
    for op, arg in items:
        one = char_set(op, arg, sets)
        if one is not None:
            choices = [[("set", one)]]
        elif op is sre.BRANCH:
            choices = [s for branch in arg[1] for s in sequences(branch, sets)]
        elif op is sre.SUBPATTERN:
            choices = sequences(arg[-1], sets)
        elif op is sre.AT and arg in (sre.AT_BEGINNING, sre.AT_END):
            choices = [[("begin" if arg is sre.AT_BEGINNING else "end", 0)]]
        elif op is sre.ASSERT:
            inner = sequences(arg[1], sets)
            if any(kind != "set" for s in inner for kind, _ in s):
                fail("look-around")
            choices = [[("behind" if arg[0] < 0 else "ahead", tuple(v for _, v in s))] for s in inner]
        elif op is sre.ASSERT_NOT and arg[0] > 0 and len(arg[1]) == 1:
            choices = [[("not", (char_set(*arg[1][0], sets),))]]
        elif op is sre.MAX_REPEAT and arg[0] == 1 and arg[1] is sre.MAXREPEAT and len(arg[2]) == 1:
            one = char_set(*arg[2][0], sets)
            if one is None:
                fail("repeat")
            choices = [[("more", one)]]
        else:
            fail(f"operator {op}")
        ret = [a + b for a in ret for b in choices]
    return ret


def alternative(seq):
    """One sequence as (begin, end, flags, behind, body, ahead); flags: MORE, NOT."""
    begin = end = False
    flags = 0
    behind, ahead, body = (), (), []
    for kind, value in seq:
        if kind == "begin" and not body:
            begin = True
        elif kind == "end":
            end = True
        elif kind == "behind" and not body and not behind:
            behind = value
        elif kind in ("ahead", "not") and not ahead and None not in value:
            ahead = value
            flags |= NOT if kind == "not" else 0
        elif kind in ("set", "more") and not (end or ahead or flags):
            body.append(value)
            flags |= MORE if kind == "more" else 0
        else:
            fail(f"order of {kind}")
    if not body or (flags & MORE and ahead):
        fail("empty match")
    return begin, end, flags, behind, tuple(body), ahead


def rules(pattern, sets, begin, end):
    """Alternatives of a rule; neighbours of one letter that agree in all else become one set."""
    ret = []
    for seq in sequences(sre_parse.parse(pattern), sets):
        alt = alternative(seq)
        if alt[:2] != (begin, end):
            fail("anchors")
        last = ret[-1] if ret else None
        if last and len(alt[4]) == 1 and len(last[4]) == 1 and alt[:4] == last[:4] and alt[5] == last[5]:
            ret[-1] = (*alt[:4], (sets.union(last[4][0], alt[4][0]),), alt[5])
        else:
            ret.append(alt)
    return ret


def url_set(pattern, sets):
    """The set of letters of a top-level domain; the rest of the rule must be the known one."""
    found = []

    def walk(items):
        for op, arg in items:
            if op is sre.MAX_REPEAT and arg[:2] == (2, 63):
                found.append(char_set(*arg[2][0], sets))
            if op is sre.BRANCH:
                for b in arg[1]:
                    walk(b)
            elif op is sre.SUBPATTERN:
                walk(arg[-1])
            elif op is sre.MAX_REPEAT:
                walk(arg[2])

    walk(sre_parse.parse(pattern))
    start = pattern.rfind("(?:[", 0, pattern.rfind("]{2,63}"))
    rest = pattern[:start] + pattern[pattern.rfind("]{2,63}") :]
    if len(found) != 1 or hashlib.sha256(rest.encode()).hexdigest() != URL_RULE:
        fail("URL rule " + hashlib.sha256(rest.encode()).hexdigest())
    return found[0]


def text(s):
    raw = s.encode()
    return struct.pack("<I", len(raw)) + raw


def u32(*values):
    return struct.pack(f"<{len(values)}I", *values)


def panels(w):
    """[K][N] -> [N/48][K][48], columns filled up with zeros."""
    k, n = w.shape
    full = np.zeros((k, -(-n // PANEL) * PANEL), "<f4")
    full[:, :n] = w
    return np.ascontiguousarray(full.reshape(k, -1, PANEL).transpose(1, 0, 2))


def maxout(w, b):
    """(nO, nP, nI) and (nO, nP), the pieces of one output apart -> packed [nI][nP*nO], [nP*nO]."""
    return [panels(w.transpose(2, 1, 0).reshape(w.shape[2], -1)), np.ascontiguousarray(b.T)]


def network(model):
    """Dimensions and weights in the order in which the C side reads them."""
    nodes = {}
    for node, attrs, params in zip(model["nodes"], model["attrs"], model["params"]):
        got = {k: tensor(v) for k, v in params.items() if v is not None}
        nodes.setdefault(node["name"], []).append((attrs, got))
    embeds, mixes, norms = nodes["hashembed"], nodes["maxout"], nodes["layernorm"]
    (linear, upper), lower = [p for _, p in nodes["linear"]], nodes["precomputable_affine"][0][1]
    if linear["W"].shape != (64, 96):
        linear, upper = upper, linear
    dims = [len(embeds), len(mixes) - 1, *lower["W"].shape[:3], upper["W"].shape[0]]
    if dims != [4, 4, 3, 64, 2, 74] or len(norms) != 5:
        fail(f"network {dims}")
    weights = []
    for attrs, p in embeds:
        dims += [p["E"].shape[0], unpack(attrs["seed"])]
        weights.append(p["E"])
    for (_, m), (_, n) in zip(mixes, norms):
        weights += [*maxout(m["W"], m["b"]), n["G"], n["b"]]
    weights += [panels(linear["W"].T), linear["b"]]
    w = lower["W"]
    for f in range(3):
        weights.append(panels(w[f].transpose(2, 1, 0).reshape(64, 128)))
    weights += [lower["pad"][0].transpose(0, 2, 1), lower["b"].T, panels(upper["W"].T), upper["b"]]
    return u32(*dims), b"".join(np.ascontiguousarray(w, "<f4").tobytes() for w in weights)


def moves(raw):
    """The actions in spaCy's order: by kind, then by how often a label was seen, most often first."""
    table = json.loads(unpack(raw)["moves"])
    ret = []
    for kind in sorted(table, key=int):
        for _, label in sorted(((f, name) for name, f in table[kind].items()), reverse=True):
            ret.append((int(kind), label))
    return u32(len(ret)) + b"".join(u32(k) + text(label) for k, label in ret)


def rule_section(patterns, sets):
    """The alternatives of prefix, suffix and infix rule."""
    ret = b""
    for pattern, begin, end in zip(patterns, (True, False, False), (False, True, False), strict=True):
        alts = rules(pattern, sets, begin, end)
        ret += u32(len(alts))
        for _, _, flags, behind, body, ahead in alts:
            ret += u32(flags, len(behind), *behind, len(body), *body, len(ahead), *ahead)
    return ret


def word_sections(exceptions, norm, base, symbols):
    spec = u32(len(exceptions))
    for chunk, parts in exceptions:
        spec += text(chunk) + u32(len(parts)) + b"".join(text(o) + text(n) for o, n in parts)
    return {
        b"spec": spec,
        b"norm": u32(len(norm)) + b"".join(struct.pack("<Q", k) + text(v) for k, v in norm.items()),
        b"base": u32(len(base)) + b"".join(text(o) + text(n) for o, n in base),
        b"syms": u32(len(symbols)) + b"".join(text(s) + u32(i) for s, i in symbols),
    }


def set_section(sets):
    return u32(len(sets.ids)) + b"".join(u32(len(s)) + b"".join(u32(*r) for r in s) for s in sets.ids)


def flat_file(sections):
    out = MAGIC + u32(len(sections), 0)
    at = 64 * -(-(len(out) + 16 * len(sections)) // 64)
    body = b""
    for tag, data in sections.items():
        out += tag + u32(at, len(data), 0)
        body += data + b"\0" * (-len(data) % 64)
        at += len(data) + -len(data) % 64
    return out + b"\0" * (-len(out) % 64) + body


def convert(folder):
    (found,) = Path(folder).glob("*/*/ner/model")
    root = found.parent.parent
    tok = unpack((root / "tokenizer").read_bytes())
    norm = unpack((root / "vocab/lookups.bin").read_bytes())["lexeme_norm"]
    if not tok["faster_heuristics"] or tok["token_match"]:
        fail("token_match")
    sets = Sets()
    rule = rule_section((tok["prefix_search"], tok["suffix_search"], tok["infix_finditer"]), sets)
    props = [url_set(tok["url_match"], sets), *map(sets.where, (str.isalpha, str.isupper, str.isdigit))]
    orth, norm_attr = 65, 67
    exceptions = [(c, [(p[orth], p.get(norm_attr, "")) for p in parts]) for c, parts in tok["exceptions"].items()]
    base = [(o, n) for n, os in BASE_NORMS.items() for o in os.split(" ")]
    symbols = [(s, first + i) for first, names in SYMBOLS.items() for i, s in enumerate(names.split(" "))]
    dims, weights = network(unpack((root / "ner/model").read_bytes()))
    sections = {b"dims": dims, b"move": moves((root / "ner/moves").read_bytes())}
    sections |= {b"sets": set_section(sets), b"rule": rule, b"prop": u32(*props)}
    return flat_file(sections | word_sections(exceptions, norm, base, symbols) | {b"wght": weights})


def small():
    """Rules of every form, as spaCy's are, and a few words."""
    sets = Sets()
    rule = rule_section((r"^\(|^:|^\+(?![0-9])|^\.\.+|^US\$|^[\u00a6\u2100-\u21ff]",
                         r"\)$|:$|'s$|\.\.+$|(?<=[0-9])(?:km|m)$|(?<=°[FC])\.$|(?<=[a-z])\.$",
                         r"\.\.+|(?<=[a-z])\.(?=[A-Z])|(?<=[a-zA-Z])(?:-|--)(?=[a-z])"), sets)  # fmt: skip
    props = [sets.add([(97, 122)]), sets.add([(65, 90), (97, 122), (192, 500)]), sets.add([(65, 90)]),
             sets.add([(48, 57)])]  # fmt: skip
    exceptions = [("can't", [("ca", "can"), ("n't", "not")]), (":)", [(":)", "")]), (":-(", [(":-(", "")]), ("(:", [("(:", "")]),
                  ("\n", [("\n", "")]), ("e.g.", [("e.g.", "")])]  # fmt: skip
    words = word_sections(exceptions, {5827203507584285142: "because"}, [("—", "-")], [("x", 101)])
    return flat_file({b"sets": set_section(sets), b"rule": rule, b"prop": u32(*props)} | words)


def main():
    if sys.argv[1] == "--small":
        Path(sys.argv[2]).write_bytes(small())
        return
    out_dir, folder = sys.argv[1:]
    (Path(out_dir) / "ner.bin").write_bytes(convert(folder))


if __name__ == "__main__":
    main()
