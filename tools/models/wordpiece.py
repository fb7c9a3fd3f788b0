"""BERT's uncased WordPiece in plain Python, for converters: as src/engine/nlp/wordpiece.c reads
text, but for rarities of Unicode (characters outside the tables of this Python)."""

import unicodedata

CJK = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
       (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))


def _alone(c):
    """Punctuation and CJK characters are words of their own."""
    cp = ord(c)
    if cp < 128:
        return cp > 32 and not c.isalnum()
    return unicodedata.category(c)[0] == "P" or any(a <= cp <= b for a, b in CJK)


def _words(text):
    out, word = [], ""
    for c in text:
        if c in "\t\n\r" or c.isspace():
            out.append(word)
            word = ""
            continue
        if c == "\ufffd" or unicodedata.category(c)[0] == "C":
            continue
        for x in unicodedata.normalize("NFD", c):
            if unicodedata.category(x) == "Mn":
                continue
            for y in x.lower():
                if _alone(y):
                    out += [word, y]
                    word = ""
                else:
                    word += y
    out.append(word)
    return [w for w in out if w]


class WordPiece:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.ids = {w: k for k, w in enumerate(f.read().split("\n")[:-1])}
        self.longest = max(map(len, self.ids))
        self.known = {}

    def word(self, w):
        if w in self.known:
            return self.known[w]
        out, at = [], 0
        while at < len(w) <= 100:
            for end in range(min(len(w), at + self.longest), at, -1):
                piece = ("##" if at else "") + w[at:end]
                if piece in self.ids:
                    break
            else:
                out = []
                break
            out.append(self.ids[piece])
            at = end
        self.known[w] = out or [self.ids["[UNK]"]]
        return self.known[w]

    def encode(self, text, most=256):
        out = [x for w in _words(text) for x in self.word(w)]
        return [self.ids["[CLS]"], *out[: most - 2], self.ids["[SEP]"]]
