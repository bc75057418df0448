import assert from "node:assert/strict";
import test from "node:test";

import { settled, type World } from "../lib/world";

export function events(world: () => World): void {
  test("emit an event with the help of its schema, and see what it caused", async () => {
    const { open, nexus } = world();
    const page = await open("/p/shop/events");
    await page.getByRole("table", { name: "Events" }).getByRole("row").nth(3).waitFor();
    await page.keyboard.press("c");
    const dialog = page.getByRole("dialog", { name: "Emit an event" });
    await dialog.getByLabel("Type").fill("com.shop.order.created");
    await dialog.getByText("May be handled by orders.").waitFor();
    await dialog.getByText(/order/).first().waitFor();
    const breach = dialog.getByRole("status");
    await breach.filter({ hasNotText: "It fits" }).waitFor();
    await dialog.getByRole("button", { name: "Fill in an example of its schema" }).click();
    await dialog.getByText("It fits its schema.").waitFor();
    await dialog.getByRole("button", { name: "Emit", exact: true }).click();
    await page.getByRole("heading", { name: "com.shop.order.created" }).waitFor();
    const graph = page.getByLabel("Graph of what it caused");
    for (const name of ["orders", "com.shop.order.accepted", "payments"]) await graph.getByRole("link", { name }).first().waitFor();
    await settled(nexus);
    await page.getByRole("table", { name: "Attempts" }).getByRole("link", { name: "orders" }).click();
    await page.getByText("Where the time went").waitFor();
    await page.close();
  });

  test("events come live, and are sent again", async () => {
    const { open, nexus } = world();
    const page = await open("/p/shop/events?type=com.shop.note");
    await page.getByText("No event matches").waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await nexus.run("emit", "com.shop.note", "-d", '{"text":"hello"}');
    await page.getByRole("table", { name: "Events" }).getByRole("link", { name: "com.shop.note" }).click();
    await page.getByText('"hello"').waitFor();
    await page.getByText("no function asked for it").first().waitFor();
    await page.keyboard.press("r");
    const dialog = page.getByRole("dialog", { name: "Send it again, changed" });
    await dialog.getByLabel("Subject").fill("again");
    const first = page.url();
    await dialog.getByRole("button", { name: "Emit", exact: true }).click();
    await page.waitForURL((url) => url.href !== first);
    await page.getByText("again", { exact: true }).waitFor();
    await page.close();
  });

  test("what Nexus says about its own resources is there when it is asked for", async () => {
    const page = await world().open("/p/shop/events");
    const table = page.getByRole("table", { name: "Events" });
    await table.getByRole("row").nth(3).waitFor();
    assert.equal(await table.getByText("dev.nexus.resource").count(), 0);
    await page.goto(`${world().site.url}/p/shop/events?type=dev.nexus.resource.*`);
    await table.getByText(/dev\.nexus\.resource\.(created|updated)/).first().waitFor();
    await page.close();
  });
}
