"use strict";
// The key stays in this tab's session storage and goes only to this server's own API.
const $ = (id) => document.getElementById(id);
const show = (id) => document.querySelectorAll("main > form, main > section").forEach((x) => { x.hidden = x.id !== id; });

// `json`: a body to POST as JSON; `form`: as a form.
async function send(path, { json, form, signal } = {}) {
  const headers = { Authorization: "Bearer " + sessionStorage.getItem("key") };
  if (json) headers["Content-Type"] = "application/json";
  const body = json ? JSON.stringify(json) : form;
  const reply = await fetch(path, { method: body ? "POST" : "GET", headers, body, signal });
  if (reply.ok) return reply;
  const said = await reply.json().catch(() => ({ error: { message: `HTTP ${reply.status}` } }));
  throw Object.assign(new Error(said.error.message), { status: reply.status });
}

async function api(path, options) { return (await send(path, options)).json(); }

function cell(row, text) { row.insertCell().textContent = text; }

async function list() {
  const page = await api("/api/v1/deployments?limit=100");
  show("list");
  $("empty").hidden = page.items.length > 0;
  $("rows").replaceChildren();
  for (const d of page.items) {
    const row = $("rows").insertRow();
    const link = document.createElement("a");
    link.href = `/dashboard/deployments/${d.id}/metrics`;
    link.textContent = d.name;
    row.insertCell().append(link);
    cell(row, d.status);
    cell(row, d.version);
    cell(row, `${d.model_metadata.framework} ${d.model_metadata.model_type}`);
    cell(row, new Date(d.created_at).toLocaleString());
  }
}

function bars(svg, times, values) {
  const ns = "http://www.w3.org/2000/svg", top = Math.max(...values, 0), n = values.length;
  svg.replaceChildren();
  values.forEach((v, i) => {
    const r = document.createElementNS(ns, "rect"), h = top ? 160 * v / top : 0;
    r.setAttribute("x", 40 + i * 750 / n);
    r.setAttribute("y", 175 - h);
    r.setAttribute("width", Math.max(750 / n - 1, 0.5));
    r.setAttribute("height", h);
    const title = document.createElementNS(ns, "title");
    title.textContent = `${new Date(times[i]).toLocaleString()}: ${v}`;
    r.append(title);
    svg.append(r);
  });
  const label = (x, y, text, anchor) => {
    const t = document.createElementNS(ns, "text");
    t.setAttribute("x", x);
    t.setAttribute("y", y);
    t.setAttribute("text-anchor", anchor);
    t.textContent = text;
    svg.append(t);
  };
  label(36, 20, top.toPrecision(3) * 1, "end");
  label(36, 178, "0", "end");
  if (n) {
    label(40, 195, new Date(times[0]).toLocaleString(), "start");
    label(790, 195, new Date(times[n - 1]).toLocaleString(), "end");
  }
}

async function detail(id) {
  const [hours, resolution] = $("range").value.split(",");
  const [d, m] = await Promise.all([api(`/api/v1/deployments/${id}`),
    api(`/api/v1/metrics/${id}?hours=${hours}&resolution=${resolution}`)]);
  show("detail");
  $("name").textContent = d.name;
  $("facts").textContent = `${d.status}, ${d.version}, ${d.model_metadata.framework} ${d.model_metadata.model_type}, ${d.model_metadata.size_mb} MB`;
  const f = m.metrics;
  $("figures").replaceChildren(...[["requests", f.request_count], ["errors", f.error_count],
    ["mean ms", f.avg_latency_ms], ["p95 ms", f.p95_latency_ms], ["p99 ms", f.p99_latency_ms],
    ["cold starts", f.cold_starts], ["users", f.unique_users], ["estimate $", m.cost_estimate.total_usd]].map(([k, v]) => {
    const box = document.createElement("div"), b = document.createElement("b");
    b.textContent = v;
    box.append(b, k);
    return box;
  }));
  bars($("requests"), m.time_series.timestamps, m.time_series.request_counts);
  bars($("latency"), m.time_series.timestamps, m.time_series.avg_latencies);
}

const pages = {}; // by the address's hash: playground.js

async function open() {
  const match = location.pathname.match(/^\/dashboard\/deployments\/([^/]+)\/metrics$/);
  $("sign-out").hidden = !sessionStorage.getItem("key");
  if (!sessionStorage.getItem("key")) return show("sign-in");
  $("problem").textContent = "";
  const page = pages[location.hash.slice(1)];
  try {
    await (match ? detail(match[1]) : page ? page() : list());
  } catch (e) {
    if (e.status === 401) sessionStorage.removeItem("key");
    show("sign-in");
    $("sign-in-error").textContent = e.message;
  }
}

$("sign-in").addEventListener("submit", (e) => {
  e.preventDefault();
  sessionStorage.setItem("key", $("key").value.trim());
  $("sign-in-error").textContent = "";
  open();
});
$("sign-out").addEventListener("click", () => { sessionStorage.clear(); open(); });
$("range").addEventListener("change", open);
addEventListener("hashchange", open);
addEventListener("load", open);
