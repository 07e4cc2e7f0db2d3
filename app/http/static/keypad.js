// Twelve keys, by finger or by keyboard. Keys of the keyboard count while the telephone has the
// focus and nothing is being typed: a digit in a sentence is no key.

const FLASH_MS = 150;

export function keypad(phone, press) {
  const keys = new Map();
  for (const key of phone.querySelectorAll("[data-key]")) {
    keys.set(key.dataset.key, key);
    key.addEventListener("click", () => press(key.dataset.key));
  }
  phone.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, textarea, select");
    const key = keys.get(event.key);
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    if (typing || !plain || key === undefined || key.disabled) return;
    event.preventDefault();
    flash(key);
    press(event.key);
  });
}

function flash(key) {
  key.classList.add("pressed");
  setTimeout(() => key.classList.remove("pressed"), FLASH_MS);
}
