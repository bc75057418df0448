import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";

import { launch } from "./browser";
import { deployShop, pause, startNexus, type Nexus } from "./server";
import { startSite, type Site } from "./site";
import { sendOrders, sundries, visit } from "./traffic";
import { startUpstream, type Upstream } from "./upstream";

export const OUTPUT = fileURLToPath(new URL("../output", import.meta.url));

/** Everything that a scenario needs: a server with a past, the console before it, and a browser that is signed in. */
export interface World {
  nexus: Nexus;
  upstream: Upstream;
  site: Site;
  browser: Browser;
  /** A page of its own, signed in. What it complains about fails the test. */
  open: (path: string, options?: OpenOptions) => Promise<Page>;
  close: () => Promise<void>;
}

interface OpenOptions {
  size?: { width: number; height: number };
  theme?: "light" | "dark";
  zone?: string;
  /** Answers with these statuses are part of the scenario. */
  expected?: number[];
}

/** What pages complained about. */
export const complaints: string[] = [];

export async function startWorld(): Promise<World> {
  const data = join(OUTPUT, "world", "data");
  const kept = join(OUTPUT, "world", "code");
  // The past is made anew; compiled code is kept, because compiling takes minutes.
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { recursive: true });
  if (existsSync(kept)) cpSync(kept, join(data, "code"), { recursive: true });
  const upstream = await startUpstream();
  const nexus = await startNexus(data);
  await deployShop(nexus, upstream.url, join(OUTPUT, "world", "shop"));
  rmSync(kept, { recursive: true, force: true });
  cpSync(join(data, "code"), kept, { recursive: true });
  // The manifest says nothing about hosts; with two projects one must be the default.
  await nexus.request("PUT", "/api/v1/projects/shop", { description: "A small shop", default: true, schemas: "warn" });
  await nexus.request("PUT", "/api/v1/projects/empty", { description: "Nothing yet" });
  await sundries(nexus);
  await visit(nexus, 250);
  await sendOrders(nexus, 1_000, 200);
  await settled(nexus);
  const site = await startSite(nexus.api);
  const browser = await launch();
  const state = await signedIn(browser, site.url, nexus.token);
  return {
    nexus,
    upstream,
    site,
    browser,
    open: (path, options) => open(browser, site.url + path, state, options),
    close: async () => {
      await browser.close();
      site.close();
      await nexus.stop();
      upstream.close();
    },
  };
}

/** Waits until no delivery is under way, except those that sleep. */
export async function settled(nexus: Nexus): Promise<void> {
  for (let round = 0; round < 600; round += 1) {
    const answer = await nexus.request("GET", "/api/v1/projects/shop/stats");
    const { now } = (await answer.json()) as { now: { deliveries: Record<"queued" | "retrying" | "running", number> } };
    if (now.deliveries.queued + now.deliveries.retrying + now.deliveries.running === 0) return;
    await pause(200);
  }
  throw new Error("deliveries do not come to an end");
}

type State = Awaited<ReturnType<BrowserContext["storageState"]>>;

async function signedIn(browser: Browser, url: string, token: string): Promise<State> {
  const context = await browser.newContext();
  const answer = await context.request.post(`${url}/api/v1/session`, { data: { token }, headers: { "nexus-csrf": "1" } });
  if (!answer.ok()) throw new Error(`sign-in: ${answer.status()} ${await answer.text()}`);
  const state = await context.storageState();
  await context.close();
  return state;
}

async function open(browser: Browser, url: string, state: State, options: OpenOptions = {}): Promise<Page> {
  const context = await browser.newContext({
    storageState: state,
    viewport: options.size ?? { width: 1280, height: 860 },
    colorScheme: options.theme ?? "light",
    timezoneId: options.zone ?? "Europe/Berlin",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => complaints.push(`${url}: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const text = message.text();
    if (options.expected?.some((status) => text.includes(`status of ${status}`))) return;
    complaints.push(`${page.url()}: ${text}`);
  });
  await page.goto(url);
  return page;
}
