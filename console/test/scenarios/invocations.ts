import assert from "node:assert/strict";
import test from "node:test";

import { visit } from "../lib/traffic";
import type { World } from "../lib/world";

export function invocations(world: () => World): void {
  test("filters are in the address, and survive a reload", async () => {
    const page = await world().open("/p/shop/invocations");
    const table = page.getByRole("table", { name: "Invocations" });
    await table.getByRole("row").nth(5).waitFor();
    await page.getByRole("button", { name: "Status" }).click();
    await page.getByRole("menuitem", { name: "All failures" }).click();
    await page.getByRole("button", { name: "Function", exact: true }).click();
    await page.getByRole("menuitemradio", { name: "payments" }).click();
    await page.waitForURL(/function=payments/);
    assert.match(page.url(), /status=failed/);
    const check = async () => {
      await table.getByText("Refused").first().waitFor();
      assert.equal(await table.getByText("Succeeded").count(), 0);
      assert.equal(await table.getByRole("link", { name: "orders" }).count(), 0);
    };
    await check();
    await page.reload();
    await check();
    await page.getByRole("button", { name: "Clear all" }).click();
    await table.getByText("Succeeded").first().waitFor();
    assert.equal(new URL(page.url()).search, "");
    await page.close();
  });

  test("new rows come by themselves, but not under the eyes of a reader", async () => {
    const { open, nexus } = world();
    const page = await open("/p/shop/invocations?function=storefront");
    const table = page.getByRole("table", { name: "Invocations" });
    await page.getByText("Live", { exact: true }).waitFor();
    await page.mouse.move(5, 5);
    const first = () => table.locator("[data-row-link]").first().getAttribute("href");
    const before = await first();
    await visit(nexus, 1, 3);
    await page.waitForFunction(
      (old) => document.querySelector("[data-row-link]")?.getAttribute("href") !== old,
      before,
    );
    // The pointer lies on the list now: what comes waits.
    await table.getByRole("row").nth(4).hover();
    const reading = await first();
    await visit(nexus, 3, 4);
    const pill = page.getByRole("button", { name: /^\d+ new$/ });
    await pill.waitFor();
    assert.equal(await first(), reading, "the list stands still");
    await pill.click();
    await page.waitForFunction(
      (old) => document.querySelector("[data-row-link]")?.getAttribute("href") !== old,
      reading,
    );
    assert.equal(await pill.count(), 0);
    await page.close();
  });

  test("the keyboard goes through the list and from one invocation to the next", async () => {
    const page = await world().open("/p/shop/invocations?function=payments");
    await page.locator("[data-row-link]").nth(3).waitFor();
    await page.getByRole("table", { name: "Invocations" }).getByRole("columnheader").first().click();
    await page.locator("[data-row-link]").first().focus();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    const focused = await page.evaluate(() => document.activeElement?.getAttribute("href"));
    assert.equal(focused, await page.locator("[data-row-link]").nth(2).getAttribute("href"));
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.pathname === focused);
    await page.getByText("Where the time went").waitFor();
    await page.keyboard.press("]");
    await page.waitForURL((url) => url.pathname !== focused && url.pathname.includes("/inv_"));
    // The keys of a page are there when its invocation is.
    await page.getByText("Where the time went").waitFor();
    await page.keyboard.press("[");
    await page.waitForURL((url) => url.pathname === focused);
    await page.close();
  });

  test("payloads are searched by text and by expression", async () => {
    const page = await world().open("/p/shop/invocations", { expected: [400] });
    const search = page.getByRole("textbox", { name: "Search in payloads, logs and failures" });
    await search.fill("was declined");
    await search.press("Enter");
    await page.waitForURL(/text=was/);
    const table = page.getByRole("table", { name: "Invocations" });
    await table.getByText("Refused").first().waitFor();
    assert.equal(await table.getByText("Succeeded").count(), 0);
    await page.getByText(/found in [\d,]+ that were looked into/).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("/");
    await page.keyboard.press("Control+a");
    await page.keyboard.type(".input.event.data.total > 900");
    await page.keyboard.press("Enter");
    await page.waitForURL(/where=/);
    await table.getByRole("link").first().waitFor();
    await search.fill(".input |");
    await search.press("Enter");
    await page.getByRole("alert").waitFor();
    await page.close();
  });

  test("one invocation shows where its time went, with its logs, and what led to it", async () => {
    const { open, nexus } = world();
    const answer = await nexus.request("GET", "/api/v1/projects/shop/invocations?function=payments&status=succeeded&limit=1");
    const [row] = ((await answer.json()) as { items: { id: string }[] }).items;
    const page = await open(`/p/shop/invocations/${row?.id}`);
    const timeline = page.getByRole("group", { name: "Timeline of the invocation" });
    await timeline.getByText(/^POST http.*\/charges → 200$/).waitFor();
    await timeline.getByText("captured").waitFor();
    await timeline.getByText("Run", { exact: true }).waitFor();
    await timeline.focus();
    await page.keyboard.press("+");
    await page.getByText(/ to \d/).first().waitFor();
    await page.keyboard.press("0");
    await page.getByRole("tab", { name: "Journal" }).click();
    await page.getByRole("table", { name: "Journal" }).getByText("wasi:http/outgoing-handler.handle").waitFor();
    await page.getByRole("tab", { name: "Causes and effects" }).click();
    await page.getByRole("table", { name: "Emitted events" }).getByRole("link", { name: "com.shop.payment.captured" }).waitFor();
    await page.getByRole("link", { name: "an event" }).click();
    await page.getByRole("heading", { name: "com.shop.order.accepted" }).waitFor();
    await page.close();
  });

  test("a failure names its reason and the place in the source", async () => {
    const page = await world().open("/p/shop/invocations?function=storefront&status=failed");
    await page.locator("[data-row-link]").first().click();
    const why = page.getByRole("region", { name: "Why" });
    await why.getByText("no template for the page 'broken'").waitFor();
    const stack = page.getByRole("list", { name: "Stack of the failure" });
    await stack.getByText("storefront/index.js:14").waitFor();
    assert.equal(await stack.getByText("nexus:main").count(), 0, "the machinery explains nothing");
    await page.close();
  });

  test("a replay says that it was the same", async () => {
    const page = await world().open("/p/shop/invocations?function=orders&status=succeeded");
    await page.locator("[data-row-link]").first().click();
    await page.getByText("Where the time went").waitFor();
    await page.keyboard.press("r");
    const result = page.getByRole("region", { name: "Replay" });
    await result.getByText("The same again").waitFor();
    await result.getByText(/are equal, byte for byte/).waitFor();
    await page.close();
  });

  test("a durable invocation that waits says for what, and a signal lets it go on", async () => {
    const page = await world().open("/p/shop/invocations?function=signup&status=suspended", { expected: [404] });
    await page.locator("[data-row-link]").first().click();
    await page.getByText(/Waits for the signal 'confirmed'/).waitFor();
    assert.equal(await page.getByLabel("Name").inputValue(), "confirmed");
    await page.getByRole("button", { name: "Send the signal" }).click();
    await page.getByText("Where the time went").waitFor();
    await page.getByText("Wait for a signal").waitFor();
    await page.close();
  });
}
