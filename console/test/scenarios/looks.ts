import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import type { Page } from "playwright-core";

import { seriousIn } from "../lib/axe";
import { OUTPUT, type World } from "../lib/world";

/** Every screen, by its address; `{…}` stands for an id that is looked up. */
const SCREENS: [name: string, path: string][] = [
  ["overview", "/p/shop"],
  ["invocations", "/p/shop/invocations"],
  ["invocation", "/p/shop/invocations/{invocation}"],
  ["failure", "/p/shop/invocations/{failure}"],
  ["pending", "/p/shop/invocations/{pending}"],
  ["events", "/p/shop/events"],
  ["event", "/p/shop/events/{event}"],
  ["functions", "/p/shop/functions"],
  ["function", "/p/shop/functions/payments"],
  ["versions", "/p/shop/functions/payments?tab=versions"],
  ["configuration", "/p/shop/functions/payments?tab=configuration"],
  ["state", "/p/shop/functions/orders?tab=state"],
  ["logs", "/p/shop/functions/payments?tab=logs"],
  ["dead-letters", "/p/shop/dead-letters"],
  ["dead-letter", "/p/shop/dead-letters/{dead}"],
  ["triggers", "/p/shop/triggers"],
  ["schemas", "/p/shop/schemas"],
  ["replays", "/p/shop/replays"],
  ["nodes", "/p/shop/nodes"],
  ["settings", "/p/shop/settings"],
  ["secrets", "/p/shop/settings?tab=secrets"],
  ["tokens", "/p/shop/settings?tab=tokens"],
  ["limits", "/p/shop/settings?tab=limits"],
  ["sign-in", "/signin"],
  ["empty-overview", "/p/empty"],
  ["empty-invocations", "/p/empty/invocations"],
  ["empty-events", "/p/empty/events"],
  ["empty-functions", "/p/empty/functions"],
  ["empty-dead-letters", "/p/empty/dead-letters"],
  ["empty-triggers", "/p/empty/triggers"],
  ["empty-schemas", "/p/empty/schemas"],
  ["empty-replays", "/p/empty/replays"],
  ["empty-secrets", "/p/empty/settings?tab=secrets"],
];

const PHONE = { width: 390, height: 844 };

export function looks(world: () => World): void {
  let ids: Record<string, string> = {};
  const pathOf = (path: string) => path.replace(/\{(\w+)\}/, (_, name: string) => ids[name] ?? "missing");

  test("the screens have something to show", async () => {
    const ask = async (path: string, field: string) => {
      const answer = await world().nexus.request("GET", `/api/v1/projects/shop/${path}`);
      const { items } = (await answer.json()) as { items: Record<string, string>[] };
      const id = items[0]?.[field];
      assert.ok(id, `an item at ${path}`);
      return id;
    };
    ids = {
      invocation: await ask("invocations?function=payments&status=succeeded&limit=1", "id"),
      failure: await ask("invocations?function=storefront&status=failed&limit=1", "id"),
      pending: await ask("invocations?function=signup&status=suspended&limit=1", "id"),
      event: await ask("events?type=com.shop.order.created&source=/checkout&limit=1", "id"),
      dead: await ask("dead-letters?function=payments&limit=1", "event"),
    };
  });

  for (const theme of ["light", "dark"] as const)
    test(`every screen in the ${theme} theme: nothing serious for axe, and a picture of it`, async () => {
      mkdirSync(join(OUTPUT, "screens"), { recursive: true });
      const page = await world().open("/p/shop", { theme, expected: [404] });
      const found: string[] = [];
      for (const [name, path] of SCREENS) {
        await page.goto(world().site.url + pathOf(path));
        await quiet(page);
        await page.screenshot({ path: join(OUTPUT, "screens", `${name}-${theme}.png`) });
        for (const violation of await seriousIn(page)) found.push(`${name}: ${violation}`);
      }
      await page.close();
      assert.deepEqual(found, []);
    });

  test("open dialogs and menus have nothing serious for axe", async () => {
    const page = await world().open("/p/shop/events");
    const check = async (name: string) => {
      // What fades in has no contrast yet.
      await page.evaluate(() =>
        Promise.allSettled(
          document
            .getAnimations()
            .filter((it) => Number.isFinite(Number(it.effect?.getComputedTiming().endTime)))
            .map((it) => it.finished),
        ),
      );
      assert.deepEqual(await seriousIn(page), [], name);
    };
    await page.getByRole("table", { name: "Events" }).getByRole("row").nth(3).waitFor();
    await page.keyboard.press("c");
    await page.getByRole("dialog").waitFor();
    await check("emit");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").waitFor();
    await check("palette");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Type", exact: true }).click();
    await check("filter");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Appearance" }).click();
    await check("menu");
    await page.close();
  });

  test("every screen fits a phone", async () => {
    const page = await world().open("/p/shop", { size: PHONE, expected: [404] });
    const wide: string[] = [];
    for (const [name, path] of SCREENS) {
      await page.goto(world().site.url + pathOf(path));
      await quiet(page);
      await page.screenshot({ path: join(OUTPUT, "screens", `${name}-phone.png`) });
      const over = await page.evaluate(() => {
        const main = document.querySelector("main");
        return main ? main.scrollWidth - main.clientWidth : 0;
      });
      if (over > 0) wide.push(`${name}: ${over} px too wide`);
    }
    await page.goto(`${world().site.url}/p/shop`);
    await page.getByRole("button", { name: "Pages" }).click();
    await page.getByRole("link", { name: "Invocations", exact: true }).click();
    await page.waitForURL(/invocations/);
    await page.close();
    assert.deepEqual(wide, []);
  });
}

/** Waits until nothing is loading any more. */
async function quiet(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelector("main") && !document.querySelector("[aria-label=Loading]"));
  // Charts, graphs and editors are loaded when they are needed, and appear within a moment.
  await page.waitForTimeout(700);
}
