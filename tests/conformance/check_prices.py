#!/usr/bin/env python3
"""Compares `millrace prices explain` with litellm.completion_cost() on usage shapes of every model.

usage: check_prices.py MILLRACE PRICE_MAP.json

Run it with the Python of scripts/requirements/litellm.txt. PRICE_MAP.json is the price map of the
LiteLLM version that data/prices was written from (litellm-map.txt): its figures are registered with
the library, so that two formulas are compared on the same figures. A difference of more than half a
nano-dollar fails. Prices that providers do not list are the one known difference: where the map has
no price for cached tokens or cache writes, LiteLLM may count them as free and millrace as input.
"""
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ.setdefault("MILLRACE_PRICES_DIR", "")  # the built-in prices, whatever the settings say
import litellm  # noqa: E402
from litellm.types.utils import (  # noqa: E402
    CompletionTokensDetailsWrapper,
    ModelResponse,
    PromptTokensDetailsWrapper,
    Usage,
)

# input, cached, cache write, output, of it reasoning
SHAPES = [
    (1, 0, 0, 1, 0),
    (2006, 0, 0, 300, 0),
    (2006, 1920, 0, 300, 200),
    (123457, 1024, 0, 7919, 0),
    (100000, 100000, 0, 0, 0),
    (272000, 0, 0, 1000, 0),
    (272001, 0, 0, 1000, 0),
    (300000, 100000, 0, 1000, 17),
    (5000, 1000, 2000, 300, 100),
    (300001, 1000, 2000, 300, 0),
]
TIERS = {"batch": "batches", "flex": "flex", "priority": "priority"}


def theirs(name, shape, tier=None):
    prompt, cached, write, out, reasoning = shape
    details = {"cached_tokens": cached}
    if write:
        details["cache_write_tokens"] = write
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=out,
        total_tokens=prompt + out,
        prompt_tokens_details=PromptTokensDetailsWrapper(**details),
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=reasoning),
    )
    more = {"service_tier": tier} if tier else {}
    return litellm.completion_cost(
        completion_response=ModelResponse(model=name, usage=usage, choices=[]), model=name, **more
    )


def ours(millrace, price, shape, tier=None):
    prompt, cached, write, out, _ = shape
    args = [millrace, "prices", "explain", price["provider"], price["model"], "--json",
            f"--input={prompt}", f"--cached={cached}", f"--cache-write={write}", f"--output={out}"]
    if tier:
        args.append(f"--tier={tier}")
    run = subprocess.run(args, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)["cost_nano_usd"]


def listed(entry, shape):
    """False where the map lacks a price that the shape needs."""
    return not (shape[1] and entry.get("cache_read_input_token_cost") is None
                or shape[2] and entry.get("cache_creation_input_token_cost") is None)


def cases(prices, table):
    for p in prices:
        name = p["model"] if p["provider"] == "openai" else f"{p['provider']}/{p['model']}"
        entry = table.get(name)
        if not entry or entry.get("mode") == "embedding":
            continue
        for shape in SHAPES:
            if listed(entry, shape):
                yield p, name, shape, None
        # LiteLLM has no formula of its own for a tier above the long-context limit
        for tier in ("flex", "priority"):
            if f"{tier}_input" in p:
                yield p, name, (2006, 0, 0, 300, 0), tier


def main():
    millrace, path = sys.argv[1:]
    litellm.suppress_debug_info = True
    table = json.load(open(path, encoding="utf-8"))
    prices = json.loads(subprocess.run([millrace, "prices", "--json"], capture_output=True, text=True, check=True).stdout)
    prices = [p for p in prices if p["provider"] in ("openai", "mistral")]
    names = {p["model"] if p["provider"] == "openai" else f"{p['provider']}/{p['model']}" for p in prices}
    litellm.register_model({k: v for k, v in table.items() if k in names})
    todo = list(cases(prices, table))
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda c: ours(millrace, c[0], c[2], c[3]), todo))
    passed = failed = 0
    for (_, name, shape, tier), nano in zip(todo, got):
        want = Decimal(repr(theirs(name, shape, tier))) * 10**9
        if abs(want - nano) <= Decimal("0.5000001"):
            passed += 1
        else:
            failed += 1
            print(f"FAIL {name} {shape} {tier or 'standard'}: millrace {nano}, litellm {want:f} nano-dollars")
    print(f"prices: {len(prices)} models, {len(SHAPES)} shapes")
    print(f"{passed} passed, {failed} failed")
    return failed != 0 or passed < 50


if __name__ == "__main__":
    sys.exit(main())
