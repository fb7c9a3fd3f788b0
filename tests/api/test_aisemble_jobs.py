"""Seed 002, jobs over the services, by the API alone (the store's own promises: tests of core/jobs)."""
import base64
import io
import json
import time
import zipfile

import pytest
from client import multipart
from test_aisemble import V2, error
from test_aisemble_models import CLASSIFIER, EMBEDDER, LLM, photo, wait_for


def create(api, service, parameters, **more):
    body = {"type": "batch_processing", "service": service, "parameters": parameters, **more}
    r = api.post(V2 + "/jobs", body)
    assert r.status == 200, r
    return r.json()


def ended(api, job_id, seconds=90):
    def look():
        j = api.get(f"{V2}/jobs/{job_id}").json()
        return j if j["status"] in ("completed", "failed", "cancelled") else None
    return wait_for(look, f"{job_id} to end", seconds)


def results(api, job_id, query=""):
    return api.get(f"{V2}/jobs/{job_id}/results{query}").json()


def test_a_job_from_creation_to_results(user):
    made = create(user, "nlp", {"operation": "embeddings", "inputs": ["a cat", {"text": "a dog"}, 7]},
                  name="Batch", priority="high")
    assert made["job_id"].startswith("job_") and made["name"] == "Batch" and made["priority"] == "high"
    assert made["status"] in ("queued", "running") and made["estimated_completion"] >= made["created_at"]
    job = ended(user, made["job_id"])
    assert job["status"] == "completed" and job["results_available"] is True
    assert job["progress"] == {"completed": 3, "failed": 1, "total": 3, "percentage": 100.0}
    assert job["started_at"] >= job["created_at"] and job["logs"] and {"timestamp", "level", "message"} == set(job["logs"][0])
    body = results(user, made["job_id"])
    assert body["job_id"] == made["job_id"] and body["status"] == "completed"
    assert [r["index"] for r in body["results"]] == [0, 1, 2] and body["pagination"]["total"] == 3
    assert body["results"][0]["input"] == "a cat" and body["results"][1]["input"] == {"text": "a dog"}
    assert len(body["results"][0]["output"]["embeddings"][0]) == 384 and body["results"][0]["output"]["model"] == EMBEDDER
    assert body["results"][2]["error"]["code"] == "INVALID_REQUEST" and "output" not in body["results"][2]
    page = results(user, made["job_id"], "?limit=1&offset=1")
    assert [r["index"] for r in page["results"]] == [1] and page["pagination"] == {
        "limit": 1, "offset": 1, "total": 3, "has_more": True}


def test_text_generation_over_items(user):
    made = create(user, "llm_service", {"max_tokens": 8, "temperature": 0, "inputs": [
        "What is the capital of France?",
        {"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 3}]})
    assert ended(user, made["job_id"])["status"] == "completed"
    out = [r["output"] for r in results(user, made["job_id"])["results"]]
    assert "Paris" in out[0]["generated_text"] and out[0]["model"] == LLM and out[0]["tokens_used"] > 0
    assert out[1]["finish_reason"] == "length", "an item's own member wins"


def test_images_from_a_zip_inline_and_from_a_folder(user, owner, server):
    import os
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as z:
        z.writestr("cat.png", photo("chelsea.png"))
        z.writestr("palace.jpg", photo("china.jpg"))
        z.writestr("broken.png", b"\x89PNG\r\n\x1a\n")
    body, kind = multipart({}, {"file": ("images.zip", packed.getvalue())})
    r = user.post(V2 + "/jobs/inputs", body, headers={"Content-Type": kind})
    assert r.status == 200 and r.json()["format"] == "zip" and r.json()["size_bytes"] == len(packed.getvalue()), r
    file = r.json()["input_file"]
    made = create(user, "vision", {"operation": "classify", "top_k": 2, "input_file": file})
    job = ended(user, made["job_id"])
    assert job["status"] == "completed" and job["progress"]["failed"] == 1, job
    out = {r["input"]: r for r in results(user, made["job_id"])["results"]}
    assert out["cat.png"]["output"]["predictions"][0]["class_id"] in (281, 282, 285)
    assert len(out["palace.jpg"]["output"]["predictions"]) == 2 and out["palace.jpg"]["output"]["model"] == CLASSIFIER
    assert out["broken.png"]["error"]["code"] == "INVALID_REQUEST"
    made = create(user, "vision", {"analysis_type": "object_detection", "inputs": [
        base64.b64encode(photo("chelsea.png")).decode()]})
    assert ended(user, made["job_id"])["status"] == "completed"
    found = results(user, made["job_id"])["results"][0]["output"]["analysis_results"]["objects"]
    assert found[0]["class"] == "cat"
    listed = user.get(V2 + "/jobs/inputs").json()
    assert [f["input_file"] for f in listed["inputs"]] == [file] and listed["pagination"]["total"] == 1
    assert user.delete(f"{V2}/jobs/inputs/{file}").status == 200
    error(user.delete(f"{V2}/jobs/inputs/{file}"), 404, "RESOURCE_NOT_FOUND")
    folder = os.path.join(server.data_dir, "inputs", "photos")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "a.png"), "wb") as f:
        f.write(photo("chelsea.png"))
    made = create(owner, "vision", {"operation": "classify", "input_source": "photos"})
    assert ended(owner, made["job_id"])["progress"]["completed"] == 1


def test_lines_of_a_file_and_results_as_csv(user):
    lines = b"".join(json.dumps({"text": t}).encode() + b"\n" for t in ("one", "two, three"))
    body, kind = multipart({}, {"file": ("items.jsonl", lines)})
    file = user.post(V2 + "/jobs/inputs", body, headers={"Content-Type": kind}).json()["input_file"]
    made = create(user, "nlp", {"operation": "embeddings", "input_file": file, "output_format": "csv"})
    assert ended(user, made["job_id"])["output_format"] == "csv"
    r = user.get(f"{V2}/jobs/{made['job_id']}/results")
    assert r.headers["content-type"].startswith("text/csv") and r.text.startswith("index,input,error,output"), r
    assert user.get(f"{V2}/jobs/{made['job_id']}/results?format=json").json()["results"][0]["index"] == 0


def test_predictions_of_a_deployment(iris):
    user, dep = iris
    made = create(user, "predictions", {"deployment_id": dep, "inputs": [[5.1, 3.5, 1.4, 0.2]]})
    assert ended(user, made["job_id"])["status"] == "completed"
    assert "prediction" in json.dumps(results(user, made["job_id"])["results"][0]["output"])


def test_list_cancel_and_schedule(user):
    later = create(user, "nlp", {"operation": "embeddings", "inputs": ["x"]},
                   scheduled_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)))
    assert later["status"] == "scheduled" and later["scheduled_at"] > later["created_at"]
    now = create(user, "nlp", {"operation": "embeddings", "inputs": ["x"]})
    ended(user, now["job_id"])
    body = user.get(V2 + "/jobs?limit=1&offset=0").json()
    assert body["jobs"][0]["job_id"] == now["job_id"] and body["jobs"][0]["progress"] == 100.0
    assert body["pagination"] == {"limit": 1, "offset": 0, "total": 2, "has_more": True}
    assert [j["job_id"] for j in user.get(V2 + "/jobs?status=scheduled").json()["jobs"]] == [later["job_id"]]
    assert user.get(V2 + "/jobs?service=llm").json()["jobs"] == []
    r = user.delete(f"{V2}/jobs/{later['job_id']}")
    assert r.json()["status"] == "cancelled" and r.json()["cancelled_at"], r
    error(user.delete(f"{V2}/jobs/{later['job_id']}"), 409, "CONFLICT")


def test_a_repeated_creation_is_the_same_job(user):
    body = {"type": "batch_processing", "service": "nlp", "parameters": {"operation": "embeddings", "inputs": ["x"]}}
    first = user.post(V2 + "/jobs", body, headers={"Idempotency-Key": "k1"})
    again = user.post(V2 + "/jobs", body, headers={"Idempotency-Key": "k1"})
    assert first.json()["job_id"] == again.json()["job_id"] and again.headers["idempotent-replayed"] == "true"
    body["name"] = "other"
    e = error(user.post(V2 + "/jobs", body, headers={"Idempotency-Key": "k1"}), 400, "INVALID_REQUEST")
    assert e["details"]["field"] == "Idempotency-Key"


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_a_job_over_a_provider_is_paid_item_by_item(user, standin, model):
    made = create(user, "llm", {"inputs": ["one", "two", "three"], "model": model})
    assert ended(user, made["job_id"])["status"] == "completed"
    out = [r["output"] for r in results(user, made["job_id"])["results"]]
    assert len(out) == 3 and all(x["generated_text"] and float(x["cost"]) > 0 for x in out), out


@pytest.mark.parametrize("change,field", [
    ({"service": "tea"}, "service"), ({"type": "magic"}, "type"), ({"priority": "urgent"}, "priority"),
    ({"scheduled_at": "tomorrow, at about noon"}, "scheduled_at"), ({"cron": "every full moon"}, "cron"),
    ({"parameters": {}}, "parameters"),
    ({"parameters": {"inputs": ["x"], "operation": "sing"}}, "parameters.operation"),
    ({"parameters": {"inputs": ["x"], "analysis_types": ["aura"]}}, "parameters.analysis_types"),
    ({"parameters": {"inputs": ["x"], "model": "nope"}}, "parameters.model"),
    ({"service": "llm", "parameters": {"inputs": ["x"], "model": "nobody/nope"}}, "parameters.model"),
    ({"service": "vision", "parameters": {"inputs": ["x"], "model": "gpt-4o-mini"}}, "parameters.model"),
    ({"parameters": {"input_source": "s3://bucket/images/"}}, "parameters.input_source"),
    ({"parameters": {"input_source": "../.."}}, "parameters.input_source"),
    ({"parameters": {"input_file": "file_00"}}, "parameters.input_file")])
def test_what_is_wrong_with_a_job_is_said_at_once(user, change, field):
    r = user.post(V2 + "/jobs", {"type": "batch_processing", "service": "nlp",
                                 "parameters": {"inputs": ["x"]}, **change})
    e = error(r, 400, "INVALID_REQUEST")
    assert e["details"]["field"].startswith(field), e
    if field == "parameters.model":
        assert f"'{change['parameters']['model']}' is not in the catalogue" in e["message"], e
