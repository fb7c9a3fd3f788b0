"""OpenAI's SDK and langchain-openai, unchanged, against a running server with its local models.

    check_openai.py        MILLRACE_URL and MILLRACE_KEY name the server; models are installed
"""
import io
import json
import os
import sys
import time

import openai
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

URL = os.environ["MILLRACE_URL"] + "/v1"
KEY = os.environ["MILLRACE_KEY"]
CHAT = "smollm2-135m-instruct"
EMBED = "all-minilm-l6-v2"
SLOW = 300
client = openai.OpenAI(base_url=URL, api_key=KEY, timeout=SLOW, max_retries=0)
results = []


def case(fn):
    try:
        fn()
        results.append(True)
        print(f"ok    {fn.__name__}", flush=True)
    except Exception as e:  # an SDK that cannot read the reply raises anything
        results.append(False)
        print(f"FAIL  {fn.__name__}: {type(e).__name__}: {e}", flush=True)


def raises(kind, fn):
    try:
        fn()
    except kind as e:
        return e
    raise AssertionError(f"no {kind.__name__}")


PARIS = [{"role": "user", "content": "What is the capital of France?"}]
TOOL = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}},
                   "required": ["city"], "additionalProperties": False}}}
FORCED = {"type": "function", "function": {"name": "get_weather"}}


@case
def models_list_and_retrieve():
    ids = [m.id for m in client.models.list()]
    assert CHAT in ids and EMBED in ids, ids
    assert client.models.retrieve(CHAT).owned_by == "local"
    assert raises(openai.NotFoundError, lambda: client.models.retrieve("nothing")).code == "model_not_found"


@case
def chat():
    r = client.chat.completions.create(model=CHAT, messages=PARIS, temperature=0, max_completion_tokens=12)
    assert "Paris" in r.choices[0].message.content and r.object == "chat.completion" and r.model == CHAT
    assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens
    assert r.choices[0].finish_reason == "stop" and r.id.startswith("chatcmpl-")


@case
def chat_raw_headers():
    r = client.chat.completions.with_raw_response.create(model=CHAT, messages=PARIS, max_tokens=1)
    assert r.headers["x-request-id"] and int(r.headers["openai-processing-ms"]) >= 0
    assert int(r.headers["x-ratelimit-limit-requests"]) > 0 and float(r.headers["x-millrace-response-cost"]) == 0


@case
def stream():
    whole = client.chat.completions.create(model=CHAT, messages=PARIS, temperature=0, max_tokens=10)
    pieces = list(client.chat.completions.create(model=CHAT, messages=PARIS, temperature=0, max_tokens=10, stream=True,
                                                 stream_options={"include_usage": True}))
    text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert text == whole.choices[0].message.content
    assert not pieces[-1].choices and pieces[-1].usage.completion_tokens == whole.usage.completion_tokens


@case
def stream_helper():
    with client.chat.completions.stream(model=CHAT, messages=PARIS, temperature=0, max_tokens=10) as s:
        kinds = {e.type for e in s}
        final = s.get_final_completion()
    assert "content.delta" in kinds and "Paris" in final.choices[0].message.content


@case
def tools():
    r = client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": "Weather in Paris?"}],
                                       tools=[TOOL], tool_choice=FORCED, temperature=0, max_tokens=64)
    call = r.choices[0].message.tool_calls[0]
    assert call.type == "function" and call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)
    again = client.chat.completions.create(
        model=CHAT, temperature=0, max_tokens=8, tools=[TOOL], tool_choice="none",
        messages=[{"role": "user", "content": "Weather in Paris?"}, r.choices[0].message,
                  {"role": "tool", "tool_call_id": call.id, "content": "sunny, 20 degrees"}])
    assert again.choices[0].message.content and not again.choices[0].message.tool_calls


@case
def tools_streamed():
    with client.chat.completions.stream(model=CHAT, messages=[{"role": "user", "content": "Weather in Paris?"}],
                                        tools=[TOOL], tool_choice=FORCED, temperature=0, max_tokens=64) as s:
        for _ in s:
            pass
        call = s.get_final_completion().choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)


class City(BaseModel):
    capital: bool
    population: int


@case
def json_schema_by_pydantic():
    r = client.chat.completions.parse(model=CHAT, messages=[{"role": "user", "content": "Describe Paris as JSON."}],
                                      response_format=City, temperature=0, max_tokens=48)
    assert isinstance(r.choices[0].message.parsed, City)


@case
def json_mode():
    r = client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": "Name a city as JSON."}],
                                       response_format={"type": "json_object"}, temperature=0, max_tokens=48,
                                       stop=["}\n"])
    assert r.choices[0].message.content.lstrip().startswith("{")


@case
def logprobs_seed_and_choices():
    r = client.chat.completions.create(model=CHAT, messages=PARIS, n=2, seed=7, max_tokens=4, logprobs=True, top_logprobs=3)
    assert [c.index for c in r.choices] == [0, 1]
    for c in r.choices:
        assert "".join(t.token for t in c.logprobs.content) == c.message.content
        assert all(len(t.top_logprobs) == 3 and t.logprob <= 0 for t in c.logprobs.content)
    same = client.chat.completions.create(model=CHAT, messages=PARIS, n=2, seed=7, max_tokens=4)
    assert [c.message.content for c in same.choices] == [c.message.content for c in r.choices]


@case
def completions():
    r = client.completions.create(model=CHAT, prompt="The capital of France is", max_tokens=3, temperature=0, logprobs=2)
    assert "Paris" in r.choices[0].text and len(r.choices[0].logprobs.tokens) == r.usage.completion_tokens
    text = "".join(p.choices[0].text for p in client.completions.create(
        model=CHAT, prompt="The capital of France is", max_tokens=3, temperature=0, stream=True) if p.choices)
    assert text == r.choices[0].text


@case
def embeddings_base64_by_default_and_float():
    texts = ["a cat", "a kitten", "a tax form"]
    packed = client.embeddings.create(model=EMBED, input=texts)
    plain = client.embeddings.create(model=EMBED, input=texts, encoding_format="float")
    a, b = [d.embedding for d in packed.data], [d.embedding for d in plain.data]
    assert len(a[0]) == 384 and max(abs(x - y) for x, y in zip(a[0], b[0])) < 1e-6

    def dot(u, v):
        return sum(x * y for x, y in zip(u, v))
    assert dot(a[0], a[1]) > dot(a[0], a[2])
    assert len(client.embeddings.create(model=EMBED, input="x", dimensions=64).data[0].embedding) == 64


@case
def errors_are_the_sdk_s_own():
    e = raises(openai.BadRequestError, lambda: client.chat.completions.create(model=CHAT, messages=[]))
    assert e.param == "messages" and e.type == "invalid_request_error" and e.request_id
    raises(openai.NotFoundError, lambda: client.chat.completions.create(model="nope", messages=PARIS))
    bad = openai.OpenAI(base_url=URL, api_key="wrong", max_retries=0)
    assert raises(openai.AuthenticationError, lambda: bad.models.list()).code == "invalid_api_key"
    raises(openai.BadRequestError, lambda: client.embeddings.create(model=EMBED, input=[1, 2, 3]))


@case
def files():
    data = b'{"custom_id": "a"}\n'
    f = client.files.create(file=("in.jsonl", io.BytesIO(data)), purpose="batch")
    assert f.bytes == len(data) and f.purpose == "batch" and client.files.retrieve(f.id).filename == "in.jsonl"
    assert f.id in [x.id for x in client.files.list()]
    assert client.files.content(f.id).read() == data
    assert client.files.delete(f.id).deleted
    raises(openai.NotFoundError, lambda: client.files.retrieve(f.id))


@case
def batches():
    url = "/v1/embeddings"
    lines = [{"custom_id": f"r{i}", "method": "POST", "url": url, "body": {"model": EMBED, "input": f"text {i}"}}
             for i in range(6)] + [{"custom_id": "bad", "method": "POST", "url": url, "body": {"model": EMBED}}]
    data = "".join(json.dumps(x) + "\n" for x in lines).encode()
    f = client.files.create(file=("in.jsonl", data), purpose="batch")
    b = client.batches.create(input_file_id=f.id, endpoint=url, completion_window="24h", metadata={"k": "v"})
    until = time.monotonic() + SLOW
    while b.status not in ("completed", "failed", "cancelled", "expired") and time.monotonic() < until:
        time.sleep(0.2)
        b = client.batches.retrieve(b.id)
    assert b.status == "completed" and (b.request_counts.completed, b.request_counts.failed) == (6, 1), b
    out = [json.loads(x) for x in client.files.content(b.output_file_id).text.splitlines()]
    assert {x["custom_id"] for x in out} == {f"r{i}" for i in range(6)}
    assert all(len(x["response"]["body"]["data"][0]["embedding"]) == 384 for x in out)
    failed = [json.loads(x) for x in client.files.content(b.error_file_id).text.splitlines()]
    assert failed[0]["custom_id"] == "bad" and failed[0]["response"]["status_code"] == 400
    assert b.id in [x.id for x in client.batches.list(limit=5)] and b.metadata == {"k": "v"}


@case
def batch_cancelled():
    url = "/v1/chat/completions"
    lines = [{"custom_id": f"r{i}", "method": "POST", "url": url,
              "body": {"model": CHAT, "messages": PARIS, "max_tokens": 64}} for i in range(100)]
    f = client.files.create(file=("in.jsonl", "".join(json.dumps(x) + "\n" for x in lines).encode()), purpose="batch")
    b = client.batches.create(input_file_id=f.id, endpoint=url, completion_window="24h")
    client.batches.cancel(b.id)
    assert client.batches.retrieve(b.id).status in ("cancelling", "cancelled")


llm = ChatOpenAI(model=CHAT, base_url=URL, api_key=KEY, temperature=0, max_tokens=64, timeout=SLOW)


@case
def langchain_invoke_and_stream():
    whole = llm.invoke("What is the capital of France?")
    assert "Paris" in whole.content and whole.usage_metadata["output_tokens"] > 0
    text = "".join(p.content for p in llm.stream("What is the capital of France?"))
    assert text == whole.content


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


@case
def langchain_tools():
    r = llm.bind_tools([multiply], tool_choice="multiply").invoke("What is 6 times 7?")
    assert r.tool_calls[0]["name"] == "multiply" and set(r.tool_calls[0]["args"]) == {"a", "b"}


@case
def langchain_structured_output():
    assert isinstance(llm.with_structured_output(City, method="json_schema").invoke("Describe Paris."), City)


@case
def langchain_embeddings():
    e = OpenAIEmbeddings(model=EMBED, base_url=URL, api_key=KEY, check_embedding_ctx_length=False)
    v = e.embed_documents(["a cat", "a kitten"])
    assert len(v) == 2 and len(v[0]) == 384 and len(e.embed_query("x")) == 384


print(f"openai {openai.__version__}: {sum(results)} passed, {len(results) - sum(results)} failed")
sys.exit(0 if all(results) else 1)
