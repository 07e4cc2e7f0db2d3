// What runs here: where the line is, and who hears, thinks, speaks and carries the call.

const PARTS = { hears: "Hears", thinks: "Thinks", speaks: "Speaks", carrier: "Carrier" };

// Throws an Error whose message is a sentence for the person.
export async function askSetup() {
  let answer;
  try {
    answer = await fetch("/phone/setup.json", { cache: "no-store" });
  } catch {
    throw new Error("The server does not answer. Is Patchline still running?");
  }
  if (!answer.ok) throw new Error(await refusal(answer));
  return answer.json();
}

// The sentence of a refusal, which is a problem document.
export async function refusal(answer) {
  const fallback = `The server refused (${answer.status}).`;
  try {
    return (await answer.json()).detail ?? fallback;
  } catch {
    return fallback;
  }
}

export function showRungs(place, rungs, you) {
  const own = { part: "you", rung: you.rung, sentence: you.sentence };
  place.replaceChildren(...[...rungs, own].map(rungOf));
}

function rungOf({ part, rung, sentence, better }) {
  const group = document.createElement("div");
  group.dataset.part = part;
  const term = document.createElement("dt");
  term.textContent = part === "you" ? "You" : (PARTS[part] ?? part);
  const name = document.createElement("dd");
  name.className = "rung";
  name.textContent = rung;
  const words = document.createElement("dd");
  words.className = "why";
  words.textContent = sentence;
  group.append(term, name, words);
  if (better) {
    const next = document.createElement("dd");
    next.className = "better";
    next.textContent = better;
    group.append(next);
  }
  return group;
}
