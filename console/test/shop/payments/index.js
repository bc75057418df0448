export default {
  async event(event, context) {
    const { order, customer, total } = event.data;
    const response = await fetch(`${context.env.PROVIDER}/charges`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${context.env.API_KEY}` },
      body: JSON.stringify({ order, amount: total, currency: context.env.CURRENCY }),
    });
    const charge = await response.json();
    if (response.status === 402) {
      context.log.error("card was declined", { order, reason: charge.reason });
      throw new PermanentError(`the card of ${customer} was declined: ${charge.reason}`);
    }
    if (!response.ok) {
      context.log.warn("provider does not answer", { order, status: response.status, attempt: context.attempt });
      throw new Error(`the payment provider answered ${response.status}`);
    }
    context.log.info("captured", { order, charge: charge.id, amount: total });
    return { events: [{ type: "com.shop.payment.captured", subject: order, data: { order, customer, charge: charge.id, total } }] };
  },
};

