// What every page has: times in the reader's zone, and buttons that copy.

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const away = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

// fromNow is a moment within a day of now as people say it; empty further away.
function fromNow(at) {
  const seconds = Math.round((at - Date.now()) / 1000);
  if (Math.abs(seconds) < 60) return away.format(seconds, "second");
  const minutes = Math.round(seconds / 60);
  if (Math.abs(minutes) < 60) return away.format(minutes, "minute");
  const hours = Math.round(minutes / 60);
  return Math.abs(hours) < 24 ? away.format(hours, "hour") : "";
}

export function localTimes(root) {
  for (const t of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(t.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    t.dataset.local = "";
    t.title = `${moment.format(at)} (${t.textContent})`;
    t.textContent = fromNow(at) || moment.format(at);
  }
}

async function copy(input) {
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    // Plain http has no clipboard; the selection still can be copied.
    input.focus();
    input.select();
    return document.execCommand("copy");
  }
}

document.addEventListener("click", async (e) => {
  const button = e.target.closest("button[data-copy]");
  if (button) {
    const done = await copy(document.getElementById(button.dataset.copy));
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2500);
    return;
  }
  const cancel = e.target.closest("button[data-cancel]");
  if (cancel) {
    const details = cancel.closest("details");
    details.open = false;
    details.querySelector("summary").focus();
  }
});

// A menu closes by Escape, and by a click beside it.
document.addEventListener("keydown", (e) => {
  if (e.key !== "Escape") return;
  const open = document.querySelector("details.confirm[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});
document.addEventListener("click", (e) => {
  for (const open of document.querySelectorAll("details.confirm[open]:not(.inline)")) {
    if (!open.contains(e.target)) open.open = false;
  }
});

// datetime-local fields are in the reader's zone; the server reads UTC.
for (const field of document.querySelectorAll("input[data-utc]")) {
  const at = field.value && new Date(field.value);
  const shown = document.createElement("input");
  shown.type = "datetime-local";
  shown.id = field.id;
  if (at && !Number.isNaN(at.getTime())) {
    const local = new Date(at.getTime() - at.getTimezoneOffset() * 60000);
    shown.value = local.toISOString().slice(0, 16);
  }
  field.removeAttribute("id");
  field.type = "hidden";
  field.after(shown);
  shown.addEventListener("change", () => {
    field.value = shown.value ? new Date(shown.value).toISOString().replace(/\.\d+Z$/, "Z") : "";
  });
}

// An empty field of a search is left out of its address.
for (const form of document.querySelectorAll("form[method=get]")) {
  form.addEventListener("formdata", (e) => {
    for (const [k, v] of [...e.formData]) if (v === "") e.formData.delete(k);
  });
}

document.querySelector(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

localTimes(document);
document.addEventListener("imagify:added", (e) => localTimes(e.detail));
