"""The small real data sets the golden models are trained on, and two written by hand."""

import numpy as np
from sklearn import datasets

NAN = float("nan")


def iris():
    d = datasets.load_iris()
    return d.data, d.target


def iris_frame():
    d = datasets.load_iris(as_frame=True)
    return d.data, d.target


def iris_named():
    d = datasets.load_iris()
    return d.data, d.target_names[d.target]


def wine():
    d = datasets.load_wine()
    return d.data, d.target


def cancer(cols=10):
    """Breast cancer, the first `cols` of its 30 columns (the files stay small)."""
    d = datasets.load_breast_cancer()
    return np.ascontiguousarray(d.data[:, :cols]), d.target


def digits(rows=300):
    d = datasets.load_digits()
    return d.data[:rows], d.target[:rows]


def diabetes():
    """Diabetes in its raw units (short numbers, integers, very different scales)."""
    d = datasets.load_diabetes(scaled=False)
    return d.data, d.target


def diabetes_scaled():
    """Diabetes as published by scikit-learn: columns centred and scaled."""
    d = datasets.load_diabetes()
    return d.data, d.target


def linnerud():
    d = datasets.load_linnerud()
    return d.data, d.target


def with_missing(X, seed=7, share=0.12):
    """X with a fixed share of its cells replaced by NaN."""
    X = np.array(X, dtype=np.float64)
    holes = np.random.RandomState(seed).random_sample(X.shape) < share
    X[holes] = np.nan
    return X


_SPORT = """The striker scored twice in the final minutes of the match.
Rain stopped play on the second day of the cricket test.
She ran the marathon in under three hours for the first time.
The goalkeeper saved a penalty and the team won the cup.
Their coach wants a faster midfield before the season starts.
A late goal sent the crowd home happy.
He broke the 100 m record by 0.02 seconds.
The tennis final went to five sets, 7-6 in the last one!
Two cyclists crashed near the finish line on Sunday.
The rowing team trains at 5 a.m., even in winter.
Our team lost the away match but kept the league lead.
The referee showed a red card after a hard tackle.
The swimmer won gold in the 200 m butterfly.
Fans waited all night for tickets to the final.
The club signed a young defender from the second league.
A broken racket cost her the first set.
The skier missed a gate and was disqualified.
Volleyball players jumped higher than last season's average.
They won 3-2 after extra time; nobody expected it.
The captain's injury keeps him out for six weeks.
Basketball is fast: twenty-four seconds for each attack.
The match ended in a draw, 1-1."""

_FOOD = """Boil the pasta in salted water for nine minutes.
Add two cloves of garlic and a spoon of olive oil.
The soup needs more pepper, and the bread is stale.
Bake the cake at 180 degrees until it is golden.
She ordered a café au lait and a piece of apple pie.
Fresh basil and ripe tomatoes make a simple salad.
Whisk the eggs with sugar, then fold in the flour.
Let the dough rest for an hour in a warm place.
The crème brûlée was cold in the middle.
He grilled the fish with lemon and herbs.
Rice, beans and corn are cheap and filling.
Do not stir the sauce too often or it will break.
A pinch of salt brings out the taste of chocolate.
Fry the onions in butter until they are soft.
The cheese smells strong but tastes mild.
We cooked a stew of beef, carrots and potatoes.
Coffee beans should be ground just before brewing.
The jalapeño was too hot for the children.
Serve the pancakes with honey and fresh berries.
This bakery sells the best rye bread in town.
Cut the vegetables thin; they cook in 3 minutes.
The recipe asks for 250 g of butter and 4 eggs."""

_TECH = """The server answers a request in less than one millisecond.
Restart the database after you change the configuration file.
The compiler reported an error in line 42 of main.c.
Our new laptop has sixteen gigabytes of memory.
A memory leak made the process crash every night.
The update fixes a bug in the network driver.
Encrypt the backup before you copy it to the cloud.
He wrote a small parser for JSON in an afternoon.
The phone's battery lasts two days with light use.
Store passwords as salted hashes, never as plain text.
The query is slow because the table has no index.
She merged the branch after all tests had passed.
A naïve loop was replaced by a vector instruction.
The router drops packets when its buffer is full.
Users can log in with a key or a one-time code.
The GPU renders sixty frames per second.
Version 2.0 of the library removes old functions.
Please attach the log file and the exact command.
The disk is full; delete some old snapshots.
Two threads wrote to the same cache line.
The model file is loaded once and mapped into memory.
An unsigned integer wraps around when it overflows."""

WORDS_LABEL = ("sport", "food", "tech")


def texts():
    """66 short documents in three classes, and their labels as strings."""
    docs, labels = [], []
    for label, block in zip(WORDS_LABEL, (_SPORT, _FOOD, _TECH)):
        for line in block.splitlines():
            docs.append(line)
            labels.append(label)
    return docs, np.array(labels)


def text_inputs():
    """Held-out documents: known words, unknown words, empty, blank, accents, punctuation."""
    return [
        "The team won the final match in extra time.",
        "Add salt, pepper and butter to the soup.",
        "The server crashed because the disk was full.",
        "THE SERVER AND THE TEAM ATE FRESH BREAD",
        "cafe creme brulee jalapeno",
        "Café CRÈME brûlée naïve jalapeño",
        "",
        "   ",
        "zzz qqqq unknownword xylophone",
        "a b c d 1 2 3",
        "the the the the the and of is",
        "goal goal goal goal memory",
        "2.0 180 42 250 g 3-2, 7-6!",
        "don't stop: it's one-time, in-memory & error_code_7",
        "tabs\tand\nnew lines\r\nare white space",
        "Straße, ŁÓDŹ, Ελλάδα, 東京 and Москва",
        "ﬁnal ｆｕｌｌ ½ ² İstanbul",
        "file",
        "memory index cache network database compiler",
        "Boil the eggs. Restart the server. Run the marathon.",
        "e\u0301gal cafe\u0301 nai\u0308ve",
        "emoji 😀 goal 👍🏽 pasta",
        "x" * 60 + " final",
    ]


MIXED_COLUMNS = ["age", "city", "income", "plan", "visits", "colour"]

_MIXED = """34|Graz|2810.5|basic|3|red|0
41|Linz||plus|12|blue|1
29||1990.0|basic|1|green|0
52|Wien|5120.75|pro|30|red|1
|Graz|3300.0|plus|9||1
23|Wien|1450.25|basic|0|blue|0
38|Linz|2990.0||7|green|0
47|Salzburg|4100.0|pro|25|blue|1
61|Graz|3875.5|plus|14|red|1
33|Wien||basic|2|red|0
|Linz|2250.0|basic|4|blue|0
45|Wien|4650.0|pro|22|green|1
27|Graz|1780.0|basic|1|blue|0
56||4990.0|pro|28||1
31|Linz|2600.0|plus|6|red|0
39|Wien|3150.5|plus|11|blue|1
24|Graz|1500.0|basic|2|green|0
49|Wien|4400.0|pro|19|red|1
36|Linz|2750.0||5|blue|0
58|Graz|4700.25|pro|27|red|1
30|Wien|2100.0|basic|3|green|0
43|Salzburg|3600.0|plus|13|blue|1
26|Linz|1625.0|basic|0|red|0
54|Wien|5000.0|pro|31|blue|1
|Graz|2900.0|plus|8|green|1
35|Linz|2450.0|basic|4|red|0
48|Wien|4300.0|pro|21|blue|1
22|Graz||basic|1|red|0
40|Linz|3400.0|plus|10|green|1
32||2300.0|basic|3|blue|0
59|Wien|5300.0|pro|33|red|1
28|Graz|1850.0|basic|2|blue|0
44|Linz|3700.0|plus|15|red|1
37|Wien|2700.0|plus|5|green|0
50|Graz|4550.0|pro|24|blue|1
25|Salzburg|1700.0|basic|0|red|0
46|Wien|4050.0||18|blue|1
34|Linz|2500.0|basic|4|green|0
57|Graz|5150.0|pro|29|red|1
42|Wien|3550.0|plus|12|blue|1"""


def mixed():
    """A table of numbers and strings with missing values, as a DataFrame, and a 0/1 target."""
    rows, y = [], []
    for line in _MIXED.splitlines():
        *cells, target = line.split("|")
        rows.append([_cell(i, c) for i, c in enumerate(cells)])
        y.append(int(target))
    return mixed_frame(rows), np.array(y)


def _cell(col, text):
    if text == "":
        return None
    return float(text) if col in (0, 2, 4) else text


def mixed_frame(rows, columns=MIXED_COLUMNS):
    """Rows of numbers, strings and None as a DataFrame: float and object columns, NaN = missing."""
    import pandas as pd

    frame = {}
    for i, name in enumerate(columns):
        cells = [NAN if r[i] is None else r[i] for r in rows]
        numeric = not any(isinstance(c, str) for c in cells)
        frame[name] = pd.Series(cells, dtype="float64" if numeric else "object")
    return pd.DataFrame(frame, columns=list(columns))


def mixed_inputs(missing=True, unseen=True):
    """Rows for models on the mixed table; see mixed()."""
    rows = [
        [34.0, "Graz", 2810.5, "basic", 3.0, "red"],
        [41.0, "Linz", 3000.0, "plus", 12.0, "blue"],
        [52.0, "Wien", 5120.75, "pro", 30.0, "green"],
        [47.0, "Salzburg", 4100.0, "pro", 25.0, "blue"],
        [0.0, "Wien", 0.0, "basic", 0.0, "red"],
        [-5.0, "Graz", -100.25, "plus", -1.0, "green"],
        [1e6, "Linz", 1e9, "pro", 1e5, "blue"],
        [33.3, "Wien", 2222.2, "basic", 2.5, "red"],
    ]
    if missing:
        rows += [
            [None, "Graz", 2000.0, "basic", 3.0, "red"],
            [30.0, None, 2000.0, "basic", 3.0, "red"],
            [30.0, "Wien", None, None, 3.0, "blue"],
            [None, None, None, None, 4.0, None],
        ]
    if unseen:
        rows += [
            [30.0, "Paris", 2000.0, "basic", 3.0, "red"],
            [30.0, "Wien", 2000.0, "gold", 3.0, "violet"],
            [30.0, "wien", 2000.0, "", 3.0, "Red"],
        ]
    return rows
