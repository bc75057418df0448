export default {
  async event(event, context) {
    const { kind, charge } = event.data;
    if (kind === "refund") return { events: [{ type: "com.shop.payment.refunded", data: { charge } }] };
    context.log.info("nothing to do", { kind });
    return { ignored: kind };
  },
};
