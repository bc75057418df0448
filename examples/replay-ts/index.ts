import { sleep, type Path } from "./sleep.ts";

declare const kept: unknown;
abstract class Shape<T extends object = object> implements Iterable<number> {
  private readonly sides: number[];
  declare label?: string;
  constructor(...sides: number[]) {
    this.sides = sides as number[];
  }
  abstract area(): number;
  protected at(index: number): number | undefined {
    return this.sides[index]!;
  }
  *[Symbol.iterator](this: Shape<T>): Iterator<number> {
    yield* this.sides;
  }
}

class Rectangle extends Shape<{ kind: "rectangle" }> {
  override area(): number {
    return (this.at(0) ?? 0) * (this.at(1) ?? 0);
  }
}

export type Answer = Record<string, unknown> | Response | string;
export interface Handlers {
  [path: Path]: (request: Request, url: URL) => Promise<Answer>;
}

const paths: Handlers = {
  async "/random"(): Promise<Answer> {
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    return { math: [Math.random(), Math.random()] satisfies number[], uuid: crypto.randomUUID(), bytes: [...bytes] };
  },

  async "/clock"() {
    const before: number = performance.now();
    await sleep(5);
    return { date: Date.now(), slept: performance.now() - before };
  },

  async "/order"() {
    const keys = Array.from<unknown, string>({ length: 20 }, () => crypto.randomUUID().slice(0, 8));
    const map = new Map<string, number>(keys.map((key): [string, number] => [key, Math.random()]));
    return { map: [...map], area: new Rectangle(2, 3).area(), sides: [...new Rectangle(4, 5)] };
  },

  async "/fetch"(_request: Request, url: URL) {
    const order: string[] = [];
    const answers = await Promise.all(
      url.searchParams.getAll("url").map(async (target: string): Promise<object> => {
        const response = (await fetch(target)) as Response;
        const text = await response.text();
        order.push(target);
        return { target, status: response.status, text };
      }),
    );
    return { order, answers };
  },

  async "/stream"(request: Request) {
    async function* upper(): AsyncGenerator<string> {
      const decoder = new TextDecoder();
      for await (const piece of (request.body ?? []) as AsyncIterable<Uint8Array>) {
        yield decoder.decode(piece, { stream: true }).toUpperCase();
      }
    }
    return new Response(upper() as unknown as BodyInit);
  },

  async "/log"(): Promise<string> {
    const fields: { answer: number } & Record<string, unknown> = { answer: 42 };
    console.log("info", fields, [1, 2, 3] as const);
    console.warn("warning %s %d", "text", 7);
    console.error(new Error("logged, not thrown") as unknown);
    return "logged";
  },

  async "/throw"() {
    await sleep(1);
    throw new TypeError("thrown on purpose");
  },

  async "/late"() {
    async function* pieces(): AsyncGenerator<string, never> {
      yield "the beginning\n";
      throw new Error("thrown after the head, on purpose");
    }
    return new Response(pieces() as unknown as BodyInit);
  },

  async "/loop"(): Promise<string> {
    for (let count: number = 0; ; count++) if (count < 0) return "never";
  },

  async "/oom"(): Promise<never> {
    const kept: Uint8Array[] = [];
    for (;;) kept.push(new Uint8Array(1 << 20).fill(kept.length));
  },
};

export default {
  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = Object.keys(paths).find((known) => url.pathname.endsWith(known)) as Path | undefined;
    if (!path) return new Response(`no such path: ${url.pathname}\n`, { status: 404 });
    const value = await paths[path]!(request, url);
    return value instanceof Response ? value : Response.json(value);
  },
};
