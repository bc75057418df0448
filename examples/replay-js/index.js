import { sleep } from "./sleep.js";

const paths = {
  async "/random"() {
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    return { math: [Math.random(), Math.random()], uuid: crypto.randomUUID(), bytes: [...bytes] };
  },

  async "/clock"() {
    const before = performance.now();
    await sleep(5);
    return { date: Date.now(), iso: new Date().toISOString(), slept: performance.now() - before };
  },

  async "/order"() {
    const keys = Array.from({ length: 20 }, () => crypto.randomUUID().slice(0, 8));
    const map = new Map(keys.map((key) => [key, Math.random()]));
    const set = new Set([...keys].sort(() => Math.random() - 0.5));
    return { map: [...map], set: [...set], object: Object.keys(Object.fromEntries(map)) };
  },

  async "/fetch"(_, url) {
    const order = [];
    const answers = await Promise.all(url.searchParams.getAll("url").map(async (target) => {
      const response = await fetch(target);
      const text = await response.text();
      order.push(target);
      return { target, status: response.status, text };
    }));
    return { order, answers };
  },

  async "/stream"(request) {
    const decoder = new TextDecoder();
    return new Response((async function* () {
      for await (const piece of request.body ?? []) yield decoder.decode(piece, { stream: true }).toUpperCase();
    })());
  },

  async "/log"() {
    console.log("info", { answer: 42 }, [1, 2, 3]);
    console.warn("warning %s %d", "text", 7);
    console.error(new Error("logged, not thrown"));
    return "logged";
  },

  async "/throw"() {
    await sleep(1);
    throw new TypeError("thrown on purpose");
  },

  async "/late"() {
    return new Response((async function* () {
      yield "the beginning\n";
      throw new Error("thrown after the head");
    })());
  },

  async "/loop"() {
    for (let count = 0; ; count++) if (count < 0) return "never";
  },

  async "/oom"() {
    const kept = [];
    for (;;) kept.push(new Uint8Array(1 << 20).fill(kept.length));
  },
};

export default {
  async fetch(request) {
    const url = new URL(request.url);
    const path = Object.keys(paths).find((known) => url.pathname.endsWith(known));
    if (!path) return new Response(`no such path: ${url.pathname}\n`, { status: 404 });
    const value = await paths[path](request, url);
    return value instanceof Response ? value : Response.json(value);
  },
};
