import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { seriousIn } from "../lib/axe";
import type { World } from "../lib/world";
import { component } from "./functions";

const KEYS = "/p/shop/functions/orders?tab=state";

export function state(world: () => World): void {
  const put = (rest: string, value: string) => world().nexus.request("PUT", `/api/v1/projects/shop/state/key?${rest}`, value);

  test("what a function remembers is listed, opened by the keyboard, and edited", async () => {
    await put("function=orders&key=zz/1", '{"left":1}');
    const page = await world().open(`${KEYS}&prefix=%22zz%2F%22`);
    const table = page.getByRole("table", { name: "Keys" });
    const row = table.getByRole("button", { name: "zz/1" });
    await row.focus();
    await page.keyboard.press("Enter");
    const panel = page.getByRole("dialog", { name: "zz/1" });
    await panel.getByText("left", { exact: true }).waitFor();
    assert.deepEqual(await seriousIn(page), []);
    await panel.getByRole("button", { name: "Edit" }).click();
    await panel.getByRole("textbox", { name: "Value" }).click();
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Delete");
    await page.keyboard.insertText('{"left": 2}');
    await panel.getByRole("button", { name: "Save" }).click();
    await page.getByText(/^zz\/1 has version [\d,]+ now\.$/).waitFor();
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "detached" });
    await page.waitForFunction(() => document.activeElement?.textContent === "zz/1");
    await table.getByText('{"left":2}').waitFor();
    await page.close();
  });

  test("who edits what somebody else has changed is told so, and reads it again", async () => {
    await put("function=orders&key=zz/2", "1");
    const page = await world().open(`${KEYS}&key=%22zz%2F2%22`, { expected: [409] });
    const panel = page.getByRole("dialog", { name: "zz/2" });
    await panel.getByRole("button", { name: "Edit" }).click();
    await panel.getByRole("textbox", { name: "Value" }).waitFor();
    await put("function=orders&key=zz/2", "2");
    await panel.getByRole("button", { name: "Save" }).click();
    await panel.getByRole("alert").getByText(/has version \d+, not \d+/).waitFor();
    await panel.getByRole("button", { name: "Read it again" }).click();
    await panel.getByRole("textbox", { name: "Value" }).getByText("2", { exact: true }).waitFor();
    await panel.getByRole("button", { name: "Save" }).click();
    await page.getByText(/^zz\/2 has version/).waitFor();
    await panel.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog", { name: "Delete zz/2?" }).getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByText("zz/2 is deleted.").waitFor();
    await page.close();
  });

  test("what functions share is made and deleted whole, after its name was typed", async () => {
    await put("shared=depot&key=stock%2Ftea", "12");
    const page = await world().open(KEYS);
    await page.getByLabel("Whose state").selectOption({ label: "Shared: depot" });
    const table = page.getByRole("table", { name: "Keys" });
    await table.getByText("stock/tea").waitFor();
    await page.keyboard.press("n");
    const dialog = page.getByRole("dialog", { name: "New key" });
    await dialog.getByLabel("Key").fill("stock/pot");
    await dialog.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("dialog", { name: "stock/pot" }).waitFor();
    await page.keyboard.press("Escape");
    await table.getByText("stock/pot").waitFor();
    await page.getByRole("button", { name: "Delete all of it" }).click();
    const confirm = page.getByRole("dialog", { name: "Delete all state of depot?" });
    await confirm.getByLabel("Type depot to confirm").fill("depot");
    await confirm.getByRole("button", { name: "Delete all" }).click();
    await page.getByText("2 keys and 0 events are deleted.").waitFor();
    await page.getByText("Nothing is in it").waitFor();
    await page.close();
  });

  test("what a deleted function has left is found beside another one, and deleted", async () => {
    const { open, nexus } = world();
    const functions = "/api/v1/projects/empty/functions";
    for (const name of ["gone", "kept"]) {
      const headers = { authorization: `Bearer ${nexus.token}`, "content-type": "application/wasm" };
      const made = await fetch(`${nexus.api}${functions}/${name}/deploy`, { method: "POST", headers, body: readFileSync(component()) });
      assert.equal(made.status, 200, await made.text());
    }
    await nexus.request("PUT", "/api/v1/projects/empty/state/key?function=gone&key=a", "1");
    await nexus.request("DELETE", `${functions}/gone`);
    const page = await open("/p/empty/functions/kept?tab=state");
    await page.getByText("It remembers nothing").waitFor();
    await page.getByLabel("Whose state").selectOption({ label: "Left by gone, deleted" });
    await page.getByRole("table", { name: "Keys" }).getByRole("button", { name: "a", exact: true }).waitFor();
    await page.getByRole("button", { name: "Delete all of it" }).click();
    const confirm = page.getByRole("dialog", { name: "Delete all state of gone?" });
    await confirm.getByText("1 key and 0 events of 0 streams go, for good.").waitFor();
    await confirm.getByLabel("Type gone to confirm").fill("gone");
    await confirm.getByRole("button", { name: "Delete all" }).click();
    await page.getByText("1 key and 0 events are deleted.").waitFor();
    await page.close();
    await nexus.request("DELETE", `${functions}/kept`);
  });
}
