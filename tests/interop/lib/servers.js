// weft itself, and a page for the browser to be on.

import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const limit = 20_000;

/** `weft serve` on a port of its own choice, told to say what happens to its sessions. */
export class WeftServer {
  static async start(program) {
    const server = new WeftServer();
    server.process = spawn(program, ["serve", "--port", "0", "--verbose"],
      { stdio: ["ignore", "pipe", "pipe"] });
    server.process.on("exit", () => server.said.emit("line", "gone"));
    server.lines = [];
    server.said = new EventEmitter().setMaxListeners(100);
    createInterface({ input: server.process.stderr }).on("line", (line) => {
      server.lines.push(line);
      server.said.emit("line", line);
    });
    const output = createInterface({ input: server.process.stdout });
    const [line] = await once(output, "line", { signal: AbortSignal.timeout(limit) });
    server.url = line.match(/^listening on (http:\S+)$/)[1];
    return server;
  }

  get echo() {
    return `${this.url}/echo`;
  }

  /** The line that tells how the session at `location` came to its end. */
  async ended(location, ms = limit) {
    const id = location.split("/").pop();
    const about = (line) => line.startsWith(`${id} ended`);
    const signal = AbortSignal.timeout(ms);
    while (!this.lines.some(about)) await once(this.said, "line", { signal });
    return this.lines.find(about);
  }

  get running() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  async stop() {
    if (!this.running) return;
    const gone = once(this.process, "exit");
    this.process.kill("SIGTERM");
    await gone;
  }
}

/** `weft turn-server` on loopback, with one user; `url(transport)` is what browsers take. */
export class TurnServer {
  static async start(program) {
    const server = new TurnServer();
    server.process = spawn(program, ["turn-server", "--listen", "127.0.0.1:0", "--realm", "weft.test",
      "--user", "alice:wonderland", "--allow-peer", "127.0.0.0/8", "--log", "-"],
      { stdio: ["ignore", "pipe", "inherit"] });
    server.allocations = [];
    const output = createInterface({ input: server.process.stdout });
    const [line] = await once(output, "line", { signal: AbortSignal.timeout(limit) });
    output.on("line", (text) => {
      const event = JSON.parse(text);
      if (event.event === "allocation_created") server.allocations.push(event);
    });
    server.ports = Object.fromEntries(
      [...line.matchAll(/(udp|tcp) 127\.0\.0\.1:(\d+)/g)].map(([, over, port]) => [over, port]));
    return server;
  }

  ice(over) {
    const urls = `turn:127.0.0.1:${this.ports[over]}?transport=${over}`;
    return [{ urls, username: "alice", credential: "wonderland" }];
  }

  async stop() {
    if (this.process.exitCode !== null) return;
    const gone = once(this.process, "exit");
    this.process.kill("SIGTERM");
    this.process.kill("SIGTERM");  // Browsers may leave allocations behind.
    await gone;
  }
}

const types = { "/index.html": "text/html", "/lab.js": "text/javascript" };

/** Serves page/ from an origin that is not weft's. */
export async function servePage() {
  const server = createServer(async ({ url }, response) => {
    const name = url === "/" ? "/index.html" : url;
    if (!(name in types)) {
      response.writeHead(404).end();
      return;
    }
    const content = await readFile(new URL(`../page${name}`, import.meta.url));
    response.writeHead(200, { "Content-Type": types[name] }).end(content);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
