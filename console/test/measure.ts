// How long the console takes on a long history, from the input to the rows that are drawn. The log in DATA/log is filled
// by the example `query_rates` of the crate `log`. Prints JSON; asserts nothing.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import type { Page } from "playwright-core";

import { launch } from "./lib/browser";
import { pause, startNexus } from "./lib/server";
import { startSite } from "./lib/site";

const [data, out] = process.argv.slice(2);
if (!data) throw new Error("usage: NEXUS_BIN=… npm run measure -- DATA [RESULT.json]");
const ROUNDS = 5;
const FUNCTIONS = 20;
/** How many pages the list is scrolled, and how many rows one has. */
const PAGES = 10;
const PAGE_ROWS = 100;
const ROW_PX = 37;

const nexus = await startNexus(data);
await nexus.request("PUT", "/api/v1/projects/shop", { description: "A long history", default: true });
const functions = Array.from({ length: FUNCTIONS }, (_, number) => ({
  apiVersion: "nexus/v1",
  kind: "Function",
  metadata: { name: `f${number}`, project: "shop" },
  spec: {},
}));
for (const resource of functions) await nexus.request("POST", "/api/v1/apply", resource);
// The engine reads the history once after a start; what is measured is not that.
for (;;) {
  const ready = await fetch(`${nexus.api}/readyz`);
  if (ready.ok) break;
  await pause(500);
}
const { count } = (await (await nexus.request("GET", "/api/v1/projects/shop/invocations/count")).json()) as { count: number };

const site = await startSite(nexus.api);
const browser = await launch();
// What is measured is asked for by texts of scripts, which the policy of the pages forbids.
const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, bypassCSP: true });
await context.request.post(`${site.url}/api/v1/session`, { data: { token: nexus.token }, headers: { "nexus-csrf": "1" } });
const page = await context.newPage();
page.setDefaultTimeout(60_000);

const times: Record<string, number[]> = {};

/** From the first event of an input to the frame in which something is there. */
async function measure(name: string, act: () => Promise<unknown>, there: () => boolean): Promise<void> {
  // As text: the names that the loader gives to functions are not known in the page.
  await page.evaluate(`globalThis.begun = undefined;
    for (const kind of ["pointerdown", "keydown", "click"])
      document.addEventListener(kind, () => { globalThis.begun ??= performance.now(); }, { capture: true, once: true });`);
  await act();
  const took = await page.waitForFunction(
    `(() => { const at = globalThis.begun; return at !== undefined && (${String(there)})() ? performance.now() - at : undefined; })()`,
    undefined,
    { polling: "raf" },
  );
  (times[name] ??= []).push((await took.jsonValue()) as number);
  await pause(300);
}

const rowsAreThere = () => !document.querySelector("main [role=status][aria-label=Loading]") && document.querySelector("[role=table] [data-row-link]") !== null;

async function choose(chip: string, item: string): Promise<() => Promise<void>> {
  await page.getByRole("button", { name: new RegExp(`^${chip}`) }).first().click();
  const entry = page.getByRole("menu").getByText(item, { exact: true });
  await entry.waitFor();
  return () => entry.click();
}

async function clear(): Promise<void> {
  await page.keyboard.press("Escape");
  await page.goto(`${site.url}/p/shop/invocations`);
  await page.waitForFunction(rowsAreThere);
  await pause(300);
}

async function scroll(target: Page): Promise<number[]> {
  return target.evaluate(
    async ([pages, rows, height]) => {
      const frame = document.querySelector("[role=table]");
      const took: number[] = [];
      if (!frame) return took;
      for (let number = 1; number <= pages; number += 1) {
        const begun = performance.now();
        frame.scrollTop = number * rows * height;
        // The row at the top of what is shown then.
        const wanted = number * rows + 2;
        while (!frame.querySelector(`[aria-rowindex="${wanted}"] [data-row-link]`)) {
          await new Promise((done) => requestAnimationFrame(done));
          frame.scrollTop = number * rows * height;
        }
        took.push(performance.now() - begun);
        await new Promise((done) => setTimeout(done, 300));
      }
      return took;
    },
    [PAGES, PAGE_ROWS, ROW_PX] as const,
  );
}

for (let round = 0; round < ROUNDS; round += 1) {
  await page.goto(`${site.url}/p/shop`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await pause(1_500);
  await measure("open the list", () => page.getByRole("link", { name: "Invocations", exact: true }).first().click(), rowsAreThere);
  (times["scroll a page further"] ??= []).push(...(await scroll(page)));
  await clear();
  await measure("filter by status", await choose("Status", "All failures"), () => location.search.includes("status=") && !document.querySelector("main [role=status][aria-label=Loading]") && document.querySelector("[role=table] [data-row-link]") !== null);
  await clear();
  await measure("filter by function", await choose("Function", `f${round + 3}`), () => location.search.includes("function=") && !document.querySelector("main [role=status][aria-label=Loading]") && document.querySelector("[role=table] [data-row-link]") !== null);
  await clear();
  await measure("filter by duration", await choose("Took", "At least 10ms"), () => location.search.includes("min_duration=") && !document.querySelector("main [role=status][aria-label=Loading]") && document.querySelector("[role=table] [data-row-link]") !== null);
  await clear();
  const search = page.getByRole("searchbox").or(page.getByRole("textbox", { name: /Search in payloads/ })).first();
  await search.fill("/orders/");
  await measure("search for a text that every call has", () => page.keyboard.press("Enter"), () => location.search.includes("text=") && document.querySelector("[role=table] [data-row-link]") !== null);
  await clear();
  await measure("open one", () => page.locator("[data-row-link]").nth(3).click(), () => /\/invocations\/inv_/.test(location.pathname) && document.querySelector("main h1") !== null && !document.querySelector("main [role=status][aria-label=Loading]"));
  await measure("go to the overview", () => page.getByRole("link", { name: "Overview", exact: true }).first().click(), () => document.querySelector("main canvas") !== null);
}

const shown = Object.entries(times).map(([name, all]) => {
  const sorted = all.toSorted((one, other) => one - other);
  const at = (share: number) => Number((sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0).toFixed(1));
  return { name, measured: all.length, p50_ms: at(0.5), p95_ms: at(0.95), max_ms: at(1) };
});
const result = { invocations: count, processors: cpus().length, processor: cpus()[0]?.model, jobs: shown };
console.log(JSON.stringify(result, undefined, 2));
if (out) {
  mkdirSync(dirname(out), { recursive: true });
  rmSync(out, { force: true });
  writeFileSync(out, `${JSON.stringify(result, undefined, 2)}\n`);
}
await browser.close();
site.close();
await nexus.stop();
console.error(`data stays in ${join(data)}`);
