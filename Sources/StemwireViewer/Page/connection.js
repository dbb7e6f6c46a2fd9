// The WebSocket to the viewer: asks for one message at a time, reads it, and connects again when it breaks.

import { NOT_LET_IN } from "./role.js";

const ARRAYS = {
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array, float32: Float32Array,
  float64: Float64Array,
};
const SILENCE = 4000;

// A message: header length, four bytes 0, header (JSON), arrays. Throws when it is not that.
export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const start = 8 + length;
  for (const pane of header.panes) {
    if (!pane.data) continue;
    const type = ARRAYS[pane.dtype];
    pane.values = new type(buffer, start + pane.data.offset, pane.data.bytes / type.BYTES_PER_ELEMENT);
    if (pane.coverage) pane.map = new Uint8Array(buffer, start + pane.coverage.offset, pane.coverage.bytes);
  }
  return header;
}

export class Connection {
  // `onMessage(header)` is called for each message, `onLink(isOpen, reason)` when the connection comes or goes,
  // `onOpen(send)` before the first message is asked for. `role` has the token; it is asked for another where that is not let in.
  constructor(url, { onMessage, onLink, onOpen, role }) {
    Object.assign(this, { url, onMessage, onLink, onOpen, role });
    this.wait = 250;
    this.connect();
    setInterval(() => this.watch(), 500);
  }

  connect() {
    this.heard = performance.now();
    this.socket = new WebSocket(this.url);
    this.socket.binaryType = "arraybuffer";
    const socket = this.socket;
    socket.onopen = () => {
      if (this.role.token) this.send({ type: "token", token: this.role.token });
      this.onLink(true, "");
      this.onOpen();
      this.next();
    };
    socket.onmessage = (event) => {
      this.heard = performance.now();
      this.wait = 250;
      this.onMessage(decode(event.data));
      this.askWhenDrawn();
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      if (event.code === NOT_LET_IN) return this.refused(event.reason);
      this.lost(event.reason || "the viewer does not answer");
    };
  }

  // The next message is asked for when this one has been drawn; a hidden page draws nothing, and must not fall silent.
  askWhenDrawn() {
    if (document.hidden) this.next();
    else requestAnimationFrame(() => this.next());
  }

  lost(reason) {
    this.socket = null;
    this.onLink(false, reason);
    this.retry = setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(2 * this.wait, 4000);
  }

  // Tried again when there is another token.
  refused(reason) {
    this.socket = null;
    this.onLink(false, reason);
    this.role.ask(reason);
  }

  // Connects anew, as with another token.
  again() {
    clearTimeout(this.retry);
    const former = this.socket;
    if (former) former.onclose = former.onmessage = former.onopen = null;
    former?.close();
    this.connect();
  }

  watch() {
    if (!this.socket || performance.now() - this.heard < SILENCE) return;
    const silent = this.socket;
    this.socket = null;
    silent.onclose = silent.onmessage = silent.onopen = null;
    silent.close();
    this.lost(`nothing came from the viewer for ${SILENCE / 1000} s`);
  }

  next() { this.send({ type: "next" }); }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
