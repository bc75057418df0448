const RATES = { DE: 0.19, FR: 0.2, AT: 0.2, CH: 0.081 };

export default {
  async event(event, context) {
    const { net, country } = event.data;
    const rate = RATES[country];
    if (rate === undefined) throw new PermanentError(`no tax rate for the country '${country}'`);
    context.log.debug("rate found", { country, rate });
    return { gross: Math.round(net * (1 + rate) * 100) / 100, rate };
  },
};
