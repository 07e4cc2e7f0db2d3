// Listens at the page's telephone, without changing what it does: what it sent and when, what
// came and when, and, in the audio device's own thread, how much was heard when it was cleared.
// `window.ear` is the story: [milliseconds, what, ...]. The page's policy has to be off: the
// earpiece is loaded with two lines more.

(() => {
  const LOUD = 132 << 2; // of a decoded sample; silence and the noise of coding stay below
  const story = (window.ear = []);
  const tell = (...what) => story.push([performance.now(), ...what]);

  const magnitude = (code) => {
    const inverted = ~code & 0xff;
    return ((((inverted & 0x0f) << 3) + 132) << ((inverted >> 4) & 7)) - 132;
  };
  const isLoud = (payload) => {
    const bytes = atob(payload);
    for (let n = 0; n < bytes.length; n++) if (magnitude(bytes.charCodeAt(n)) > LOUD) return true;
    return false;
  };

  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        const { event, media } = JSON.parse(data);
        if (event === "media") tell("came", atob(media.payload).length);
        else if (event === "clear" || event === "start") tell(event);
      });
    }

    send(text) {
      const { event, media } = JSON.parse(text);
      if (event === "media") tell(isLoud(media.payload) ? "spoke" : "kept quiet");
      super.send(text);
    }
  };

  window.AudioWorkletNode = class extends AudioWorkletNode {
    constructor(...given) {
      super(...given);
      this.port.addEventListener("message", ({ data }) => {
        const ours = data.kind === "mark" && typeof data.name === "object";
        if (ours) tell(data.name.what, data.name.heard);
      });
    }
  };

  const CLEAR = "\n  clear() {";
  const PLAYED = "\n    samples.fill(0, filled);";
  const text = async (url) => (await fetch(url)).text();
  const blob = (source) => URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const withImports = (source, url, changed = {}) =>
    source.replace(/from "(\.\/[^"]+)"/g, (_, path) => {
      return `from "${changed[path] ?? new URL(path, url)}"`;
    });

  const earpiece = async (url) => {
    const source = await text(url);
    if (!source.includes(CLEAR) || !source.includes(PLAYED)) throw Error("another earpiece");
    return source
      .replace(CLEAR, `${CLEAR} this.#returnMark({ what: "cleared", heard: this.#heard });`)
      .replace(
        PLAYED,
        `if (filled > 0 && !this.playing) this.#returnMark({ what: "sounds", heard: this.#heard });
         this.playing = filled > 0; ${PLAYED}`,
      );
  };

  const addModule = AudioWorklet.prototype.addModule;
  AudioWorklet.prototype.addModule = async function (url) {
    const at = (path) => new URL(path, url);
    const ear = blob(withImports(await earpiece(at("./earpiece.js")), url));
    const handset = await text(at("./handset.js"));
    const hand = blob(withImports(handset, url, { "./earpiece.js": ear }));
    const changed = { "./handset.js": hand };
    return addModule.call(this, blob(withImports(await text(url), url, changed)));
  };
})();
