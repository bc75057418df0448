// Sends events with the official CloudEvents SDK in each mode: URL and token are the arguments.

const { CloudEvent, HTTP } = require("cloudevents");

const [url, token] = process.argv.slice(2);

const event = (number) =>
  new CloudEvent({
    id: `javascript-${number}`,
    source: "/sdk/javascript",
    type: "com.example.sdk",
    subject: "orders/1",
    time: "2026-11-20T19:00:00Z",
    datacontenttype: "application/json",
    ext: "value",
    data: { number },
  });

const send = async ({ headers, body }) => {
  headers = { ...headers, authorization: `Bearer ${token}` };
  const answer = await fetch(url, { method: "POST", headers, body });
  console.log(answer.status);
};

const main = async () => {
  await send(HTTP.binary(event(1)));
  await send(HTTP.structured(event(2)));
  const batch = [event(3), event(4)].map((one) => HTTP.structured(one).body);
  const headers = { "content-type": "application/cloudevents-batch+json" };
  await send({ headers, body: `[${batch.join(",")}]` });
};

main();
