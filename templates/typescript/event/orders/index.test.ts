import assert from "node:assert/strict";
import test from "node:test";

import orders from "./index.ts";

const context = { log: { info() {} } } as any;
const order = (...prices: number[]): any => ({
  type: "com.shop.order.created",
  data: { order: 42, items: prices.map((price) => ({ sku: "tea", price })) },
});

test("adds up", async () => {
  const { events } = await orders.event(order(7, 5), context);
  assert.deepEqual(events, [{ type: "com.shop.order.accepted", data: { order: 42, total: 12 } }]);
});

test("refuses an empty order for good", async () => {
  await assert.rejects(orders.event(order(), context), { message: "an order needs items", permanent: true });
});
