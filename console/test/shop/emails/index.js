export default {
  async event(event, context) {
    const { order, customer, total } = event.data;
    const text = `Hello ${customer},\n\nthank you: ${total} EUR for order ${order} have arrived.\n`;
    const [template, sent] = await Promise.all([
      fetch(`${context.env.PROVIDER}/templates/paid`),
      fetch(`${context.env.PROVIDER}/mails`, { method: "POST", body: JSON.stringify({ to: customer, text }) }),
    ]);
    if (!sent.ok) throw new Error(`the mail server answered ${sent.status}: ${await sent.text()}`);
    context.log.info("mail sent", { order, to: customer, template: template.status });
    return { to: customer, bytes: text.length };
  },
};
