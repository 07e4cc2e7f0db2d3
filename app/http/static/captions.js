// The conversation in words, one entry per id, changed in place. What was cut off stays
// readable, behind the place where it was cut: that is what the caller did not hear.

const WHO = { caller: "You", agent: "Agent", tool: "Tool", note: "", sms: "Text message" };
const SETTLED_MS = 1200;

export class Captions {
  #list;
  #scroll;
  #announce;
  #entries = new Map();
  #settling = null;
  #count = 0;

  // `announce` is given each entry once, when it stopped changing: a screen reader that read
  // every word as it comes would read over the call.
  constructor(list, announce) {
    this.#list = list;
    this.#scroll = list.parentElement;
    this.#announce = announce;
  }

  clear() {
    this.#list.replaceChildren();
    this.#entries.clear();
    this.#settling = null;
  }

  // An event of the call's story: {kind, id, text, heard_ms, sent_ms, latency_ms, name, ok}.
  take(event) {
    const takers = {
      caller: () => this.#words(event),
      agent: () => this.#words(event),
      note: () => this.#words(event),
      tool: () => this.#tool(event),
      cut: () => this.#cut(event),
      turn: () => this.#latency(event),
    };
    this.#keepInSight(() => takers[event.kind]?.());
  }

  note(text) {
    this.take({ kind: "note", id: `here-${++this.#count}`, text });
  }

  sms({ from, to, body }) {
    this.#keepInSight(() => {
      const entry = this.#entry(`sms-${++this.#count}`, "sms");
      entry.who.textContent = `Text message to ${to}`;
      entry.who.title = `from ${from}`;
      this.#write(entry, body);
    });
  }

  #words({ kind, id, text }) {
    const entry = this.#entry(id, kind);
    if (entry.cut) return;
    entry.item.classList.toggle("unclear", kind === "caller" && !text);
    this.#write(entry, text || (kind === "caller" ? "…" : ""));
  }

  #tool({ id, name, text, ok }) {
    const entry = this.#entry(id, "tool");
    entry.who.textContent = name ?? "Tool";
    entry.item.classList.toggle("failed", ok === false);
    const outcome = ok === true ? "done" : ok === false ? "failed" : "at work …";
    this.#write(entry, text ? `${outcome}: ${text}` : outcome);
  }

  #cut({ id, text, heard_ms, sent_ms }) {
    const entry = this.#entry(id, "agent");
    const all = entry.text;
    const heard = text ?? all.slice(0, heardLength(all, heard_ms, sent_ms));
    const rest = all.startsWith(heard) ? all.slice(heard.length) : "";
    entry.cut = true;
    const mark = part("span", "cut-here", "cut here");
    entry.words.replaceChildren(`${heard.trimEnd()} `, mark, " ", part("s", "unheard", rest.trim()));
    this.#settle(entry, `${heard.trim()} – cut here`);
  }

  #latency({ id, latency_ms }) {
    if (typeof latency_ms !== "number") return;
    const entry = this.#entry(id, "agent");
    entry.latency.textContent = `after ${(latency_ms / 1000).toFixed(2)} s`;
    entry.latency.title = "from the moment your turn was taken to be over to the first sound of the answer";
  }

  #entry(id, kind) {
    const known = this.#entries.get(id);
    if (known) return known;
    const item = part("li", `caption ${kind}`);
    const head = part("div", "head");
    const who = part("span", "who", WHO[kind] ?? "");
    const latency = part("span", "latency");
    const words = part("p", "words");
    head.append(who, latency);
    item.append(head, words);
    this.#list.append(item);
    const entry = { item, who, latency, words, text: "", cut: false };
    this.#entries.set(id, entry);
    return entry;
  }

  #write(entry, text) {
    if (entry.text === text) return;
    entry.text = text;
    entry.words.textContent = text;
    this.#settle(entry, text);
  }

  #settle(entry, text) {
    if (this.#settling !== null) {
      clearTimeout(this.#settling.timer);
      if (this.#settling.entry !== entry) this.#settling.read();
    }
    const read = () => {
      this.#settling = null;
      if (text && text !== "…") this.#announce(`${entry.who.textContent} ${text}`.trim());
    };
    this.#settling = { entry, read, timer: setTimeout(read, SETTLED_MS) };
  }

  // Whoever reads further up is not pulled down.
  #keepInSight(change) {
    const scroll = this.#scroll;
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
    change();
    if (atEnd) scroll.scrollTop = scroll.scrollHeight;
  }
}

// How many letters were heard, taken as spoken evenly, and no half words.
function heardLength(text, heard_ms, sent_ms) {
  if (!(sent_ms > 0)) return 0;
  const share = Math.min(1, Math.max(0, heard_ms / sent_ms));
  if (share === 1) return text.length;
  return text.lastIndexOf(" ", Math.round(share * text.length)) + 1;
}

function part(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
