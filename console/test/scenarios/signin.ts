import assert from "node:assert/strict";
import test from "node:test";

import type { World } from "../lib/world";

export function signIn(world: () => World): void {
  test("sign in with a token, look around, sign out", async () => {
    const { browser, site, nexus } = world();
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${site.url}/p/shop/events`);
    await page.getByRole("heading", { name: "Sign in to Nexus" }).waitFor();
    await page.getByLabel("Token").fill("nx_wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByRole("link", { name: "NX2001" }).waitFor();
    await page.getByLabel("Token").fill(nexus.token);
    await page.getByLabel("Token").press("Enter");
    await page.getByRole("heading", { name: "Events", exact: true }).waitFor();
    assert.equal(new URL(page.url()).pathname, "/p/shop/events", "it goes on where it was asked for");

    const [cookie] = await context.cookies();
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, "Strict"]);
    const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage, cookie: document.cookie }));
    assert.ok(!kept.includes(nexus.token.slice(3)), `the browser keeps no token: ${kept}`);

    await page.getByRole("button", { name: "Account" }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to Nexus" }).waitFor();
    await page.goto(`${site.url}/p/shop`);
    await page.getByRole("heading", { name: "Sign in to Nexus" }).waitFor();
    await context.close();
  });

  test("a link signs in once, and its code leaves the address", async () => {
    const { browser, site, nexus } = world();
    const made = await nexus.request("POST", "/api/v1/session/links");
    const { path } = (await made.json()) as { path: string };
    const first = await browser.newContext();
    const page = await first.newPage();
    await page.goto(site.url + path);
    await page.getByRole("navigation", { name: "Pages" }).waitFor();
    assert.ok(!page.url().includes("code"), page.url());
    await page.goto(site.url + path);
    await page.getByRole("navigation", { name: "Pages" }).waitFor();
    const second = await browser.newContext();
    const other = await second.newPage();
    await other.goto(site.url + path);
    await other.getByRole("alert").waitFor();
    await Promise.all([first.close(), second.close()]);
  });

  test("after signing in it never leads to another site", async () => {
    const { browser, site, nexus } = world();
    for (const to of ["https://example.com/", "//example.com", "/\\example.com"]) {
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(`${site.url}/signin?to=${encodeURIComponent(to)}`);
      await page.getByLabel("Token").fill(nexus.token);
      await page.getByLabel("Token").press("Enter");
      await page.getByRole("navigation", { name: "Pages" }).waitFor();
      assert.equal(new URL(page.url()).origin, site.url);
      await context.close();
    }
  });
}
