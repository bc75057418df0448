import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** The outside world of the sample shop: a payment and mail provider with moods. */
export interface Upstream {
  url: string;
  /** Whether it answers charges with 503. */
  down: boolean;
  close: () => void;
}

export async function startUpstream(): Promise<Upstream> {
  const upstream: Upstream = { url: "", down: false, close: () => server.close() };
  let served = 0;
  const server: Server = createServer((request, response) => {
    served += 1;
    const turn = served;
    let body = "";
    request.on("data", (piece: Buffer) => (body += piece.toString()));
    request.on("end", () => {
      const answer = (status: number, value: unknown) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(value));
      };
      const reply = () => {
        if (request.url === "/charges") return answer(...charge(turn, body, upstream.down));
        if (request.url === "/mails" && turn % 41 === 0) return answer(507, { error: "mailbox is full" });
        return answer(200, { ok: true, id: `msg_${turn}` });
      };
      setTimeout(reply, 4 + ((turn * 37) % 60) + (turn % 97 === 0 ? 900 : 0));
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  upstream.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return upstream;
}

function charge(turn: number, body: string, down: boolean): [number, unknown] {
  const { amount } = JSON.parse(body) as { amount: number };
  if (down || turn % 29 === 0) return [503, { error: "try again later" }];
  if (amount > 900) return [402, { reason: "limit exceeded" }];
  if (turn % 53 === 0) return [402, { reason: "insufficient funds" }];
  return [200, { id: `ch_${turn.toString(36)}`, amount }];
}
