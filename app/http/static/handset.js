// A handset: earpiece and mouthpiece behind one message port. Whoever has a clock drives it:
// worklet.js by the audio device, timer.js where there is none. Both obey the same messages, so
// that the page need not know which of the two it talks to.
//
// In:  play {bytes} · mark {name} · clear · drop · open {on} · mute {on} · leave · take {left}
// Out: frame {bytes} · mark {name} · left {left}

import { Earpiece } from "./earpiece.js";
import { Mouthpiece } from "./mouthpiece.js";

export class Handset {
  constructor(port) {
    this.earpiece = new Earpiece((name) => port.postMessage({ kind: "mark", name }));
    this.mouthpiece = new Mouthpiece((bytes) =>
      port.postMessage({ kind: "frame", bytes }, [bytes.buffer]),
    );
    port.onmessage = ({ data }) => this.#obey(data, port);
  }

  #obey(message, port) {
    const { earpiece, mouthpiece } = this;
    const orders = {
      play: () => earpiece.play(message.bytes),
      mark: () => earpiece.mark(message.name),
      clear: () => earpiece.clear(),
      drop: () => earpiece.drop(),
      open: () => mouthpiece.setOpen(message.on),
      mute: () => (mouthpiece.muted = message.on),
      take: () => earpiece.take(message.left),
      leave: () => {
        mouthpiece.setOpen(false);
        port.postMessage({ kind: "left", left: earpiece.leave() });
      },
    };
    orders[message.kind]?.();
  }
}
