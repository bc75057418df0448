import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A server of the real program, with its API and the place where its functions answer. */
export interface Nexus {
  api: string;
  ingress: string;
  token: string;
  run: (...words: string[]) => Promise<string>;
  request: (method: string, path: string, body?: unknown) => Promise<Response>;
  stop: () => Promise<void>;
}

const SHOP = fileURLToPath(new URL("../shop", import.meta.url));
const STARTED_MS_MAX = 60_000;

export function binary(): string {
  const path = process.env["NEXUS_BIN"];
  if (!path || !existsSync(path)) throw new Error("NEXUS_BIN must be the path of the nexus program");
  return path;
}

/** Starts a server whose data lies in a folder. An empty folder gives an empty server. */
export async function startNexus(data: string, ports = { api: 0, ingress: 0 }): Promise<Nexus> {
  mkdirSync(data, { recursive: true });
  rmSync(join(data, "server.json"), { force: true });
  const child = spawn(
    binary(),
    ["serve", "--data", data, "--listen", `127.0.0.1:${ports.ingress}`, "--admin-listen", `127.0.0.1:${ports.api}`],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.on("data", (piece: Buffer) => (log += piece.toString()));
  const found = await appears(join(data, "server.json"), child, () => log);
  const { api, ingress } = JSON.parse(found) as { api: string; ingress: string };
  const token = readFileSync(join(data, "token"), "utf8").trim();
  return {
    api,
    ingress,
    token,
    run: (...words) => run(words, { NEXUS_SERVER: api, NEXUS_TOKEN: token, NEXUS_PROJECT: "shop" }),
    request: (method, path, body) =>
      fetch(api + path, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
    stop: () => stopped(child),
  };
}

async function appears(path: string, child: ChildProcess, log: () => string): Promise<string> {
  const until = Date.now() + STARTED_MS_MAX;
  while (Date.now() < until) {
    if (existsSync(path)) {
      const text = readFileSync(path, "utf8");
      if (text.trim().endsWith("}")) return text;
    }
    if (child.exitCode !== null) throw new Error(`nexus ended with ${child.exitCode}: ${log()}`);
    await pause(100);
  }
  throw new Error(`nexus did not start: ${log()}`);
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  await ended;
}

function run(words: string[], environment: Record<string, string>): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(binary(), words, { env: { ...process.env, ...environment } });
    let [out, problems] = ["", ""];
    child.stdout.on("data", (piece: Buffer) => (out += piece.toString()));
    child.stderr.on("data", (piece: Buffer) => (problems += piece.toString()));
    child.on("exit", (code) => (code === 0 ? done(out) : fail(new Error(`nexus ${words.join(" ")}: ${problems}${out}`))));
  });
}

/** Deploys the sample shop, whose functions call that provider. */
export async function deployShop(nexus: Nexus, provider: string, folder: string): Promise<void> {
  cpSync(SHOP, folder, { recursive: true });
  const manifest = join(folder, "nexus.toml");
  writeFileSync(manifest, readFileSync(manifest, "utf8").replaceAll("http://127.0.0.1:9", provider));
  await nexus.request("PUT", "/api/v1/projects/shop", { description: "A small shop", default: true });
  await nexus.request("PUT", "/api/v1/projects/shop/secrets/provider-key", "sk_test_4242");
  await nexus.run("deploy", folder);
}

export function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
