// The first page, alive: asks for the steps at load and on demand, counts calls as they come.
// The server writes the list, here and there the same; this only puts it into the page.

import { refusal } from "./setup.js";

const CALLS_EVERY_MS = 2000;
const again = document.querySelector("#again");
const summary = document.querySelector("#summary");
const calls = document.querySelector("#calls");
let checking = false;
let came = Number(calls.dataset.came);

async function check() {
  if (checking) return;
  checking = true;
  // Not disabled: a button that is loses the focus.
  again.setAttribute("aria-disabled", "true");
  again.textContent = "Checking …";
  list().setAttribute("aria-busy", "true");
  try {
    const answer = await fetch("/setup/checks", { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) throw new Error(await refusal(answer));
    replace(await answer.text());
    summary.textContent = `${answer.headers.get("X-Summary")} Checked at ${new Date().toLocaleTimeString()}.`;
  } catch (error) {
    summary.textContent = error instanceof TypeError
      ? "The server does not answer. Is Patchline still running?" : error.message;
    list().setAttribute("aria-busy", "false");
  }
  checking = false;
  again.removeAttribute("aria-disabled");
  again.textContent = "Check again";
}

const list = () => document.querySelector("#steps");

// Keeps what the person unfolded, and their place.
function replace(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("#steps");
  const focused = placeOf(document.activeElement);
  for (const step of list().children) {
    const same = fresh.querySelector(`[data-id="${step.dataset.id}"][data-state="${step.dataset.state}"] details`);
    const before = step.querySelector("details");
    if (same && before) same.open = before.open;
  }
  list().replaceWith(fresh);
  offerCopies();
  if (focused) places(focused.id)[focused.index]?.focus();
}

const places = (id) => [...list().querySelectorAll(`[data-id="${id}"] :is(a, button, summary, code)`)];

function placeOf(element) {
  const id = element?.closest?.("#steps > li")?.dataset.id;
  return id ? { id, index: places(id).indexOf(element) } : null;
}

function offerCopies() {
  for (const code of list().querySelectorAll(".lines code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${code.textContent}`);
    button.addEventListener("click", () => copy(code, button));
    code.after(button);
  }
}

async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    said(button, "Copied");
  } catch {
    // Without leave for the clipboard: marked, for Ctrl-C.
    getSelection().selectAllChildren(code);
    said(button, "Marked");
  }
}

function said(button, word) {
  button.textContent = word;
  button.setAttribute("aria-label", word);
  setTimeout(() => {
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${button.previousElementSibling.textContent}`);
  }, 2000);
}

async function count() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/setup/calls", { cache: "no-store" });
    if (!answer.ok) return;
    const { live, since_start: total } = await answer.json();
    calls.textContent = total ? `${total} since the start, ${live} live` : "None since the start";
    if (total > came && !checking) {
      came = total;
      check();
    }
  } catch {
    // The next round asks again; the button says what is wrong.
  }
}

again.hidden = false;
again.addEventListener("click", check);
offerCopies();
check();
count();
setInterval(count, CALLS_EVERY_MS);
