"""Random rows that look like a golden model's inputs: the same columns, ranges and categories."""

import random
import zlib


def rows_like(inputs, name, count, seed=0):
    """`count` rows; the same name and seed give the same rows."""
    rnd = random.Random(zlib.crc32(f"{seed} {name}".encode()))
    if isinstance(inputs[0], str):
        return [sentence(inputs, rnd) for _ in range(count)]
    columns = [column(cells) for cells in zip(*inputs)]
    return [[draw(rnd) for draw in columns] for _ in range(count)]


def sentence(docs, rnd):
    if all(len(d.split()) <= 1 for d in docs):
        return rnd.choice(docs)
    words = [w for d in docs for w in d.split()]
    return " ".join(rnd.choice(words) for _ in range(rnd.randrange(0, 15)))


def column(cells):
    """A function drawing one cell: categories are picked, measurements lie between two of them."""
    known = [c for c in cells if c is not None]
    missing = 0.05 if len(known) < len(cells) else 0.0
    numbers = [c for c in known if not isinstance(c, (str, bool))]
    whole = sum(float(c).is_integer() for c in numbers)
    if not known:
        return lambda rnd: None
    if len(numbers) < len(known) or whole >= 0.8 * len(numbers):
        return lambda rnd: None if rnd.random() < missing else rnd.choice(known)
    numbers.sort()
    middle = numbers[len(numbers) // 20: len(numbers) - len(numbers) // 10] or numbers

    def draw(rnd):
        if rnd.random() < missing:
            return None
        a, b = rnd.choice(middle), rnd.choice(middle)
        return a + (b - a) * rnd.random()

    return draw
