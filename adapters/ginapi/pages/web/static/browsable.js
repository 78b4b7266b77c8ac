// The browsable API's forms: they send what a program would, and show what comes back.

// value is what a field says; undefined: nothing. A field that was emptied says so.
function value(field) {
  const text = field.value.trim();
  switch (field.dataset.kind) {
    case "integer": return /^\d+$/.test(text) ? Number(text) : text || undefined;
    case "boolean": return text ? text === "true" : undefined;
    case "array": return text ? text.split(/[\s,]+/) : was(field) ? [] : undefined;
    case "object": return text ? JSON.parse(text) : undefined;
    default: return text || was(field) ? field.value : undefined;
  }
}

// was is what a field said when the page came.
function was(field) {
  return field instanceof HTMLSelectElement ? [...field.options].find((o) => o.defaultSelected)?.value ?? "" : field.defaultValue;
}

function put(parent, name, text, className) {
  const el = document.createElement(name);
  el.textContent = text;
  if (className) el.className = className;
  parent.append(el);
  return el;
}

function show(box, status, headers, text) {
  box.hidden = false;
  box.replaceChildren();
  const head = put(box, "header", "");
  put(head, "b", status, "mono");
  for (const [k, v] of headers) put(head, "span", `${k}: ${v}`, "mono soft break");
  if (!text) return;
  let pretty = text;
  try { pretty = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it came */ }
  const pre = put(box, "pre", "");
  pre.tabIndex = 0;
  // Addresses of this server become links.
  for (const part of pretty.split(/("(?:https?:\/\/[^"\s]+)")/)) {
    const url = part.startsWith('"http') ? part.slice(1, -1) : "";
    if (url && URL.canParse(url) && new URL(url).origin === location.origin) {
      pre.append('"');
      put(pre, "a", url).href = url;
      pre.append('"');
    } else {
      pre.append(part);
    }
  }
}

for (const form of document.querySelectorAll("form.call")) {
  let sure = false;
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const { method, path } = form.dataset;
    const button = form.querySelector("button");
    const box = form.querySelector(".wire");
    if (method === "DELETE" && !sure) {
      sure = true;
      button.textContent = "Really delete: press again";
      return;
    }
    const init = { method, headers: { Accept: "application/json" } };
    if ("upload" in form.dataset) {
      init.body = new FormData(form);
    } else if (method !== "DELETE") {
      const body = {};
      try {
        for (const field of form.elements) {
          // Of what the page came with, what was not changed is not sent.
          if (!field.name || (was(field) && field.value === was(field))) continue;
          const v = value(field);
          if (v !== undefined) body[field.name] = v;
        }
      } catch (err) {
        show(box, "Not sent: a field holds no valid JSON", [], String(err.message));
        return;
      }
      init.headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    button.disabled = true;
    try {
      const res = await fetch(path, init);
      const headers = ["Location", "Retry-After", "Content-Type"].map((k) => [k, res.headers.get(k)]).filter(([, v]) => v);
      show(box, `HTTP ${res.status} ${res.statusText}`, headers, await res.text());
    } catch {
      show(box, "No answer: the connection was lost", [], "");
    }
    button.disabled = false;
  });
}
