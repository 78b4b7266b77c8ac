// The gallery: placeholders at once, pages as one scrolls, uploads with progress.

// A ThumbHash (https://evanw.github.io/thumbhash/) is a few terms of a cosine
// transform: luminance, two colour differences, and opacity where there is any.
function decodePlaceholder(text) {
  const b = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  if (b.length < 5) return null;
  const low = b[0] | (b[1] << 8) | (b[2] << 16);
  const high = b[3] | (b[4] << 8);
  const alpha = low >> 23 === 1;
  const landscape = high >> 15 === 1;
  const most = alpha ? 5 : 7;
  const least = Math.max(3, high & 7);
  const lw = landscape ? most : least;
  const lh = landscape ? least : most;
  let at = alpha ? 12 : 10; // in nibbles
  const terms = (nx, ny, scale) => {
    const out = [];
    for (let y = 0; y < ny; y++) {
      for (let x = y ? 0 : 1; x * ny < nx * (ny - y); x++, at++) {
        const nibble = (b[at >> 1] >> (at & 1 ? 4 : 0)) & 15;
        out.push([x, y, (nibble / 7.5 - 1) * scale]);
      }
    }
    return out;
  };
  const ratio = most === 7 || most === 5 ? lw / lh : 1;
  const w = Math.max(1, Math.round(ratio > 1 ? 24 : 24 * ratio));
  const h = Math.max(1, Math.round(ratio > 1 ? 24 / ratio : 24));
  const l = terms(lw, lh, ((low >> 18) & 31) / 31);
  const p = terms(3, 3, (((high >> 3) & 63) / 63) * 1.25);
  const q = terms(3, 3, (((high >> 9) & 63) / 63) * 1.25);
  const a = alpha ? terms(5, 5, (b[5] >> 4) / 15) : [];
  const mean = [(low & 63) / 63, ((low >> 6) & 63) / 31.5 - 1, ((low >> 12) & 63) / 31.5 - 1, alpha ? (b[5] & 15) / 15 : 1];
  const cos = (n, size) => Array.from({ length: n }, (_, k) => Float32Array.from({ length: size }, (_, i) => Math.cos((Math.PI / size) * (i + 0.5) * k)));
  const cx = cos(7, w), cy = cos(7, h);
  const image = new ImageData(w, h);
  for (let y = 0, i = 0; y < h; y++) {
    for (let x = 0; x < w; x++, i += 4) {
      const sum = (list, start) => list.reduce((s, [u, v, k]) => s + k * cx[u][x] * cy[v][y] * 2, start);
      const L = sum(l, mean[0]), P = sum(p, mean[1]), Q = sum(q, mean[2]), A = sum(a, mean[3]);
      const blue = L - (2 / 3) * P;
      const red = (3 * L - blue + Q) / 2;
      image.data[i] = 255 * red;
      image.data[i + 1] = 255 * (red - Q);
      image.data[i + 2] = 255 * blue;
      image.data[i + 3] = 255 * A;
    }
  }
  return image;
}

function placeholders(root) {
  for (const canvas of root.querySelectorAll("canvas[data-hash]:not([data-done])")) {
    canvas.dataset.done = "";
    const image = canvas.dataset.hash && decodePlaceholder(canvas.dataset.hash);
    if (image) {
      canvas.width = image.width;
      canvas.height = image.height;
      canvas.getContext("2d").putImageData(image, 0, 0);
    }
    const img = canvas.parentElement.querySelector("img");
    if (!img || img.complete) continue;
    img.classList.add("coming");
    const shown = () => img.classList.remove("coming");
    img.addEventListener("load", shown, { once: true });
    img.addEventListener("error", shown, { once: true });
  }
}

const grid = document.getElementById("images");
const spoken = document.getElementById("spoken");
placeholders(document);

async function fetchPart(url) {
  const res = await fetch(url, { headers: { Accept: "text/html" } });
  if (!res.ok || res.redirected) throw new Error(String(res.status));
  return new DOMParser().parseFromString(await res.text(), "text/html");
}

function added(node) {
  placeholders(node);
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
if (next && grid) {
  next.addEventListener("click", (e) => { e.preventDefault(); more(next); });
  observer.observe(next);
}

// Uploads.
const form = document.getElementById("upload");
const list = document.getElementById("uploads");
const waiting = [];
let running = 0;

const words = {
  unsupported_image: "This is not a picture we can take: JPEG, PNG, WebP and GIF are fine.",
  corrupt_image: "The file is damaged or incomplete.",
  rate_limited: "Too many requests at once. Wait a moment, then try again.",
  unavailable: "The server is busy. Try again in a moment.",
  timeout: "The connection was too slow. Try again.",
  unauthenticated: "You are signed out. Sign in again, then retry.",
};

function size(n) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let i = 0;
  while (n >= 1000 && i < 3) { n /= 1024; i++; }
  return `${n < 10 && i ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

function explain(xhr) {
  let problem = {};
  try { problem = JSON.parse(xhr.responseText); } catch { /* not JSON: a proxy's page */ }
  if (problem.code === "quota_exceeded") {
    return `Your plan is full. ${problem.detail ?? ""} Delete something, or ask for more room.`;
  }
  if (problem.code === "too_large" || xhr.status === 413) return `Too large: ${problem.detail ?? "more than your plan allows"}.`;
  if (words[problem.code]) return words[problem.code];
  return problem.detail || `The server answered ${xhr.status}. Try again.`;
}

function add(files, sameKey) {
  for (const file of files) {
    const row = document.createElement("li");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = file.name || "Pasted picture";
    const state = document.createElement("span");
    state.className = "soft small num";
    state.textContent = "Waiting";
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", `Upload of ${name.textContent}`);
    row.append(name, state, bar);
    list.append(row);
    const key = sameKey ?? [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
    waiting.push({ file, row, state, bar, key });
  }
  start();
}

function start() {
  while (running < 3 && waiting.length) {
    running++;
    send(waiting.shift()).finally(() => { running--; start(); });
  }
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
      job.bar.value = 1;
      job.state.textContent = "Done";
      try {
        await show(JSON.parse(xhr.responseText).id);
        spoken.textContent = `${job.file.name || "Picture"} uploaded`;
        job.row.remove();
      } catch {
        job.state.textContent = "Uploaded: reload to see it";
      }
      done();
    };
    xhr.onerror = () => done(fail(job, "The connection was lost. Nothing is half uploaded: try again.", true));
    xhr.send(body);
  });
}

function fail(job, why, lost = false) {
  const { row } = job;
  job.bar.remove();
  job.state.remove();
  const text = document.createElement("p");
  text.className = "why";
  text.setAttribute("role", "alert");
  text.textContent = why;
  const buttons = document.createElement("span");
  const again = document.createElement("button");
  again.type = "button";
  again.className = "slim";
  again.textContent = "Try again";
  again.addEventListener("click", () => { row.remove(); add([job.file], again.dataset.key); });
  // What may have arrived before the connection broke is not kept twice.
  if (lost) again.dataset.key = job.key;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "slim bare";
  close.textContent = "Dismiss";
  close.setAttribute("aria-label", `Dismiss ${job.file.name}`);
  close.addEventListener("click", () => row.remove());
  buttons.append(again, close);
  row.append(buttons, text);
}

async function show(id) {
  const part = await fetchPart(`/images/${id}?part=tile`);
  const tile = part.querySelector("li");
  document.getElementById("empty")?.remove();
  if (document.getElementById(tile.id)) return;
  tile.classList.add("new");
  grid.prepend(tile);
  added(tile);
  const usage = part.getElementById("usage");
  if (usage) document.getElementById("usage")?.replaceWith(usage);
}

if (form) {
  const input = form.querySelector("input[type=file]");
  const button = document.getElementById("choose");
  button.hidden = false;
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => { add(input.files); input.value = ""; });
  let depth = 0;
  const holdsFiles = (e) => e.dataTransfer && [...e.dataTransfer.types].includes("Files");
  addEventListener("dragenter", (e) => { if (holdsFiles(e)) { depth++; document.body.classList.add("dragging"); } });
  addEventListener("dragleave", (e) => { if (holdsFiles(e) && --depth <= 0) { depth = 0; document.body.classList.remove("dragging"); } });
  addEventListener("dragover", (e) => { if (holdsFiles(e)) e.preventDefault(); });
  addEventListener("drop", (e) => {
    depth = 0;
    document.body.classList.remove("dragging");
    if (!holdsFiles(e)) return;
    e.preventDefault();
    add(e.dataTransfer.files);
  });
  addEventListener("paste", (e) => {
    if (e.clipboardData?.files.length) { e.preventDefault(); add(e.clipboardData.files); }
  });
  addEventListener("beforeunload", (e) => { if (running || waiting.length) e.preventDefault(); });
}
