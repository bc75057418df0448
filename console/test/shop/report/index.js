export default {
  async event(event, context) {
    context.log.info("report", { because: event.type });
    return { at: new Date().toISOString(), of: event.type };
  },
};
