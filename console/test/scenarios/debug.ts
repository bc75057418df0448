import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { OUTPUT, type World } from "../lib/world";

export function debugging(world: () => World): void {
  test("a failure shows its stack with the code, and a profile shows where the time went", async () => {
    const { open, nexus } = world();
    const found = await nexus.request("GET", "/api/v1/projects/shop/invocations?function=storefront&status=failed&limit=1");
    const [row] = ((await found.json()) as { items: { id: string }[] }).items;
    const page = await open(`/p/shop/invocations/${row?.id}`);
    const stack = page.getByRole("list", { name: "Stack of the failure" });
    await stack.getByText(/storefront\/index\.js:\d+/).first().waitFor();
    await page.getByRole("textbox", { name: "Code of storefront/index.js" }).getByText("throw").first().waitFor();
    const own = await stack.getByRole("button").count();
    await page.getByRole("button", { name: /^All \d+ frames$/ }).click();
    assert.ok((await stack.getByRole("button").count()) > own);

    await page.getByRole("tab", { name: "Profile" }).click();
    const graph = page.getByRole("tree", { name: "Flame graph" });
    await graph.waitFor({ timeout: 120_000 });
    await page.getByRole("table", { name: "Functions" }).waitFor();
    // By keyboard: into the first call, zoom there, and back to all of it.
    await graph.getByRole("treeitem", { name: /^all, / }).focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "All of it" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "All of it" }).waitFor({ state: "detached" });
    await page.getByRole("searchbox", { name: "Find a function" }).fill("no function is called so");
    await page.getByText("in 0 % of the samples").waitFor();
    for (const [name, form] of [["SVG", /^<svg /], ["Firefox", /"preprocessedProfileVersion"/]] as const) {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name }).click()]);
      const stream = await download.createReadStream();
      const pieces: Buffer[] = [];
      for await (const piece of stream) pieces.push(piece as Buffer);
      assert.match(Buffer.concat(pieces).toString(), form);
    }
    await page.close();
  });

  test("time travel: go to an answer, look around, and ask what if it had been another one", async () => {
    const { open, nexus } = world();
    const found = await nexus.request("GET", "/api/v1/projects/shop/invocations?function=payments&status=succeeded&limit=1");
    const [row] = ((await found.json()) as { items: { id: string }[] }).items;
    const page = await open(`/p/shop/invocations/${row?.id}`);
    await page.getByRole("button", { name: "Debug" }).click();
    // The first time the component is compiled for the debugger.
    await page.getByRole("heading", { name: "Time travel: payments" }).waitFor({ timeout: 300_000 });
    await page.getByText(/^0 of \d+ operations answered$/).waitFor();
    await page.getByRole("button", { name: "A step", exact: true }).click();
    await page.getByText(/^1 of \d+ operations answered$/).waitFor();
    const slider = page.getByRole("slider", { name: "Moment of the invocation" });
    await slider.focus();
    await page.keyboard.press("ArrowRight");
    await page.getByText(/^2 of \d+ operations answered$/).waitFor();
    await page.getByRole("tab", { name: /Stack/ }).click();
    await page.getByRole("list", { name: "Stack" }).getByRole("button").nth(2).click();
    await page.getByRole("table", { name: "Locals" }).waitFor();
    await page.getByRole("tab", { name: "Memory" }).click();
    await page.getByRole("button", { name: "Look" }).click();
    await page.getByLabel("Bytes").getByText("00000010").waitFor();
    await page.getByRole("tab", { name: "Operation" }).click();
    await page.getByRole("button", { name: /types\.future-incoming-response\.get 200/ }).last().click();
    await page.getByRole("button", { name: "What if…" }).click();
    await page.getByRole("textbox", { name: "Another answer" }).click();
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Delete");
    await page.keyboard.insertText('{"status": 503, "headers": [["content-type", "application/json"]]}');
    await page.getByRole("button", { name: "Run with this answer" }).click();
    await page.getByText("answered otherwise").first().waitFor();
    await page.getByRole("button", { name: "To the next breakpoint, or the end" }).click();
    const end = page.getByRole("heading", { name: "How it ended" });
    await end.waitFor();
    await page.getByText("the payment provider answered 503").first().waitFor();
    assert.equal(await page.getByText(/is different from the recording/).count(), 1);
    await page.close();
  });

  test("time travel through code: run to a line, stop at one, step by lines in both directions", async () => {
    const { open, nexus } = world();
    const folder = join(OUTPUT, "world", "code");
    rmSync(folder, { recursive: true, force: true });
    await nexus.run("new", folder, "--lang", "rust", "--name", "code");
    await nexus.run("deploy", folder, "--project", "code");
    const called = await nexus.request("POST", "/api/v1/projects/code/functions/hello/invoke", { name: "Ada" });
    const id = called.headers.get("nexus-invocation-id") ?? "";
    const code = readFileSync(join(folder, "hello", "src", "lib.rs"), "utf8").split("\n");
    const lineOf = (text: string) => code.findIndex((line) => line.includes(text)) + 1;
    const [parses, greets] = [lineOf("from_utf8"), lineOf("info!")];

    const page = await open(`/p/code/debug/${id}`);
    await page.getByRole("heading", { name: "Time travel: hello" }).waitFor({ timeout: 300_000 });
    const text = page.getByRole("textbox", { name: "Code of hello/src/lib.rs" });
    await text.getByText("fn name_in").waitFor();
    const stands = page.getByRole("status").filter({ hasText: /lib\.rs:\d+/ });
    await page.getByLabel("Line", { exact: true }).fill(String(greets));
    await page.getByRole("button", { name: "Run to it" }).click();
    await stands.getByText(`lib.rs:${greets}`).waitFor();

    await page.getByLabel("Line", { exact: true }).fill(String(parses));
    await page.getByRole("button", { name: "Breakpoint", exact: true }).click();
    await page.getByRole("button", { name: "No breakpoint" }).waitFor();
    await page.getByRole("button", { name: "Back to the breakpoint before" }).click();
    await stands.getByText(`lib.rs:${parses}`).waitFor();

    await page.getByLabel("Steps go by").selectOption("lines");
    await page.getByRole("button", { name: "A step", exact: true }).click();
    // Optimised code may go on anywhere, but not where it stands.
    await stands.getByText(`lib.rs:${parses}`).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "A step back", exact: true }).click();
    await stands.getByText(`lib.rs:${parses}`).waitFor();
    // F9 takes the breakpoint away from the line where the cursor stands.
    await text.focus();
    await page.keyboard.press("F9");
    await page.getByRole("button", { name: "Breakpoint", exact: true }).waitFor();
    await page.close();
  });
}
