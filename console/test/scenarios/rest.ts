import assert from "node:assert/strict";
import test from "node:test";

import type { World } from "../lib/world";

export function rest(world: () => World): void {
  test("the overview says how things are, and each figure leads on", async () => {
    const page = await world().open("/p/shop");
    await page.getByText(/of [\d,]+ invocations failed, most of them in payments/).waitFor();
    await page.getByRole("img", { name: "Invocations over time" }).locator("canvas").waitFor();
    await page.getByRole("table", { name: "Functions" }).getByRole("link", { name: "storefront" }).waitFor();
    await page.getByText(/(Function|Suite|Replay)\s+\S+\s+(created|updated|deleted) by/).first().waitFor();
    await page.getByRole("button", { name: "As a table" }).first().click();
    await page.getByRole("table", { name: "Invocations over time" }).waitFor();
    await page.getByRole("link", { name: "Show the failures" }).click();
    await page.waitForURL(/invocations\?.*status=failed/);
    await page.close();
  });

  test("the palette finds pages, functions and pasted ids", async () => {
    const { open, nexus } = world();
    const page = await open("/p/shop");
    await page.getByRole("navigation", { name: "Pages" }).waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").fill("emails");
    // What there is comes from the server.
    await page.getByRole("option", { name: /emails/ }).first().waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/functions\/emails/);
    const answer = await nexus.request("GET", "/api/v1/projects/shop/invocations?limit=1");
    const [row] = ((await answer.json()) as { items: { id: string }[] }).items;
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").fill(row?.id ?? "");
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(`invocations/${row?.id}`));
    await page.keyboard.press("g");
    await page.keyboard.press("e");
    await page.getByRole("heading", { name: "Events", exact: true }).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).getByText("Emit an event").waitFor();
    await page.close();
  });

  test("triggers are paused and go on", async () => {
    const page = await world().open("/p/shop/triggers");
    await page.getByRole("button", { name: "Pause large-orders" }).click();
    await page.getByText("paused", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Resume large-orders" }).click();
    await page.getByRole("button", { name: "Pause large-orders" }).waitFor();
    await page.getByRole("table", { name: "Scheduled events" }).getByText("com.shop.reminder").waitFor();
    await page.close();
  });

  test("schemas are read and proposed", async () => {
    const page = await world().open("/p/shop/schemas");
    await page.getByText("The order's number.").waitFor();
    await page.getByRole("button", { name: "Propose one" }).click();
    const dialog = page.getByRole("dialog", { name: "Propose a schema" });
    await dialog.getByLabel("Type of the events").fill("com.shop.payment.captured");
    await dialog.getByRole("button", { name: "Propose", exact: true }).click();
    await dialog.getByText(/From [\d,]+ events/).waitFor();
    await page.close();
  });

  test("secrets go in and never come out; tokens are shown once", async () => {
    const { open, nexus } = world();
    const page = await open("/p/shop/settings?tab=secrets");
    await page.getByText("provider-key").waitFor();
    await page.getByRole("button", { name: "Set a secret" }).click();
    const dialog = page.getByRole("dialog", { name: "Set a secret" });
    await dialog.getByLabel("Name").fill("mail-key");
    await dialog.getByLabel("Value").fill("sk_very_secret");
    await dialog.getByRole("button", { name: "Set", exact: true }).click();
    await page.getByRole("cell", { name: "mail-key", exact: true }).waitFor();
    assert.ok(!(await page.content()).includes("sk_very_secret"));
    await page.getByRole("tab", { name: "Tokens" }).click();
    await page.getByRole("button", { name: "Make a token" }).click();
    const make = page.getByRole("dialog", { name: "Make a token" });
    await make.getByLabel("Name").fill("reader");
    await make.getByRole("button", { name: "Make it" }).click();
    const shown = page.getByRole("dialog", { name: "The token reader" });
    const token = (await shown.getByText(/^nx_/).textContent()) ?? "";
    const answer = await fetch(`${nexus.api}/api/v1/projects/shop/functions`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
    await shown.getByRole("button", { name: "Done" }).click();
    await page.getByRole("cell", { name: "reader", exact: true }).waitFor();
    await page.getByRole("tab", { name: "Limits" }).click();
    await page.getByLabel("Find a limit").fill("event-bytes-max");
    await page.getByRole("cell", { name: "1 MiB" }).waitFor();
    await page.close();
  });

  test("whoever may only read sees the buttons, and why they do nothing", async () => {
    const { browser, site, nexus } = world();
    const made = await nexus.request("POST", "/api/v1/tokens", { name: "looker", scopes: ["read"], project: "shop" });
    const { token } = (await made.json()) as { token: string };
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${site.url}/signin`);
    await page.getByLabel("Token").fill(token);
    await page.getByLabel("Token").press("Enter");
    await page.getByRole("navigation", { name: "Pages" }).waitFor();
    await page.goto(`${site.url}/p/shop/events`);
    const emit = page.getByRole("button", { name: "Emit an event" });
    await emit.waitFor();
    await page.waitForFunction(() =>
      [...document.querySelectorAll("button")].some((it) => it.textContent === "Emit an event" && it.getAttribute("aria-disabled") === "true"),
    );
    await emit.hover();
    await page.getByRole("tooltip", { name: "Your token has not the scope emit" }).waitFor();
    await context.close();
  });

  test("nodes show what they do and what bounds them", async () => {
    const page = await world().open("/p/shop/nodes");
    await page.getByText("ready", { exact: true }).waitFor();
    await page.getByText(/of 1,000/).first().waitFor();
    await page.close();
  });

  test("theme and time zone are chosen, and remembered", async () => {
    const page = await world().open("/p/shop/invocations", { zone: "Asia/Kolkata" });
    await page.getByRole("table", { name: "Invocations" }).getByRole("row").nth(2).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dataset["theme"]), "light");
    await page.getByRole("button", { name: "Appearance" }).click();
    await page.getByRole("menuitemradio", { name: "Dark" }).click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset["theme"]), "dark");
    await page.getByRole("button", { name: "Time zone: GMT+5:30" }).click();
    await page.getByRole("menuitemradio", { name: "UTC" }).click();
    await page.getByRole("button", { name: "Time zone: UTC" }).waitFor();
    const shown = page.locator("[data-row-link]").first().locator("xpath=ancestor::*[@role='row']").locator("time");
    const at = new Date((await shown.getAttribute("datetime")) ?? "");
    assert.ok((await shown.textContent())?.includes(at.toISOString().slice(11, 23)));
    await page.reload();
    assert.equal(await page.evaluate(() => document.documentElement.dataset["theme"]), "dark");
    await page.getByRole("button", { name: "Time zone: UTC" }).waitFor();
    await page.close();
  });

  test("what is missing says so, with its code", async () => {
    const page = await world().open("/p/shop/functions/nothing", { expected: [404] });
    const alert = page.getByRole("alert");
    await alert.getByText("function 'nothing' in project 'shop' does not exist", { exact: false }).waitFor();
    assert.equal(await alert.getByRole("link", { name: "NX3001" }).getAttribute("href"), "/docs/errors/NX3001");
    await page.goto(`${world().site.url}/p/shop/nowhere`);
    await page.getByRole("heading", { name: "There is no such page" }).waitFor();
    await page.close();
  });

  test("every view is there as a command", async () => {
    const page = await world().open("/p/shop/invocations?function=orders&status=failed");
    await page.getByRole("button", { name: "The same on the command line" }).click();
    const box = page.getByRole("dialog", { name: "Command line" });
    await box.getByRole("button", { name: "Copy the command" }).click();
    assert.equal(
      await page.evaluate(() => navigator.clipboard.readText()),
      "nexus invocations --project shop --function orders --status failed",
    );
    await page.close();
  });
}
