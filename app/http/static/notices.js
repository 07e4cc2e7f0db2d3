// Sentences on top of the page: one per subject, gone when it is no longer true.

export class Notices {
  #place;
  #shown = new Map();

  constructor(place) {
    this.#place = place;
  }

  // `action` is {label, run}: the way on, as a button. Problems interrupt a screen reader,
  // hints wait for their turn.
  show(subject, sentence, { action = null, hint = false } = {}) {
    const before = this.#shown.get(subject);
    if (before?.dataset.sentence === sentence) return;
    before?.remove();
    const notice = document.createElement("div");
    notice.className = hint ? "notice hint" : "notice";
    notice.dataset.subject = subject;
    notice.dataset.sentence = sentence;
    notice.setAttribute("role", hint ? "status" : "alert");
    const words = document.createElement("p");
    words.textContent = sentence;
    notice.append(words);
    if (action !== null) notice.append(button(action.label, action.run));
    if (hint) notice.append(button("Close", () => this.hide(subject)));
    this.#place.append(notice);
    this.#shown.set(subject, notice);
  }

  // All whose subject begins so.
  hideAll(beginning) {
    this.hide(...[...this.#shown.keys()].filter((subject) => subject.startsWith(beginning)));
  }

  hide(...subjects) {
    for (const subject of subjects) {
      this.#shown.get(subject)?.remove();
      this.#shown.delete(subject);
    }
  }
}

function button(label, run) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.addEventListener("click", run);
  return made;
}
