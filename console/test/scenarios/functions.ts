import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { OUTPUT, type World } from "../lib/world";

/** A component that the deployment of the shop has built. */
export function component(): string {
  const folder = join(OUTPUT, "world", "shop", ".nexus");
  const found = readdirSync(folder, { recursive: true, encoding: "utf8" }).find((name) => name.endsWith(".wasm"));
  assert.ok(found, `a component below ${folder}`);
  return join(folder, found);
}

export function functions(world: () => World): void {
  test("call a function from the page, and go to what happened in it", async () => {
    const page = await world().open("/p/shop/functions");
    await page.getByRole("link", { name: "price", exact: true }).click();
    await page.getByRole("heading", { name: "price" }).waitFor();
    await page.keyboard.press("c");
    const dialog = page.getByRole("dialog", { name: "Call price" });
    const editor = dialog.getByRole("textbox", { name: "Data" });
    await editor.click();
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Delete");
    await page.keyboard.insertText('{"net": 100, "country": "FR"}');
    await dialog.getByRole("button", { name: "Call", exact: true }).click();
    const answer = dialog.getByRole("region", { name: "Answer" });
    await answer.getByText('"gross": 120').waitFor();
    await answer.getByRole("link", { name: "What happened in it" }).click();
    await page.getByText("Where the time went").waitFor();
    await page.close();
  });

  test("what a function refuses is said with its reason", async () => {
    const page = await world().open("/p/shop/functions/price", { expected: [422] });
    await page.getByRole("button", { name: "Call", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Call price" });
    await dialog.getByRole("textbox", { name: "Data" }).click();
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Delete");
    await page.keyboard.insertText('{"net": 1, "country": "XX"}');
    await dialog.getByRole("button", { name: "Call", exact: true }).click();
    await dialog.getByRole("alert").getByText(/no tax rate for the country 'XX'/).waitFor();
    await page.close();
  });

  test("a component that is dropped becomes a function, and is deleted after its name was typed", async () => {
    const page = await world().open("/p/empty/functions", { expected: [404] });
    await page.getByText("No function yet").waitFor();
    await page.getByRole("button", { name: "Deploy a component" }).click();
    const dialog = page.getByRole("dialog", { name: "Deploy a component" });
    await dialog.locator("input[type=file]").setInputFiles(component());
    await dialog.getByLabel("Name").fill("dropped");
    await dialog.getByRole("button", { name: "Deploy", exact: true }).click();
    await page.getByRole("heading", { name: "dropped" }).waitFor({ timeout: 120_000 });
    await page.getByRole("tab", { name: "Versions" }).click();
    await page.getByRole("table", { name: "Versions" }).getByText("live").waitFor();
    await page.getByRole("button", { name: "Delete the function" }).click();
    const confirm = page.getByRole("dialog", { name: "Delete dropped?" });
    const button = confirm.getByRole("button", { name: "Delete", exact: true });
    assert.equal(await button.getAttribute("aria-disabled"), "true");
    await confirm.getByLabel("Type dropped to confirm").fill("dropped");
    await button.click();
    await page.getByText("No function yet").waitFor();
    await page.close();
  });

  test("logs of a function come as they are written", async () => {
    const { open, nexus } = world();
    const page = await open("/p/shop/functions/storefront?tab=logs");
    await page.getByText("Live", { exact: true }).waitFor();
    await fetch(`${nexus.ingress}/shop/products/tea?mark=1`);
    await fetch(`${nexus.ingress}/shop/a-mark-in-the-logs`);
    await page.getByText("visit /shop/a-mark-in-the-logs").waitFor();
    await page.close();
  });
}
