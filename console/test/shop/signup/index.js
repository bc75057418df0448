import nexus from "nexus:function";

export default {
  async event(event, context) {
    const { customer } = event.data;
    context.log.info("welcome", { customer });
    await nexus.sleep(1500);
    const confirmed = await nexus.signal("confirmed", { timeout: 3 * 24 * 3600 * 1000 });
    if (!confirmed) throw new PermanentError(`${customer} never confirmed`);
    return { customer, confirmed };
  },
};
