import nexus from "nexus:function";

export default {
  async event(event, context) {
    const { order, customer, items } = event.data;
    if (!items?.length) throw new PermanentError("an order needs items");
    const total = items.reduce((sum, item) => sum + item.price * (item.quantity ?? 1), 0);
    const seen = nexus.state.get(`customer/${customer}`);
    nexus.state.put(`customer/${customer}`, { orders: (seen?.value?.orders ?? 0) + 1, last: order });
    if (total > 400) context.log.warn("large order: checked by hand later", { order, total });
    context.log.info("order accepted", { order, customer, total, items: items.length });
    return { events: [{ type: "com.shop.order.accepted", subject: order, data: { order, customer, total, currency: "EUR" } }] };
  },
};
