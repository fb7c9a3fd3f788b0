"""Text: vectorizers alone (transform) and in front of classifiers."""

from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import (CountVectorizer, HashingVectorizer, TfidfTransformer,
                                             TfidfVectorizer)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.svm import LinearSVC

from . import data as D


def build(g):
    vectorizers(g)
    classifiers(g)


def vectorizers(g):
    docs, _ = D.texts()
    CV, TV, HV = CountVectorizer, TfidfVectorizer, HashingVectorizer
    few = dict(max_features=60)
    cases = {
        "count": CV(**few),
        "count_min_df": CV(min_df=2, max_df=0.4),
        "count_words_1_2": CV(ngram_range=(1, 2), min_df=2),
        "count_words_2_3": CV(ngram_range=(2, 3), max_features=40),
        "count_char": CV(analyzer="char", ngram_range=(1, 3), max_features=60),
        "count_char_wb": CV(analyzer="char_wb", ngram_range=(2, 4), max_features=60),
        "count_stop_english": CV(stop_words="english", max_features=50),
        "count_stop_list": CV(stop_words=["the", "a", "of", "and"], **few),
        "count_stop_ngram": CV(stop_words="english", ngram_range=(1, 2), max_features=50),
        "count_binary": CV(binary=True, **few),
        "count_case": CV(lowercase=False, **few),
        "count_accents_unicode": CV(strip_accents="unicode", **few),
        "count_accents_ascii": CV(strip_accents="ascii", **few),
        "count_vocabulary": CV(vocabulary=["final", "memory", "butter", "goal", "é"]),
        "count_token_pattern": CV(token_pattern=r"(?u)\b\w+\b", **few),
        "tfidf": TV(**few),
        "tfidf_l1": TV(norm="l1", **few),
        "tfidf_no_norm": TV(norm=None, **few),
        "tfidf_sublinear": TV(sublinear_tf=True, **few),
        "tfidf_no_idf": TV(use_idf=False, **few),
        "tfidf_no_smooth": TV(smooth_idf=False, **few),
        "tfidf_binary": TV(binary=True, ngram_range=(1, 2), min_df=2),
        "tfidf_char_wb": TV(analyzer="char_wb", ngram_range=(3, 3), max_features=50),
        "tfidf_accents": TV(strip_accents="unicode", stop_words="english", **few),
        "hash": HV(n_features=64),
        "hash_unsigned": HV(n_features=50, alternate_sign=False, norm="l1"),
        "hash_raw": HV(n_features=32, norm=None, ngram_range=(1, 2), binary=True),
        "hash_char": HV(n_features=40, analyzer="char", ngram_range=(2, 2), strip_accents="unicode"),
    }
    for name, est in cases.items():
        pattern = "custom token_pattern: a converter may refuse it" if name.endswith("pattern") else ""
        g.fit("text_" + name, est, docs, inputs=D.text_inputs(), notes=pattern)


def classifiers(g):
    docs, labels = D.texts()
    LR, small = LogisticRegression, dict(max_features=150)
    cases = {
        "tfidf_lr": make_pipeline(TfidfVectorizer(), LR(max_iter=200)),
        "tfidf_lr_bigrams": make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=200),
                                          LR(C=10, max_iter=200)),
        "count_mnb": make_pipeline(CountVectorizer(), MultinomialNB()),
        "count_cnb": make_pipeline(CountVectorizer(**small), ComplementNB()),
        "tfidf_svc": make_pipeline(TfidfVectorizer(stop_words="english"), LinearSVC(random_state=0)),
        "tfidf_sgd": make_pipeline(TfidfVectorizer(), SGDClassifier(loss="log_loss", random_state=0)),
        "hash_lr": make_pipeline(HashingVectorizer(n_features=128), LR(max_iter=200)),
        "hash_tfidf_sgd": make_pipeline(HashingVectorizer(n_features=128, norm=None, alternate_sign=False),
                                        TfidfTransformer(), SGDClassifier(loss="modified_huber", random_state=0)),
        "count_tfidf_lr": Pipeline([("count", CountVectorizer(ngram_range=(1, 2), max_features=200)),
                                    ("tfidf", TfidfTransformer(sublinear_tf=True)), ("model", LR(max_iter=200))]),
        "char_lr": make_pipeline(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), max_features=200),
                                 LR(max_iter=200)),
        "union_lr": make_pipeline(FeatureUnion([("words", TfidfVectorizer(**small)),
                                                ("chars", CountVectorizer(analyzer="char", max_features=40))]),
                                  MaxAbsScaler(), LR(max_iter=300)),
        "tfidf_forest": make_pipeline(TfidfVectorizer(max_features=80),
                                      RandomForestClassifier(n_estimators=5, max_depth=6, random_state=0)),
    }
    for name, est in cases.items():
        g.fit("text_" + name, est, docs, labels, inputs=D.text_inputs())
    g.fit("text_tfidf_lr_binary", make_pipeline(TfidfVectorizer(**small), LR(max_iter=200)), docs,
          (labels == "tech").astype(int), inputs=D.text_inputs())
