// A call to weft: signalling in WHIP's manner, a chat, and a transfer with its curve.

const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------- signalling

/** One session at the server: POST made it, PATCH feeds it, DELETE ends it. */
class Session {
  static async post(offer) {
    const response = await fetch("echo", offer === undefined
      ? { method: "POST" }
      : { method: "POST", headers: { "Content-Type": "application/sdp" }, body: offer });
    if (response.status !== 201) throw new Error(await reason(response));
    const session = new Session();
    session.location = new URL(response.headers.get("Location"), response.url);
    session.etag = response.headers.get("ETag");
    session.sdp = await response.text();
    return session;
  }

  async patch(type, body) {
    const headers = { "Content-Type": type, "If-Match": this.etag };
    const response = await fetch(this.location, { method: "PATCH", headers, body });
    if (!response.ok) throw new Error(await reason(response));
  }

  end() {
    fetch(this.location, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

async function reason(response) {
  const text = (await response.text()).trim();
  return `the server answered ${response.status}: ${text || response.statusText}`;
}

/** Sends candidates as they come, those that come together in one PATCH (RFC 8840). */
class Trickle {
  constructor(peer) {
    this.waiting = [];
    this.ready = false;
    this.sending = Promise.resolve();
    peer.addEventListener("icecandidate", ({ candidate }) => {
      this.waiting.push(candidate);
      this.flush();
    });
  }

  /** From when the server has the description that the candidates belong to. */
  start(session, description) {
    this.session = session;
    this.credentials = description.match(/^a=ice-(ufrag|pwd):.*$/gm).slice(0, 2);
    this.mid = description.match(/^a=mid:.*$/m)[0];
    this.ready = true;
    this.flush();
  }

  flush() {
    if (!this.ready || this.scheduled) return;
    this.scheduled = true;
    this.sending = this.sending.then(() => this.send()).catch(() => {});
  }

  async send() {
    this.scheduled = false;
    const taken = this.waiting.splice(0);
    if (taken.length === 0) return;
    const lines = taken.map((c) => (c && c.candidate ? `a=${c.candidate}` : "a=end-of-candidates"));
    const fragment = [...this.credentials, "m=audio 9 RTP/AVP 0", this.mid, ...new Set(lines)];
    await this.session.patch("application/trickle-ice-sdpfrag", fragment.join("\r\n") + "\r\n");
  }
}

// ---------------------------------------------------------------- the call

let call = null;

class Call {
  constructor() {
    this.began = performance.now();
    this.peer = new RTCPeerConnection();
    this.trickle = new Trickle(this.peer);
    $("timeline-rows").replaceChildren();
    $("timeline").hidden = false;
    const watch = (event, name, what) => this.peer.addEventListener(event, () => this.note(what, this.peer[name]));
    watch("signalingstatechange", "signalingState", "signaling");
    watch("icegatheringstatechange", "iceGatheringState", "ICE gathering");
    watch("iceconnectionstatechange", "iceConnectionState", "ICE connection");
    this.peer.addEventListener("connectionstatechange", () => {
      this.note("connection", this.peer.connectionState);
      showState(this.peer.connectionState);
      if (this.peer.connectionState === "failed") fail(new Error("the connection failed"));
    });
    this.chat = this.channel("chat", openChat);
    this.bulk = this.channel("transfer", openTransfer);
  }

  channel(label, opened) {
    const channel = this.peer.createDataChannel(label);
    channel.binaryType = "arraybuffer";
    channel.addEventListener("open", () => {
      this.note(`channel ${label}`, "open");
      opened(channel);
    });
    channel.addEventListener("close", () => {
      this.note(`channel ${label}`, "closed");
      if (call === this) enableUse(false);
    });
    return channel;
  }

  /** The browser offers, weft answers. */
  async offer() {
    await this.peer.setLocalDescription();
    const session = await this.keep(Session.post(this.peer.localDescription.sdp));
    this.note("HTTP", "answer received");
    await this.peer.setRemoteDescription({ type: "answer", sdp: session.sdp });
    this.trickle.start(session, this.peer.localDescription.sdp);
  }

  /** weft offers, the browser answers. */
  async answer() {
    const session = await this.keep(Session.post());
    this.note("HTTP", "offer received");
    await this.peer.setRemoteDescription({ type: "offer", sdp: session.sdp });
    await this.peer.setLocalDescription();
    const { sdp } = this.peer.localDescription;
    await session.patch("application/sdp", sdp);
    this.note("HTTP", "answer sent");
    this.trickle.start(session, sdp);
  }

  async keep(promise) {
    this.session = await promise;
    if (call !== this) {
      this.end();
      throw new Error("hung up");
    }
    return this.session;
  }

  note(what, became) {
    const row = $("timeline-rows").insertRow();
    const ms = (performance.now() - this.began).toFixed(1);
    for (const text of [ms, what, became]) row.insertCell().textContent = text;
  }

  end() {
    this.peer.close();
    this.session?.end();
  }
}

async function start(how) {
  hangUp();
  showError("");
  call = new Call();
  showState("connecting");
  $("hangup").disabled = false;
  const mine = call;
  try {
    await mine[how]();
  } catch (error) {
    if (call === mine) fail(error);
  }
}

function hangUp() {
  if (!call) return;
  const ended = call;
  call = null;
  ended.end();
  ended.note("connection", "closed");
  showState("closed");
  enableUse(false);
  $("hangup").disabled = true;
}

function fail(error) {
  hangUp();
  showState("failed");
  showError(error.message);
}

function showState(state) {
  $("state").textContent = state;
  $("state").dataset.state = state;
}

function showError(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

function enableUse(on) {
  for (const id of ["chat-input", "chat-send", "transfer-size", "transfer"]) $(id).disabled = !on;
}

// ---------------------------------------------------------------- chat

const sentAt = [];

function openChat(channel) {
  sentAt.length = 0;
  for (const id of ["chat-input", "chat-send"]) $(id).disabled = false;
  channel.addEventListener("message", ({ data }) => {
    const ms = (performance.now() - sentAt.shift()).toFixed(1);
    say("weft", data, "echo", `${ms} ms`);
  });
}

function say(who, text, kind, note = "") {
  const line = document.createElement("li");
  line.className = kind;
  const name = document.createElement("b");
  name.textContent = `${who}: `;
  const small = document.createElement("small");
  small.textContent = note && ` ${note}`;
  line.append(name, text, small);
  $("chat-log").append(line);
  line.scrollIntoView({ block: "nearest" });
}

$("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("chat-input").value;
  if (!text || call?.chat.readyState !== "open") return;
  sentAt.push(performance.now());
  call.chat.send(text);
  say("you", text, "own");
  $("chat-input").value = "";
});

// ---------------------------------------------------------------- transfer

const chunkSize = 65536;
const highWater = 4 * 1024 * 1024;

function openTransfer(channel) {
  for (const id of ["transfer-size", "transfer"]) $(id).disabled = false;
  channel.bufferedAmountLowThreshold = highWater / 2;
}

/** Chunk `number`: a pattern that begins elsewhere in every chunk. */
const pattern = new Uint8Array(chunkSize + 251).map((_, i) => (i * 167 + (i >> 8)) & 255);
const chunk = (number, size) => pattern.subarray(number % 251, (number % 251) + size);

function sameBytes(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; ++i) if (a[i] !== b[i]) return false;
  return true;
}

/** Sends `total` bytes, compares what comes back, and calls `progress(bytes back)`. */
function transfer(channel, total, progress) {
  const chunks = Math.ceil(total / chunkSize);
  const sizeOf = (number) => Math.min(chunkSize, total - number * chunkSize);
  let sent = 0, back = 0, bytes = 0;
  return new Promise((resolve, reject) => {
    const finish = (settle, value) => {
      channel.removeEventListener("message", receive);
      channel.removeEventListener("bufferedamountlow", send);
      channel.removeEventListener("close", closed);
      settle(value);
    };
    const closed = () => finish(reject, new Error(`the channel closed after ${bytes} bytes`));
    const send = () => {
      while (sent < chunks && channel.readyState === "open" && channel.bufferedAmount < highWater) {
        channel.send(chunk(sent, sizeOf(sent)));
        ++sent;
      }
    };
    const receive = ({ data }) => {
      if (!sameBytes(new Uint8Array(data), chunk(back, sizeOf(back)))) {
        finish(reject, new Error(`chunk ${back} came back changed`));
        return;
      }
      bytes += data.byteLength;
      progress(bytes);
      if (++back === chunks) finish(resolve, bytes);
    };
    channel.addEventListener("message", receive);
    channel.addEventListener("bufferedamountlow", send);
    channel.addEventListener("close", closed);
    send();
  });
}

$("transfer").addEventListener("click", async () => {
  const total = Number($("transfer-size").value) * 1e6;
  const curve = new Curve($("curve"));
  const began = performance.now();
  const speed = (bytes) => bytes / 1e6 / ((performance.now() - began) / 1e3);
  let back = 0;
  const show = setInterval(() => {
    $("transfer-progress").value = back / total;
    $("transfer-result").textContent =
      `${(back / 1e6).toFixed(1)} of ${total / 1e6} MB back, ${speed(back).toFixed(1)} MB/s`;
    curve.add((performance.now() - began) / 1e3, back);
  }, 100);
  for (const id of ["transfer", "transfer-size"]) $(id).disabled = true;
  try {
    await transfer(call.bulk, total, (bytes) => { back = bytes; });
    curve.add((performance.now() - began) / 1e3, back);
    const seconds = ((performance.now() - began) / 1e3).toFixed(2);
    $("transfer-result").textContent =
      `${total / 1e6} MB there and back, all intact, in ${seconds} s: ${speed(total).toFixed(1)} MB/s each way`;
  } catch (error) {
    $("transfer-result").textContent = error.message;
  } finally {
    clearInterval(show);
    $("transfer-progress").value = back / total;
    const open = call?.bulk.readyState === "open";
    for (const id of ["transfer", "transfer-size"]) $(id).disabled = !open;
  }
});

/** Throughput over time, drawn anew with every sample. */
class Curve {
  constructor(canvas) {
    this.canvas = canvas;
    this.samples = [];
    this.last = { seconds: 0, bytes: 0 };
    this.draw();
  }

  add(seconds, bytes) {
    const span = seconds - this.last.seconds;
    if (span <= 0.02) return;
    this.samples.push({ seconds, rate: (bytes - this.last.bytes) / 1e6 / span });
    this.last = { seconds, bytes };
    this.draw();
  }

  draw() {
    const scale = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();

    const area = { left: 58, right: width - 10, top: 12, bottom: height - 26 };
    const top = niceCeiling(Math.max(1, ...this.samples.map((s) => s.rate)));
    const end = Math.max(1, this.last.seconds);
    const x = (seconds) => area.left + (area.right - area.left) * (seconds / end);
    const y = (rate) => area.bottom - (area.bottom - area.top) * (rate / top);

    context.font = "12px system-ui, sans-serif";
    context.strokeStyle = color("--line");
    context.fillStyle = color("--soft");
    context.textBaseline = "middle";
    for (let i = 0; i <= 4; ++i) {
      const rate = (top * i) / 4;
      context.beginPath();
      context.moveTo(area.left, y(rate));
      context.lineTo(area.right, y(rate));
      context.stroke();
      context.textAlign = "right";
      context.fillText(i === 4 ? `${rate} MB/s` : `${rate}`, area.left - 8, y(rate));
    }
    context.textAlign = "center";
    for (let i = 1; i <= 4; ++i)
      context.fillText(`${((end * i) / 4).toFixed(end < 4 ? 2 : 1)} s`, Math.min(x((end * i) / 4), width - 18), height - 10);

    if (this.samples.length === 0) return;
    context.strokeStyle = context.fillStyle = color("--warp");
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.beginPath();
    context.moveTo(x(0), y(0));
    for (const { seconds, rate } of this.samples) context.lineTo(x(seconds), y(rate));
    context.stroke();
    context.lineTo(x(this.last.seconds), y(0));
    context.globalAlpha = 0.12;
    context.fill();
  }
}

/** The next of 1, 2, 4, 8, 10, 20, 40 ...: quarters of it are short numbers. */
function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 4, 8, 10].find((step) => step * power >= value);
}

// ---------------------------------------------------------------- buttons

$("connect").addEventListener("click", () => start("offer"));
$("connect-reverse").addEventListener("click", () => start("answer"));
$("hangup").addEventListener("click", hangUp);
addEventListener("pagehide", hangUp);
new Curve($("curve"));
