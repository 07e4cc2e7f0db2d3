/* The page of a link: asks what is new, shows it as text, sends what is typed. */

const EVERY_MS = 2000;
const HIDDEN_MS = 15000;
const WHO = { caller: "You", agent: "Agent" };
const here = location.pathname;
const state = document.getElementById("state");
const lines = document.getElementById("lines");
const form = document.getElementById("write");
const text = document.getElementById("text");
let seen = 0;
let ended = false;

function row(line) {
  const item = document.createElement("li");
  const who = document.createElement("b");
  item.className = line.by === "caller" ? "caller" : "agent";
  who.textContent = WHO[line.by] ?? "";
  item.append(who, line.text);
  return item;
}

function value({ name, value: told }) {
  const what = document.createElement("dt");
  const is = document.createElement("dd");
  what.textContent = name;
  is.textContent = told;
  return [what, is];
}

function show(told) {
  seen = told.seen;
  /* Lines change while they are spoken: only those that differ are put anew. */
  told.lines.forEach((line, index) => {
    const fresh = row(line);
    const old = lines.children[index];
    if (!old) lines.append(fresh);
    else if (old.textContent !== fresh.textContent) old.replaceWith(fresh);
  });
  while (lines.children.length > told.lines.length) lines.lastChild.remove();
  document.getElementById("form").hidden = !told.form?.length;
  document.getElementById("values").replaceChildren(...(told.form ?? []).flatMap(value));
  form.hidden = !told.open;
  if (!told.over) state.textContent = "The call goes on. What you write is read to the agent.";
  else if (told.open) state.textContent = "The call is over. You can still write.";
  else state.textContent = "The call is over.";
}

async function look() {
  try {
    const answer = await fetch(`${here}/conversation?seen=${seen}`, { cache: "no-store" });
    if (answer.status === 200) show(await answer.json());
    if (answer.status === 404) {
      ended = true;
      form.hidden = true;
      state.textContent = "This link leads nowhere any more.";
    }
  } catch {
    state.textContent = "No connection just now.";
  }
}

async function keepLooking() {
  while (!ended) {
    await look();
    await new Promise((done) => setTimeout(done, document.hidden ? HIDDEN_MS : EVERY_MS));
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = text.value.trim();
  if (!typed) return;
  try {
    const answer = await fetch(`${here}/text`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text: typed }),
    });
    if (answer.ok) text.value = "";
    else state.textContent = (await answer.json()).detail;
  } catch {
    state.textContent = "It could not be sent. Try again.";
  }
  await look();
});

keepLooking();
