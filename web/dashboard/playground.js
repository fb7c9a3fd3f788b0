"use strict";
// Trying the models: chat, images, text; which models there are; jobs.
const percent = (v) => (100 * v).toFixed(1) + " %";
const el = (tag, text, cls) => Object.assign(document.createElement(tag), { textContent: text ?? "", className: cls ?? "" });

function row(body, ...cells) {
  const r = body.insertRow();
  for (const c of cells) r.insertCell().append(c);
  return r;
}

function guarded(fn) {
  return async (e) => {
    e?.preventDefault();
    $("problem").textContent = "";
    try {
      await fn();
    } catch (why) {
      if (why.name !== "AbortError") $("problem").textContent = why.message;
    }
  };
}

// --- chat ---
let messages = [], running = null;

pages.chat = async () => {
  show("chat");
  if ($("chat-model").options.length) return;
  for (const m of (await api("/api/v2/ai/llm/models")).models)
    if (m.status === "available") $("chat-model").add(new Option(m.name === m.id ? m.id : `${m.id} (${m.name})`, m.id));
};

// The data of each server-sent event, up to [DONE].
async function* events(reply) {
  let rest = "";
  for await (const piece of reply.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop();
    for (const b of blocks) {
      const data = b.split("\n").filter((l) => l.startsWith("data:")).map((l) => l.slice(5).trimStart()).join("\n");
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
  throw new Error("the answer was cut off");
}

const ask = guarded(async () => {
  const text = $("question").value.trim(), began = performance.now();
  if (!text || running) return;
  messages.push({ role: "user", content: text });
  $("question").value = "";
  $("talk").append(el("p", text, "user"));
  const answer = el("p", "", "assistant");
  $("talk").append(answer);
  running = new AbortController();
  $("stop").hidden = false;
  try {
    const json = { messages, model: $("chat-model").value || undefined, temperature: Number($("heat").value), stream: true };
    for await (const e of events(await send("/api/v2/ai/llm/chat", { json, signal: running.signal }))) {
      if (e.error) throw new Error(e.error.message);
      answer.append(e.choices?.[0]?.delta?.content ?? "");
      if (e.usage) {
        const s = (performance.now() - began) / 1000;
        $("chat-facts").textContent = `${e.usage.prompt_tokens} + ${e.usage.completion_tokens} tokens, ${s.toFixed(2)} s`;
      }
      answer.scrollIntoView({ block: "nearest" });
    }
  } finally {
    messages.push({ role: "assistant", content: answer.textContent });
    running = null;
    $("stop").hidden = true;
  }
});
$("ask").addEventListener("submit", ask);
$("question").addEventListener("keydown", (e) => { if (e.key === "Enter" && !e.shiftKey) ask(e); });
$("stop").addEventListener("click", () => running?.abort());
$("forget").addEventListener("click", () => { messages = []; $("talk").replaceChildren(); });

// --- images ---
pages.images = async () => show("images");

function box(g, at, text, color, scale) {
  const [x0, y0, x1, y1] = at.map((v) => v * scale);
  g.strokeStyle = g.fillStyle = color;
  g.strokeRect(x0, y0, x1 - x0, y1 - y0);
  if (text) g.fillText(text, x0 + 3, Math.max(y0 - 4, 12));
}

$("image").addEventListener("change", guarded(async () => {
  const file = $("image").files[0];
  if (!file) return;
  const form = (more) => {
    const f = new FormData();
    f.set("image", file);
    for (const [k, v] of Object.entries(more)) f.set(k, v);
    return f;
  };
  const picture = await createImageBitmap(file), canvas = $("picture"), g = canvas.getContext("2d");
  const scale = Math.min(1, 900 / picture.width);
  canvas.width = picture.width * scale;
  canvas.height = picture.height * scale;
  g.drawImage(picture, 0, 0, canvas.width, canvas.height);
  canvas.hidden = false;
  $("image-rows").replaceChildren();
  $("image-facts").textContent = "…";
  const all = JSON.stringify(["object_detection", "text_extraction", "scene_analysis"]);
  const [seen, classes] = await Promise.all([
    api("/api/v2/ai/vision/analyze", { form: form({ analysis_type: all }) }),
    api("/api/v2/ai/vision/classify", { form: form({ top_k: 5 }) })]);
  const a = seen.analysis_results, i = seen.image_info;
  $("image-facts").textContent = `${i.format}, ${i.width} x ${i.height}, ${seen.processing_time.toFixed(2)} s`;
  g.lineWidth = 2;
  g.font = "14px system-ui";
  for (const o of a.objects) box(g, o.bbox, `${o.class} ${percent(o.confidence)}`, "#e33", scale);
  for (const t of a.text) box(g, t.bbox, "", "#28c", scale);
  const rows = $("image-rows");
  for (const c of classes.predictions) row(rows, "class", c.class, percent(c.confidence));
  for (const o of a.objects) row(rows, "object", o.class, percent(o.confidence));
  for (const t of a.text) row(rows, "text", t.text, percent(t.confidence));
  row(rows, "scene", `${a.scene.setting}, ${a.scene.time_of_day}, ${a.scene.weather}`, "");
}));

// --- text ---
pages.text = async () => show("text");

$("read").addEventListener("submit", guarded(async () => {
  const text = $("document").value, points = [...text];
  const r = await api("/api/v2/ai/nlp/analyze", { json: { text } });
  const s = r.sentiment;
  $("text-facts").textContent = [`language ${r.detected_language}`,
    s && `${s.label} (${percent(s.confidence)}), polarity ${s.polarity.toFixed(2)}, subjectivity ${s.subjectivity.toFixed(2)}`,
    ...(r.warnings ?? [])].filter(Boolean).join("; ");
  let at = 0;
  $("marked").replaceChildren();
  for (const e of r.entities ?? []) { // offsets count code points
    $("marked").append(points.slice(at, e.start).join(""), Object.assign(el("mark", points.slice(e.start, e.end).join("")), { title: `${e.label} ${percent(e.confidence)}` }), el("small", " " + e.label));
    at = e.end;
  }
  $("marked").append(points.slice(at).join(""));
  $("text-rows").replaceChildren();
  for (const k of r.keywords ?? []) row($("text-rows"), "keyword", k.text, k.relevance.toFixed(2));
}));
$("shorten").addEventListener("click", guarded(async () => {
  const r = await api("/api/v2/ai/nlp/summarize", { json: { text: $("document").value } });
  $("text-facts").textContent = `${r.original_length} to ${r.summary_length} words (${percent(r.compression_ratio)})`;
  $("marked").textContent = r.summary;
  $("text-rows").replaceChildren();
}));

// --- models and jobs: shown anew every two seconds while they are looked at ---
function every(hash, draw) {
  pages[hash] = async () => {
    show(hash);
    await draw();
    const timer = setInterval(() => (location.hash === "#" + hash && !document.hidden ? draw().catch(() => {}) : location.hash !== "#" + hash && clearInterval(timer)), 2000);
  };
}

every("models", async () => {
  const rows = (await api("/api/v2/models")).models.map((m) => [m.id, m.type, m.status, m.performance.requests_per_hour, m.performance.avg_response_time.toFixed(3)]);
  $("model-rows").replaceChildren();
  for (const r of rows) {
    const load = el("button", "Load");
    load.addEventListener("click", guarded(() => api(`/api/v2/models/${encodeURIComponent(r[0])}/load`, { json: {} })));
    row($("model-rows"), ...r.map(String), r[2] === "loaded" || r[2] === "not_installed" ? "" : load);
  }
});
every("jobs", async () => {
  const jobs = (await api("/api/v2/jobs?limit=100")).jobs;
  $("job-rows").replaceChildren();
  $("no-jobs").hidden = jobs.length > 0;
  for (const j of jobs) {
    const bar = Object.assign(document.createElement("progress"), { max: 100, value: j.progress, title: j.progress.toFixed(1) + " %" });
    row($("job-rows"), `${j.name} (${j.job_id})`, j.status, bar, new Date(j.created_at).toLocaleString());
  }
});
