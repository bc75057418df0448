// ReadableStream as far as bodies need it, AbortController, and reading and writing WASI streams.
import { dispose } from "nexus:host";
import { forget, ready } from "nexus:loop";
import { encodeUtf8, toBytes } from "nexus:text";

const READ_BYTES = 65536;

function asChunk(value) {
  return typeof value === "string" ? encodeUtf8(value) : toBytes(value);
}

class Controller {
  constructor(stream) { this.stream = stream; }
  get desiredSize() { return this.stream.closed ? 0 : 1 - this.stream.queue.length; }
  enqueue(chunk) {
    if (this.stream.closed) throw new TypeError("the stream is closed");
    this.stream.queue.push(chunk);
    this.stream.wake();
  }
  close() { this.stream.closed = true; this.stream.wake(); }
  error(reason) { this.stream.failure = { reason }; this.stream.closed = true; this.stream.wake(); }
}

class Reader {
  #stream;
  constructor(stream) { this.#stream = stream; }
  read() { return this.#stream.take(); }
  cancel(reason) { return this.#stream.stop(reason); }
  releaseLock() { this.#stream.release(); }
}

// The state lives apart from the class that users see.
class Source {
  queue = [];
  closed = false;
  failure = null;
  locked = false;
  #waiters = [];
  #started = false;
  #pulling = false;
  constructor(underlying) {
    this.underlying = underlying;
    this.controller = new Controller(this);
    Promise.resolve(underlying.start?.(this.controller)).then(
      () => { this.#started = true; this.wake(); },
      (error) => this.controller.error(error),
    );
  }
  wake() {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
  // What `start` enqueued can be read while it goes on; `pull` waits for its end.
  async take() {
    for (;;) {
      if (this.queue.length > 0) return { value: this.queue.shift(), done: false };
      if (this.failure) throw this.failure.reason;
      if (this.closed) return { value: undefined, done: true };
      const arrived = new Promise((wake) => this.#waiters.push(wake));
      this.#pull();
      await arrived;
    }
  }
  #pull() {
    if (!this.#started || this.#pulling || !this.underlying.pull) return;
    this.#pulling = true;
    Promise.resolve()
      .then(() => this.underlying.pull(this.controller))
      .then(() => { this.#pulling = false; this.wake(); }, (error) => this.controller.error(error));
  }
  async stop(reason) {
    this.queue = [];
    this.closed = true;
    this.wake();
    await this.underlying.cancel?.(reason);
  }
  release() { this.locked = false; }
}

export class ReadableStream {
  #source;
  constructor(underlying = {}) { this.#source = new Source(underlying); }
  static from(iterable) {
    const iterator = (iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator]).call(iterable);
    return new ReadableStream({
      async pull(controller) {
        const { value, done } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel(reason) { await iterator.return?.(reason); },
    });
  }
  get locked() { return this.#source.locked; }
  getReader() {
    if (this.#source.locked) throw new TypeError("the stream is locked");
    this.#source.locked = true;
    return new Reader(this.#source);
  }
  cancel(reason) { return this.#source.stop(reason); }
  async *[Symbol.asyncIterator]() {
    const reader = this.getReader();
    let ended = false;
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) { ended = true; return; }
        yield value;
      }
    } finally {
      if (!ended) await reader.cancel();
      reader.releaseLock();
    }
  }
  values() { return this[Symbol.asyncIterator](); }
  pipeThrough({ readable, writable }) { this.pipeTo(writable).catch(() => {}); return readable; }
  async pipeTo(writable) {
    const writer = writable.getWriter();
    try {
      for await (const chunk of this) await writer.write(chunk);
    } catch (error) {
      await writer.abort(error);
      throw error;
    }
    await writer.close();
  }
  tee() {
    const source = this[Symbol.asyncIterator]();
    const controllers = [];
    let pulling;
    const pull = () => (pulling ??= source.next().then(({ value, done }) => {
      pulling = undefined;
      for (const it of controllers) { if (done) it.close(); else it.enqueue(value); }
    }, (error) => { for (const it of controllers) it.error(error); }));
    const branch = () => new ReadableStream({ start(controller) { controllers.push(controller); }, pull });
    return [branch(), branch()];
  }
}

export class TransformStream {
  constructor(transformer = {}) {
    let controller;
    this.readable = new ReadableStream({ start(it) { controller = it; } });
    const started = Promise.resolve(transformer.start?.(controller));
    // What fails here fails for who reads, too.
    const guarded = async (work) => {
      try {
        await started;
        await work();
      } catch (error) {
        controller.error(error);
        throw error;
      }
    };
    const writer = {
      write: (chunk) => guarded(async () => {
        if (transformer.transform) await transformer.transform(chunk, controller);
        else controller.enqueue(chunk);
      }),
      close: () => guarded(async () => { await transformer.flush?.(controller); controller.close(); }),
      async abort(reason) { controller.error(reason); },
      releaseLock() {},
    };
    this.writable = { getWriter: () => writer };
  }
}

// The chunks of an input stream, as they arrive. `end` runs once, after the stream was dropped. Who
// reads gets the signal's reason once it is aborted.
export function fromInput(input, end, signal) {
  let finished = false;
  let arrival;
  const finish = () => {
    if (finished) return;
    finished = true;
    if (arrival) forget(arrival);
    dispose(input);
    end();
  };
  return new ReadableStream({
    start(controller) {
      signal?.addEventListener("abort", () => {
        if (finished) return;
        finish();
        controller.error(signal.reason);
      });
    },
    async pull(controller) {
      for (;;) {
        let bytes;
        try {
          bytes = input.read(READ_BYTES);
        } catch (error) {
          finish();
          if (error.payload?.tag === "closed") return controller.close();
          throw new Error(`failed to read the body: ${failureText(error)}`);
        }
        if (bytes.length > 0) return controller.enqueue(Uint8Array.from(bytes));
        arrival = input.subscribe();
        await ready(arrival);
        arrival = undefined;
      }
    },
    cancel() { finish(); },
  });
}

function failureText(error) {
  const payload = error.payload;
  if (payload?.tag === "last-operation-failed") return payload.val.toDebugString();
  return payload?.tag ?? String(error);
}

// The other side takes no more of a body.
export class WriteError extends Error {}

// Writes all of `bytes`, as fast as the other side takes them.
export async function writeAll(output, bytes) {
  let at = 0;
  while (at < bytes.length) {
    let room;
    try {
      room = Number(output.checkWrite());
      if (room > 0) {
        output.write(bytes.subarray(at, at + Math.min(room, READ_BYTES)));
        at += Math.min(room, READ_BYTES, bytes.length - at);
        continue;
      }
    } catch (error) {
      throw new WriteError(`failed to write the body: ${failureText(error)}`);
    }
    await ready(output.subscribe());
  }
}

// Chunks of which the first one was asked for before.
export async function* withFirst(first, chunks) {
  try {
    for (let next = await first; !next.done; next = await chunks.next()) yield next.value;
  } finally {
    await chunks.return();
  }
}

// Sends a body: bytes at once, anything else piece by piece as it comes. A body that fails is not
// finished: the host breaks it off.
export async function sendBody(outgoingBody, OutgoingBody, body) {
  const output = outgoingBody.write();
  try {
    if (body instanceof Uint8Array) await writeAll(output, body);
    else if (body) {
      for await (const chunk of body) {
        await writeAll(output, asChunk(chunk));
        output.flush();
      }
    }
  } finally {
    dispose(output);
  }
  OutgoingBody.finish(outgoingBody, null);
}

export class AbortSignal {
  aborted = false;
  reason = undefined;
  onabort = null;
  #listeners = [];
  addEventListener(type, listener) { if (type === "abort") this.#listeners.push(listener); }
  removeEventListener(type, listener) { this.#listeners = this.#listeners.filter((it) => it !== listener); }
  throwIfAborted() { if (this.aborted) throw this.reason; }
  static abort(reason) { const controller = new AbortController(); controller.abort(reason); return controller.signal; }
  static timeout(delay) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(abortError("TimeoutError", "the time is over")), delay);
    return controller.signal;
  }
  static any(signals) {
    const controller = new AbortController();
    for (const signal of signals) {
      if (signal.aborted) controller.abort(signal.reason);
      else signal.addEventListener("abort", () => controller.abort(signal.reason));
    }
    return controller.signal;
  }
  fire(reason) {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason ?? abortError("AbortError", "the operation was aborted");
    const event = { type: "abort", target: this };
    this.onabort?.(event);
    for (const listener of this.#listeners) (listener.handleEvent ?? listener).call(listener, event);
  }
}

function abortError(name, message) {
  const error = new Error(message);
  error.name = name;
  return error;
}

export class AbortController {
  signal = new AbortSignal();
  abort(reason) { this.signal.fire(reason); }
}

Object.assign(globalThis, { ReadableStream, TransformStream, AbortController, AbortSignal });
