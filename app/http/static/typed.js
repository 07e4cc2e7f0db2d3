// Words instead of speech, two ways: said aloud into the call by the carrier's voice, or sent to
// the agent as text. What was not taken stays in the field, with the reason.

import { refusal } from "./setup.js";

export class Typed {
  #desk;
  #say;
  #callSid;

  // `say` is given what is to be said aloud; `callSid` tells which call is going on.
  constructor(desk, say, callSid) {
    this.#desk = desk;
    this.#say = say;
    this.#callSid = callSid;
    desk.get("typed").addEventListener("submit", (event) => this.#submitted(event));
    desk.get("send").addEventListener("click", () => this.#send());
  }

  #submitted(event) {
    event.preventDefault();
    if (!this.#desk.get("say").disabled) this.#speak();
    else if (!this.#desk.get("send").disabled) this.#send();
  }

  #speak() {
    const text = this.#take();
    if (text === "") return;
    this.#say(text);
    this.#desk.get("words").value = "";
  }

  async #send() {
    const text = this.#take();
    if (text === "") return;
    const problem = this.#desk.get("typed-problem");
    try {
      const body = JSON.stringify({ callSid: this.#callSid(), text });
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch("/phone/text", { method: "POST", headers, body });
      if (answer.ok) this.#desk.get("words").value = "";
      else problem.textContent = await refusal(answer);
    } catch {
      problem.textContent = "The server does not answer: the words were not sent.";
    }
  }

  #take() {
    this.#desk.get("typed-problem").textContent = "";
    return this.#desk.get("words").value.trim();
  }
}
