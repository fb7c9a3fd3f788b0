"""Idempotency-Key on every request of /api/v2 that costs: the same answer, paid once."""
import concurrent.futures
import uuid

import pytest
from test_aisemble import V2, error
from test_aisemble_models import FRANCE, LONG, events, photo

ASKS = {"/ai/llm/generate": {"prompt": "Tell a story.", "max_tokens": 8, "temperature": 1.5},
        "/ai/llm/chat": {"messages": FRANCE, "max_tokens": 8, "temperature": 1.5},
        "/ai/nlp/analyze": {"text": "It was a wonderful day."},
        "/ai/nlp/summarize": {"text": "One cat sat there. Two dogs ran away.", "max_length": 5, "min_length": 1},
        "/ai/nlp/embeddings": {"input": "a cat"}}


@pytest.fixture
def key():
    return {"Idempotency-Key": uuid.uuid4().hex}


@pytest.mark.parametrize("path", ASKS)
def test_a_repeated_request_gets_the_first_ones_answer(user, key, path):
    first = user.post(V2 + path, ASKS[path], headers=key)
    again = user.post(V2 + path, ASKS[path], headers=key)
    assert first.status == 200 and again.body == first.body, (first, again)
    assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
    assert user.post(V2 + path, ASKS[path], headers={"Idempotency-Key": uuid.uuid4().hex}).body != first.body
    changed = dict(ASKS[path], **({"max_tokens": 9} if "llm" in path else {"text": "x"} if "text" in ASKS[path]
                                  else {"input": "a dog"}))
    e = error(user.post(V2 + path, changed, headers=key), 400, "INVALID_REQUEST")
    assert e["details"]["field"] == "Idempotency-Key" and "another request" in e["message"]


@pytest.mark.parametrize("path", ["/ai/vision/classify", "/ai/vision/analyze"])
def test_forms_are_the_same_when_their_fields_are(user, key, path):
    image, other = photo("chelsea.png"), photo("coffee.png")
    ask = lambda data, **f: user.request(  # noqa: E731
        "POST", V2 + path, form(data, f)[0], headers={**key, "Content-Type": form(data, f)[1]})
    first = ask(image, boundary="one")
    assert first.status == 200, first
    again = ask(image, boundary="another")
    assert again.body == first.body and again.headers["idempotency-replayed"] == "true"
    error(ask(other, boundary="one"), 400, "INVALID_REQUEST")
    error(ask(image, boundary="one", model="efficientnet-lite0"), 400, "INVALID_REQUEST")


def form(data, fields):
    boundary = fields.get("boundary", "b")
    parts = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'
                    for k, v in fields.items() if k != "boundary").encode()
    return (parts + f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n\r\n'.encode() +
            data + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}")


def test_streams_come_again_as_they_were(user, key):
    ask = lambda: user.post(V2 + "/ai/llm/chat", {**ASKS["/ai/llm/chat"], "stream": True}, headers=key)  # noqa: E731
    first, again = ask(), ask()
    assert events(first)[-1] == "[DONE]" and again.body == first.body
    assert again.headers["content-type"].startswith("text/event-stream") and "idempotency-replayed" in again.headers


def test_the_first_one_still_runs(user, key):
    """Six at once under one key: one runs, those that come meanwhile are told so, and nobody hears anything else."""
    ask = lambda: user.post(V2 + "/ai/llm/generate", {**LONG, "max_tokens": 200}, headers=key)  # noqa: E731
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        got = [f.result() for f in [pool.submit(ask) for _ in range(6)]]
    told = [r for r in got if r.status != 200]
    assert told, "two hundred words take longer than six requests"
    assert all("under way" in error(r, 409, "CONFLICT")["message"] for r in told)
    assert {r.body for r in got if r.status == 200} == {ask().body}


def test_failures_are_not_kept(user, key):
    bad = {"prompt": "x", "model": "gpt-99"}
    error(user.post(V2 + "/ai/llm/generate", bad, headers=key), 404, "RESOURCE_NOT_FOUND")
    error(user.post(V2 + "/ai/llm/generate", bad, headers=key), 404, "RESOURCE_NOT_FOUND")
    assert user.post(V2 + "/ai/llm/generate", ASKS["/ai/llm/generate"], headers=key).status == 200
    key = {"Idempotency-Key": uuid.uuid4().hex}
    error(user.post(V2 + "/ai/vision/classify", {"image": "!"}, headers=key), 400, "INVALID_REQUEST")
    assert user.post(V2 + "/ai/nlp/embeddings", {"input": "a cat"}, headers=key).status == 200


def test_accounts_do_not_share_keys(user, new_user, key):
    path = "/ai/nlp/embeddings"
    first = user.post(V2 + path, ASKS[path], headers=key)
    other = new_user().post(V2 + path, ASKS[path], headers=key)
    assert other.status == 200 and other.body != first.body and "idempotency-replayed" not in other.headers


def test_a_reply_too_large_to_be_kept_says_so(user, key):
    many = {"input": ["word"] * 1000}
    assert user.post(V2 + "/ai/nlp/embeddings", many, headers=key).status == 200
    e = error(user.post(V2 + "/ai/nlp/embeddings", many, headers=key), 409, "CONFLICT")
    assert "too large" in e["message"]
