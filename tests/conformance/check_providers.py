"""The providers' own SDKs against the stand-in upstream: proof that what our gateway is tested with is faithful.

    check_providers.py [PROGRAM]        default build/release/standin_upstream
"""
import os
import re
import subprocess
import sys

import openai
from mistralai.client import Mistral, errors

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
results = []


def case(fn):
    try:
        fn()
        results.append(True)
        print(f"ok    {fn.__name__}")
    except Exception as e:  # an SDK that cannot read the reply raises anything
        results.append(False)
        print(f"FAIL  {fn.__name__}: {type(e).__name__}: {e}")


def raises(kind, fn, status):
    try:
        fn()
    except kind as e:
        got = getattr(e, "status_code", None) or getattr(getattr(e, "raw_response", None), "status_code", None)
        assert got == status, f"status {got}, want {status}"
        return e
    raise AssertionError(f"no {kind.__name__}")


def ask(text):
    return [{"role": "user", "content": text}]


def run_openai(base):
    client = openai.OpenAI(api_key="sk-test", base_url=base + "/v1", max_retries=0)

    def openai_chat():
        r = client.chat.completions.create(model="gpt-4o-mini", messages=ask("hello"), max_completion_tokens=50)
        assert r.id and r.model == "gpt-4o-mini" and r.object == "chat.completion" and r.choices[0].message.content
        assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens
        assert r.usage.prompt_tokens_details.cached_tokens == 0

    def openai_stream():
        pieces = list(client.chat.completions.create(model="gpt-4o-mini", messages=ask("hello"), stream=True,
                                                     stream_options={"include_usage": True}))
        text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
        plain = client.chat.completions.create(model="gpt-4o-mini", messages=ask("hello"))
        assert text == plain.choices[0].message.content
        assert pieces[-1].usage.total_tokens == plain.usage.total_tokens and not pieces[-1].choices

    def openai_stream_without_usage():
        pieces = list(client.chat.completions.create(model="gpt-4o-mini", messages=ask("hello"), stream=True))
        assert all(p.usage is None for p in pieces)

    def openai_cached_tokens():
        r = client.chat.completions.create(model="gpt-4o-mini", messages=ask("word " * 2000))
        assert 0 < r.usage.prompt_tokens_details.cached_tokens < r.usage.prompt_tokens

    def openai_length():
        r = client.chat.completions.create(model="gpt-4o-mini", messages=ask("hello"), max_completion_tokens=3)
        assert r.choices[0].finish_reason == "length" and r.usage.completion_tokens == 3

    def openai_embeddings():
        r = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"], encoding_format="float")
        assert len(r.data) == 2 and r.data[1].index == 1 and r.usage.prompt_tokens > 0

    def openai_models():
        assert any(m.id == "gpt-4o-mini" for m in client.models.list())

    def openai_errors():
        bad = openai.OpenAI(api_key="bad-key", base_url=base + "/v1", max_retries=0)
        raises(openai.AuthenticationError, lambda: bad.models.list(), 401)
        for status, kind in ((400, openai.BadRequestError), (404, openai.NotFoundError),
                             (429, openai.RateLimitError), (500, openai.InternalServerError)):
            e = raises(kind, lambda s=status: client.chat.completions.create(
                model="gpt-4o-mini", messages=ask(f"[standin fault={s}] x")), status)
            assert e.body and e.body.get("message")
        e = raises(openai.RateLimitError, lambda: client.chat.completions.create(
            model="gpt-4o-mini", messages=ask("[standin fault=quota] x")), 429)
        assert e.code == "insufficient_quota"

    def openai_retries_what_it_may():
        patient = openai.OpenAI(api_key="sk-test", base_url=base + "/v1", max_retries=2)
        r = patient.chat.completions.create(model="gpt-4o-mini", messages=ask("[standin fault=503 times=1] once"))
        assert r.choices[0].message.content

    for fn in (openai_chat, openai_stream, openai_stream_without_usage, openai_cached_tokens, openai_length,
               openai_embeddings, openai_models, openai_errors, openai_retries_what_it_may):
        case(fn)


def run_mistral(base):
    client = Mistral(api_key="sk-test", server_url=base + "/mistral")

    def mistral_chat():
        r = client.chat.complete(model="mistral-small-latest", messages=ask("hello"), max_tokens=50)
        assert r.choices[0].message.content and r.model == "mistral-small-latest"
        assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens

    def mistral_stream():
        pieces = [e.data for e in client.chat.stream(model="mistral-small-latest", messages=ask("hello"))]
        text = "".join(p.choices[0].delta.content or "" for p in pieces)
        plain = client.chat.complete(model="mistral-small-latest", messages=ask("hello"))
        assert text == plain.choices[0].message.content
        assert pieces[-1].usage.total_tokens == plain.usage.total_tokens

    def mistral_errors():
        bad = Mistral(api_key="bad-key", server_url=base + "/mistral")
        raises(errors.SDKError, lambda: bad.chat.complete(model="mistral-small-latest", messages=ask("x")), 401)
        raises(errors.SDKError, lambda: client.chat.complete(
            model="mistral-small-latest", messages=ask("[standin fault=429] x")), 429)
        e = raises(errors.HTTPValidationError, lambda: client.chat.complete(
            model="mistral-small-latest", messages=ask("[standin fault=detail-422] x")), 422)
        assert e.data.detail

    for fn in (mistral_chat, mistral_stream, mistral_errors):
        case(fn)


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build", "release", "standin_upstream")
    server = subprocess.Popen([program], stdout=subprocess.PIPE)
    try:
        port = re.search(r":(\d+)\s*$", server.stdout.readline().decode()).group(1)
        run_openai(f"http://127.0.0.1:{port}")
        run_mistral(f"http://127.0.0.1:{port}")
    finally:
        server.kill()
        server.wait()
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
