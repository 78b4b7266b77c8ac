// The gallery: pages as one scrolls, uploads with progress.

const grid = document.getElementById("images");
const spoken = document.getElementById("spoken");

async function fetchPart(url) {
  const res = await fetch(url, { headers: { Accept: "text/html" } });
  if (!res.ok || res.redirected) throw new Error(String(res.status));
  return new DOMParser().parseFromString(await res.text(), "text/html");
}

// added tells the other scripts of what has come into the page.
function added(node) {
  document.dispatchEvent(new CustomEvent("imagify:added", { detail: node }));
}

// Paging: the link to the next page works by itself; here it is followed as it comes near.
let loading = false;
async function more(link) {
  if (loading) return;
  loading = true;
  link.textContent = "Loading…";
  try {
    const page = await fetchPart(link.href);
    const known = new Set([...grid.children].map((t) => t.id));
    for (const tile of page.querySelectorAll("#images > li")) {
      if (known.has(tile.id)) continue;
      grid.append(tile);
      added(tile);
    }
    const next = page.querySelector("a[rel=next]");
    if (next) {
      link.href = next.href;
      link.textContent = "Show more";
      observer.unobserve(link);
      observer.observe(link);
    } else {
      link.remove();
    }
  } catch {
    link.textContent = "Could not load more: try again";
  }
  loading = false;
}

const observer = new IntersectionObserver((entries) => {
  for (const e of entries) if (e.isIntersecting) more(e.target);
}, { rootMargin: "900px" });
const next = document.querySelector("a[rel=next]");
if (next) {
  next.addEventListener("click", (e) => { e.preventDefault(); more(next); });
  observer.observe(next);
}

// Uploads: three at a time, each with a row in the panel until its picture is in the grid.
const panel = document.getElementById("panel");
const list = document.getElementById("uploads");
const progress = document.getElementById("progress");
const waiting = [];
let running = 0;

const words = {
  unsupported_image: "This file is not a picture in an accepted format.",
  corrupt_image: "The file is damaged or incomplete.",
  rate_limited: "Too many requests at once. Wait a moment, then try again.",
  unavailable: "The server is busy. Try again in a moment.",
  timeout: "The connection was too slow. Try again.",
  unauthenticated: "You are signed out. Sign in again, then retry.",
};

function explain(xhr) {
  let problem = {};
  try { problem = JSON.parse(xhr.responseText); } catch { /* not JSON: a proxy's page */ }
  const detail = problem.detail ? `${problem.detail[0].toUpperCase()}${problem.detail.slice(1).replace(/\.$/, "")}.` : "";
  if (problem.code === "quota_exceeded") return `You have reached your tier's limit. ${detail} Delete images, or ask for a higher limit.`;
  if (problem.code === "too_large" || xhr.status === 413) return `Too large. ${detail || "It is more than your tier allows."}`;
  return words[problem.code] ?? (detail || `The server answered ${xhr.status}. Try again.`);
}

function size(n) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let i = 0;
  while (n >= 1000 && i < 3) { n /= 1024; i++; }
  return `${n < 10 && i ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

function element(name, className, text = "") {
  const el = document.createElement(name);
  el.className = className;
  el.textContent = text;
  return el;
}

// refresh brings the panel up to date: it is there as long as it has something to say.
function refresh() {
  const failed = list.querySelectorAll(".why").length;
  const left = list.children.length - failed;
  panel.hidden = list.children.length === 0;
  progress.textContent = left ? `Uploading ${left} ${left === 1 ? "picture" : "pictures"}` : `${failed} not uploaded`;
}

function add(files, key) {
  for (const file of files) {
    const job = { file, name: file.name || "Pasted picture", row: element("li", ""), state: element("span", "soft small num", "Waiting"), bar: element("progress", "") };
    // The key makes a retry after a lost answer safe: what has arrived is not kept twice.
    job.key = key ?? [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
    job.bar.max = 1;
    job.bar.value = 0;
    job.bar.setAttribute("aria-label", `Upload of ${job.name}`);
    job.row.append(element("span", "name", job.name), job.state, job.bar);
    list.append(job.row);
    waiting.push(job);
  }
  start();
}

function start() {
  while (running < 3 && waiting.length) {
    running++;
    send(waiting.shift()).finally(() => { running--; start(); });
  }
  refresh();
}

function send(job) {
  return new Promise((done) => {
    const xhr = new XMLHttpRequest();
    const body = new FormData();
    body.append("file", job.file, job.file.name || "pasted.png");
    xhr.open("POST", "/v1/images");
    xhr.setRequestHeader("Accept", "application/json");
    xhr.setRequestHeader("Idempotency-Key", job.key);
    xhr.upload.onprogress = (e) => {
      if (!e.lengthComputable) return;
      job.bar.value = e.loaded / e.total;
      job.state.textContent = e.loaded < e.total ? `${Math.round((100 * e.loaded) / e.total)} % of ${size(e.total)}` : "Checking";
    };
    xhr.onload = async () => {
      if (xhr.status !== 201) return done(fail(job, explain(xhr)));
      try {
        await show(JSON.parse(xhr.responseText).id);
        spoken.textContent = `${job.name} uploaded`;
        job.row.remove();
      } catch {
        job.state.textContent = "Uploaded: reload to see it";
      }
      done();
    };
    xhr.onerror = () => done(fail(job, "The connection was lost. Try again: nothing is uploaded twice.", job.key));
    xhr.send(body);
  });
}

function fail(job, why, key) {
  const text = element("p", "why", why);
  text.setAttribute("role", "alert");
  const again = element("button", "slim", "Try again");
  const close = element("button", "slim bare", "Dismiss");
  again.type = close.type = "button";
  again.setAttribute("aria-label", `Try again: ${job.name}`);
  close.setAttribute("aria-label", `Dismiss: ${job.name}`);
  again.addEventListener("click", () => { job.row.remove(); add([job.file], key); });
  close.addEventListener("click", () => { job.row.remove(); refresh(); });
  const buttons = element("span", "row tight");
  buttons.append(again, close);
  job.bar.remove();
  job.state.replaceWith(buttons);
  job.row.append(text);
}

async function show(id) {
  const part = await fetchPart(`/images/${id}?part=tile`);
  const tile = part.querySelector("li");
  document.getElementById("empty")?.remove();
  if (document.getElementById(tile.id)) return;
  tile.classList.add("new");
  grid.prepend(tile);
  added(tile);
  document.getElementById("usage").replaceWith(part.getElementById("usage"));
}

const form = document.getElementById("upload");
if (form) {
  const input = document.getElementById("file");
  document.getElementById("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => { add(input.files); input.value = ""; });
  document.getElementById("close").addEventListener("click", () => {
    for (const why of list.querySelectorAll(".why")) why.closest("li").remove();
    refresh();
    if (!panel.hidden) panel.hidden = true; // what is under way goes on
  });

  let depth = 0;
  const holdsFiles = (e) => e.dataTransfer && [...e.dataTransfer.types].includes("Files");
  const dragging = (n) => { depth = Math.max(0, n); document.body.classList.toggle("dragging", depth > 0); };
  addEventListener("dragenter", (e) => { if (holdsFiles(e)) dragging(depth + 1); });
  addEventListener("dragleave", (e) => { if (holdsFiles(e)) dragging(depth - 1); });
  addEventListener("dragover", (e) => { if (holdsFiles(e)) e.preventDefault(); });
  addEventListener("drop", (e) => {
    dragging(0);
    if (!holdsFiles(e)) return;
    e.preventDefault();
    add(e.dataTransfer.files);
  });
  addEventListener("paste", (e) => {
    if (e.clipboardData?.files.length) { e.preventDefault(); add(e.clipboardData.files); }
  });
  addEventListener("beforeunload", (e) => { if (running || waiting.length) e.preventDefault(); });
}
