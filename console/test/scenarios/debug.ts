import assert from "node:assert/strict";
import test from "node:test";

import type { World } from "../lib/world";

export function debugging(world: () => World): void {
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
}
