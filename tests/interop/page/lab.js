// The browser's side of the tests: a stranger's page, of another origin than the server.

const seconds = 1000;

/** Settles as `promise` does, or fails with what was awaited. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms / seconds} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function next(target, event, ms = 15 * seconds) {
  const what = `"${event}" of ${target.label ?? target.constructor.name}`;
  return within(ms, what, new Promise((resolve) => {
    target.addEventListener(event, resolve, { once: true });
  }));
}

/** Waits until `done()` holds; asks again with every `event` of `target`. */
async function until(target, event, done, ms, what) {
  while (!done()) await within(ms, what, next(target, event, ms));
}

export class Call {
  /**
   * @param server where sessions are made: http://.../echo
   * @param options.role "offerer" or "answerer": what the browser is
   * @param options.configuration of the RTCPeerConnection
   * @param options.channels {label: RTCDataChannelInit} made before the descriptions
   * @param options.media whether the browser also offers a microphone and a camera
   * @param options.trickle false to wait for all candidates and send none by PATCH
   * @param options.alter what becomes of the browser's own description on its way
   */
  constructor(server, options = {}) {
    this.server = server;
    this.options = { role: "offerer", trickle: true, alter: (sdp) => sdp, ...options };
    this.began = performance.now();
    this.patches = [];
    this.peer = new RTCPeerConnection(this.options.configuration);
    this.channels = {};
    for (const [label, init] of Object.entries(this.options.channels ?? { data: {} }))
      this.open(label, init);
  }

  open(label, init) {
    const channel = this.peer.createDataChannel(label, init);
    channel.binaryType = "arraybuffer";
    channel.errors = [];
    channel.addEventListener("error", ({ error }) => channel.errors.push(error.message));
    return (this.channels[label] = channel);
  }

  get channel() {
    return Object.values(this.channels)[0];
  }

  /** Signals, and waits until every channel is open. */
  async connect(ms = 20 * seconds) {
    await this.signal();
    await this.connected(ms);
    this.openAfter = performance.now() - this.began;
    return this;
  }

  async connected(ms = 20 * seconds) {
    const all = Object.values(this.channels);
    const failed = new Promise((_, reject) => {
      this.peer.addEventListener("connectionstatechange", () => {
        if (this.peer.connectionState === "failed") reject(new Error("the connection failed"));
      });
    });
    const open = all.map((channel) =>
      until(channel, "open", () => channel.readyState === "open", ms, `channel ${channel.label}`));
    // A channel may be open before that is said.
    const state = until(this.peer, "connectionstatechange",
      () => this.peer.connectionState === "connected", ms, "connection");
    await Promise.race([Promise.all([...open, state]), failed]);
  }

  async signal() {
    if (this.options.media) {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
      for (const track of this.stream.getTracks()) this.peer.addTrack(track, this.stream);
    }
    const waiting = [];
    this.peer.addEventListener("icecandidate", ({ candidate }) => {
      waiting.push(candidate);
      this.flush?.();
    });
    if (this.options.role === "offerer") {
      await this.peer.setLocalDescription();
      await this.gathered();
      await this.post(this.local());
      await this.peer.setRemoteDescription({ type: "answer", sdp: this.remote });
    } else {
      await this.post();
      await this.peer.setRemoteDescription({ type: "offer", sdp: this.remote });
      await this.peer.setLocalDescription();
      await this.gathered();
      await this.patch("application/sdp", this.local());
    }
    if (!this.options.trickle) return;
    this.flush = () => this.send(waiting.splice(0));
    this.flush();
  }

  local() {
    return this.options.alter(this.peer.localDescription.sdp);
  }

  /** Without trickling: all candidates are in the description. */
  async gathered() {
    if (this.options.trickle) return;
    await until(this.peer, "icegatheringstatechange",
      () => this.peer.iceGatheringState === "complete", 20 * seconds, "end of gathering");
  }

  async post(offer) {
    const response = await fetch(this.server, offer === undefined
      ? { method: "POST" }
      : { method: "POST", headers: { "Content-Type": "application/sdp" }, body: offer });
    const text = await response.text();
    if (response.status !== 201) throw new Error(`POST: ${response.status} ${text}`);
    this.location = new URL(response.headers.get("Location"), response.url).href;
    this.etag = response.headers.get("ETag");
    this.remote = text;
  }

  async patch(type, body) {
    const headers = { "Content-Type": type, "If-Match": this.etag };
    const response = await fetch(this.location, { method: "PATCH", headers, body });
    const text = (await response.text()).trim();
    this.patches.push({ type, status: response.status, text });
    return response.status;
  }

  /** RFC 8840 §9: the candidates in a fragment of the description they belong to. */
  send(candidates) {
    if (candidates.length === 0) return;
    const description = this.peer.localDescription.sdp;
    const credentials = description.match(/^a=ice-(ufrag|pwd):.*$/gm).slice(0, 2);
    const mid = description.match(/^a=mid:.*$/m)[0];
    const lines = candidates.map((c) => (c?.candidate ? `a=${c.candidate}` : "a=end-of-candidates"));
    const fragment = [...credentials, "m=audio 9 RTP/AVP 0", mid, ...new Set(lines)];
    this.trickled = Promise.all([this.trickled,
      this.patch("application/trickle-ice-sdpfrag", fragment.join("\r\n") + "\r\n")]);
  }

  async end() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.peer.close();
    if (this.location) await fetch(this.location, { method: "DELETE" });
  }

  async stats(type) {
    return [...(await this.peer.getStats()).values()].filter((s) => s.type === type);
  }
}

/** Runs `use` with a connected call, and ends that whatever comes of it. */
export async function calling(server, options, use) {
  const call = new Call(server, options);
  try {
    await call.connect();
    return await use(call);
  } finally {
    await call.end().catch(() => {});
  }
}

/** Bytes that look like nothing else, and differ from one `seed` to the next. */
export function bytes(size, seed = 1) {
  const made = new Uint8Array(size);
  let x = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < size; ++i) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    made[i] = x;
  }
  return made;
}

/** Text of exactly `size` bytes as UTF-8, with characters of two, three and four of them. */
export function text(size) {
  const cycle = "weft \u00e9 \u7db4 \u{1f9f5} ";
  const whole = new TextEncoder().encode(cycle).length;
  return cycle.repeat(Math.floor(size / whole)) + "x".repeat(size % whole);
}

export function same(a, b) {
  if (typeof a === "string" || typeof b === "string") return a === b;
  const x = new Uint8Array(a), y = new Uint8Array(b);
  return x.length === y.length && x.every((byte, i) => byte === y[i]);
}

/** Sends one message and returns what comes back. */
export async function echo(channel, message, ms = 20 * seconds) {
  const back = next(channel, "message", ms);
  channel.send(message);
  return (await back).data;
}

/** Sends messages, and says by their numbers which came back, in the order they did. */
export async function burst(channel, count, size, quiet = 2 * seconds) {
  const back = [];
  let intact = true, arrived;
  channel.addEventListener("message", ({ data }) => {
    const number = new DataView(data).getUint32(0);
    intact &&= same(data, numbered(number, size));
    back.push(number);
    arrived?.();
  });
  for (let i = 0; i < count; ++i) channel.send(numbered(i, size));
  while (back.length < count) {
    const more = new Promise((resolve) => (arrived = () => resolve(true)));
    const enough = new Promise((resolve) => setTimeout(resolve, quiet, false));
    if (!(await Promise.race([more, enough]))) break;
  }
  return { back, intact };
}

function numbered(number, size) {
  const message = bytes(size, number + 1);
  new DataView(message.buffer).setUint32(0, number);
  return message;
}

/** There and back, with never more than `bound` bytes buffered. */
export async function transfer(channel, total, { chunk = 65536, bound = 4 << 20 } = {}) {
  const pattern = bytes(chunk + 251);
  const part = (number, size) => pattern.subarray(number % 251, (number % 251) + size);
  const sizeOf = (number) => Math.min(chunk, total - number * chunk);
  const chunks = Math.ceil(total / chunk);
  let sent = 0, back = 0, highest = 0, lastProgress = performance.now();
  channel.bufferedAmountLowThreshold = bound / 2;
  const began = performance.now();
  await new Promise((resolve, reject) => {
    const send = () => {
      for (; sent < chunks && channel.bufferedAmount + chunk <= bound; ++sent)
        channel.send(part(sent, sizeOf(sent)));
      highest = Math.max(highest, channel.bufferedAmount);
    };
    const watch = setInterval(() => {
      if (performance.now() - lastProgress < 20 * seconds) return;
      clearInterval(watch);
      reject(new Error(`nothing for 20 s: ${sent} of ${chunks} sent, ${back} back`));
    }, 1 * seconds);
    channel.addEventListener("bufferedamountlow", send);
    channel.addEventListener("close", () => reject(new Error(`closed: ${back} of ${chunks} back`)));
    channel.addEventListener("message", ({ data }) => {
      lastProgress = performance.now();
      if (!same(data, part(back, sizeOf(back)))) reject(new Error(`chunk ${back} came back changed`));
      if (++back < chunks) return;
      clearInterval(watch);
      resolve();
    });
    send();
  });
  return { bytes: total, seconds: (performance.now() - began) / seconds, highest };
}
