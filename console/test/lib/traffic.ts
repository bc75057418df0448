import type { Nexus } from "./server";

const CUSTOMERS = ["ada", "grace", "linus", "barbara", "ken", "margaret", "dennis", "frances", "edsger", "radia"];
const ITEMS = [
  { sku: "tea", price: 7.5 },
  { sku: "pot", price: 39 },
  { sku: "cup", price: 12 },
  { sku: "samovar", price: 480 },
];

/** The same sequence for the same seed: what the tests see must not depend on chance. */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export function orderEvent(number: number, random: () => number): Record<string, unknown> {
  const items = Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
    ...ITEMS[Math.floor(random() ** 2 * ITEMS.length)],
    quantity: 1 + Math.floor(random() * 2),
  }));
  const customer = CUSTOMERS[Math.floor(random() * CUSTOMERS.length)];
  const broken = random() < 0.02;
  return {
    specversion: "1.0",
    id: `order-${number}`,
    source: "/checkout",
    type: "com.shop.order.created",
    subject: `A-${number}`,
    datacontenttype: "application/json",
    data: { order: `A-${number}`, customer, items: broken ? [] : items },
  };
}

/** Sends orders in batches; the shop does the rest. */
export async function sendOrders(nexus: Nexus, from: number, count: number, seed = 7): Promise<void> {
  const random = numbers(seed + from);
  const events = Array.from({ length: count }, (_, index) => orderEvent(from + index, random));
  for (let at = 0; at < events.length; at += 200) {
    const response = await fetch(`${nexus.api}/api/v1/projects/shop/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${nexus.token}`, "content-type": "application/cloudevents-batch+json" },
      body: JSON.stringify(events.slice(at, at + 200)),
    });
    if (!response.ok) throw new Error(`the batch was refused: ${await response.text()}`);
  }
}

/** Visits of the storefront, several at a time; some of them run into errors. */
export async function visit(nexus: Nexus, count: number, seed = 11): Promise<void> {
  const random = numbers(seed);
  const path = () => {
    const dice = random();
    if (dice < 0.5) return "/shop";
    if (dice < 0.8) return `/shop/products/${ITEMS[Math.floor(random() * 3)]?.sku}?country=${random() < 0.98 ? "DE" : "XX"}`;
    if (dice < 0.99) return "/shop/products/kettle";
    return "/shop/broken";
  };
  let left = count;
  const visitor = async () => {
    while (left > 0) {
      left -= 1;
      await fetch(nexus.ingress + path(), { headers: { cookie: "session=4242" } }).then((it) => it.arrayBuffer());
    }
  };
  await Promise.all(Array.from({ length: 16 }, visitor));
}

/** Customers who register, and webhooks of the provider. */
export async function sundries(nexus: Nexus): Promise<void> {
  for (const [index, customer] of CUSTOMERS.slice(0, 4).entries())
    await nexus.run("emit", "com.shop.customer.registered", "-d", JSON.stringify({ customer, number: index }));
  for (const kind of ["charge", "refund", "charge"])
    await fetch(`${nexus.ingress}/hooks/payments`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ kind, charge: "ch_1" }),
    });
  await nexus.run("emit", "com.shop.reminder", "--in", "2h", "-d", '{"order":"A-7"}');
}
