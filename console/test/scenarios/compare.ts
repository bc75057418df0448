import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { OUTPUT, type World } from "../lib/world";

export function comparing(world: () => World): void {
  test("a recording is held against another version: the difference is shown as a diff", async () => {
    const { open, nexus } = world();
    const shop = join(OUTPUT, "world", "shop");
    const source = join(shop, "price", "index.js");
    const before = readFileSync(source, "utf8");
    const found = await nexus.request("GET", "/api/v1/projects/shop/invocations?function=price&status=succeeded&limit=1");
    const [row] = ((await found.json()) as { items: { id: string }[] }).items;
    writeFileSync(source, before.replace("return { gross:", "return { currency: 'EUR', gross:"));
    await nexus.run("deploy", shop);
    writeFileSync(source, before);
    const page = await open(`/p/shop/invocations/${row?.id}`);
    await page.getByRole("button", { name: "Compare" }).click();
    const dialog = page.getByRole("dialog", { name: "Compare with another version" });
    await dialog.getByLabel("Version").selectOption("2");
    await dialog.getByRole("button", { name: "Compare", exact: true }).click();
    const comparison = dialog.getByRole("region", { name: "Comparison" });
    await comparison.getByRole("heading", { name: "Different" }).waitFor();
    await comparison.getByText('"currency": "EUR"').first().waitFor();
    await page.keyboard.press("Escape");

    await page.getByRole("button", { name: "Save as test" }).click();
    const save = page.getByRole("dialog", { name: "Save as test" });
    await save.getByLabel("Suite").fill("prices");
    await save.getByRole("button", { name: "Make the suite" }).click();
    await page.getByText("It is a case of the suite prices, which has 1 now.").waitFor();
    await page.close();
  });

  test("many recordings are replayed against a version, and watched; an older version goes live again", async () => {
    const { open, nexus } = world();
    const page = await open("/p/shop/functions/price?tab=versions");
    await page.getByRole("button", { name: "What to do with v2" }).click();
    await page.getByRole("menuitem", { name: "Replay recordings against it" }).click();
    const dialog = page.getByRole("dialog", { name: "Replay recordings of price" });
    await dialog.getByLabel("At most").fill("20");
    await dialog.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByRole("heading", { name: "price against v2" }).waitFor();
    await page.getByText("done", { exact: true }).first().waitFor();
    await page.getByRole("button", { name: /^different \d+$/ }).click();
    await page.getByRole("table", { name: "Results" }).getByText("different").first().waitFor();
    await page.getByRole("table", { name: "Suites" }).getByText("prices").waitFor();

    await page.goto(`${world().site.url}/p/shop/functions/price?tab=versions`);
    await page.getByRole("button", { name: "What to do with v1" }).click();
    await page.getByRole("menuitem", { name: "Make it live" }).click();
    await page.getByRole("dialog", { name: "Make version 1 live?" }).getByRole("button", { name: "Make it live" }).click();
    await page.getByText("Version 1 of price is live.").waitFor();
    const view = await nexus.request("GET", "/api/v1/projects/shop/functions/price");
    assert.equal(((await view.json()) as { version: { number: number } }).version.number, 1);
    await page.close();
  });
}
