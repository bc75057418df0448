import assert from "node:assert/strict";
import test from "node:test";

import { settled, type World } from "../lib/world";

export function deadLetters(world: () => World): void {
  test("one dead letter is edited, redriven, and handled", async () => {
    const { open, nexus } = world();
    const page = await open("/p/shop/dead-letters", { expected: [404] });
    await page.getByRole("list", { name: "Reasons" }).getByRole("button", { name: /^orders/ }).click();
    await page.waitForURL(/function=orders/);
    await page.getByRole("table", { name: "Dead letters" }).getByRole("link", { name: "com.shop.order.created" }).first().click();
    await page.getByRole("region", { name: "Why" }).getByText("an order needs items").waitFor();
    await page.getByRole("table", { name: "Attempts" }).getByText("Refused").waitFor();
    const editor = page.getByRole("textbox", { name: "Data of the event" });
    await editor.click();
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Delete");
    await page.keyboard.insertText('{"order":"A-mended","customer":"ada","items":[{"sku":"tea","price":7.5}]}');
    await page.getByRole("button", { name: "Redrive with this data" }).click();
    await page.getByText("It is tried again with the new data.").waitFor();
    await settled(nexus);
    const found = await nexus.request("GET", "/api/v1/projects/shop/events?type=com.shop.order.accepted&subject=A-mended");
    assert.equal(((await found.json()) as { items: unknown[] }).items.length, 1, "the function handled the new data");
    await page.close();
  });

  test("all of a reason are counted, redriven and watched", async () => {
    const { open, nexus } = world();
    const dead = async () => {
      const answer = await nexus.request("GET", "/api/v1/projects/shop/dead-letters/counts?function=payments");
      return ((await answer.json()) as { items: { count: number }[] }).items.reduce((sum, it) => sum + it.count, 0);
    };
    const before = await dead();
    assert.ok(before > 3, `${before} dead letters`);
    const page = await open("/p/shop/dead-letters?function=payments");
    await page.getByRole("button", { name: "Redrive these" }).click();
    const dialog = page.getByRole("dialog", { name: `Redrive ${before} dead letters` });
    await dialog.getByLabel("Rate").selectOption("50");
    await dialog.getByRole("button", { name: `Redrive ${before}` }).click();
    const progress = page.getByRole("dialog", { name: "Redriving" });
    await progress.getByRole("status").getByText(new RegExp(`^${before} of ${before} have begun`)).waitFor();
    // Cards beyond their limit are declined again.
    await progress.getByText(/came back/).waitFor();
    await settled(nexus);
    assert.ok((await dead()) > 0);
    await progress.getByRole("button", { name: "Close", exact: true }).last().click();
    await page.close();
  });

  test("dropping wants a reason", async () => {
    const page = await world().open("/p/shop/dead-letters?function=orders");
    const table = page.getByRole("table", { name: "Dead letters" });
    await table.getByRole("link").first().click();
    await page.getByRole("button", { name: "Drop", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Drop 1 dead letter?" });
    const drop = dialog.getByRole("button", { name: "Drop 1" });
    assert.equal(await drop.getAttribute("aria-disabled"), "true");
    await dialog.getByLabel("Why?").fill("sent by mistake");
    await drop.click();
    await page.getByText("1 dead letter dropped.").waitFor();
    await page.getByRole("heading", { name: "Dead letters" }).waitFor();
    await page.close();
  });
}
