"""lexicon.tsv of the sentiment model: VADER's lists and TextBlob's lexicon in one file.

The format is described in src/engine/nlp/lexicon.h. VADER's word lists that are code there are read
from the package's source as data, not run.
"""

import ast
import os
import xml.etree.ElementTree as ET


def constants(source):
    """The module's top-level assignments of literals; names of earlier ones may be used."""
    known = {}

    class Names(ast.NodeTransformer):
        def visit_Name(self, node):
            return ast.copy_location(ast.Constant(known[node.id]), node)

    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                known[node.targets[0].id] = ast.literal_eval(Names().visit(node.value))
            except (ValueError, KeyError):
                continue
    return known


def tab_file(path):
    with open(path, encoding="utf-8") as f:
        for line in f.read().split("\n"):
            parts = line.strip().split("\t")
            if len(parts) >= 2:
                yield parts


def pattern_words(path):
    """Mean over a word's senses; the intensity of adverbs, which modify the next word."""
    senses = {}
    for w in ET.parse(path).getroot().iter("word"):
        senses.setdefault(w.get("form").lower(), []).append(
            (w.get("pos"), *(float(w.get(k, d)) for k, d in
                             (("polarity", 0), ("subjectivity", 0), ("intensity", 1)))))
    for form, many in sorted(senses.items()):
        mean = [sum(s[k] for s in many) / len(many) for k in (1, 2, 3)]
        if not any(s[0] == "RB" for s in many):
            mean[2] = 1.0
        yield form, mean


def lines(vader, textblob):
    with open(os.path.join(vader, "vaderSentiment", "vaderSentiment.py"), encoding="utf-8") as f:
        const = constants(f.read())
    lexicon = os.path.join(vader, "vaderSentiment", "vader_lexicon.txt")
    for word, v in {p[0]: float(p[1]) for p in tab_file(lexicon)}.items():
        yield "valence", word, repr(v)
    for word, v in const["BOOSTER_DICT"].items():
        yield "booster", word, repr(v)
    for word in dict.fromkeys(const["NEGATE"]):
        yield "negation", word
    for word, v in const["SPECIAL_CASES"].items():
        yield "special", word, repr(float(v))
    emoji = os.path.join(vader, "vaderSentiment", "emoji_utf8_lexicon.txt")
    for char, text in {p[0]: p[1] for p in tab_file(emoji)}.items():
        if len(char) == 1:  # VADER reads a text character by character: longer ones never match
            yield "emoji", char, text
    for word, v in pattern_words(os.path.join(textblob, "textblob", "en", "en-sentiment.xml")):
        yield ("pattern", word, *(f"{x:.6g}" for x in v))


def write(path, vader, textblob):
    with open(path, "w", encoding="utf-8") as f:
        for line in lines(vader, textblob):
            assert all("\t" not in x and "\n" not in x for x in line)
            f.write("\t".join(line) + "\n")
