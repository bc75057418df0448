import type { CloudEvent, Context, Output } from "./nexus.d.ts";

interface Order {
  order: number;
  items: { sku: string; price: number }[];
}

interface Accepted {
  order: number;
  total: number;
}

// A retry does not help when the order itself is wrong; any other error is tried again.
class BadOrder extends Error {
  readonly permanent = true;
}

export default {
  // What it gives back: `events` for whoever handles their types, `result` for `nexus invoke`.
  async event(event: CloudEvent<Order>, context: Context): Promise<Output<Accepted>> {
    const { order, items } = event.data;
    if (items.length === 0) throw new BadOrder("an order needs items");
    const total = items.reduce((sum, item) => sum + item.price, 0);
    context.log.info("order accepted", { order, total });
    return { events: [{ type: "com.shop.order.accepted", data: { order, total } }] };
  },
};
