/** A CloudEvent 1.0. JSON data is parsed, text is a string, anything else bytes. */
export interface CloudEvent<Data = unknown> {
  specversion: "1.0";
  id: string;
  source: string;
  type: string;
  subject?: string;
  time?: string;
  datacontenttype?: string;
  dataschema?: string;
  data: Data;
}

/** An event to send: the host fills in what is missing. */
export type NewEvent<Data = unknown> = Partial<Omit<CloudEvent<Data>, "type">> & { type: string };

/** A result for whoever waits, and events for everybody else. */
export interface Output<Data = unknown, Result = unknown> {
  result?: Result;
  events: NewEvent<Data>[];
}

type Log = (message: string, fields?: Record<string, unknown>) => void;

/** Why a called function gave no result. */
export interface CallError extends Error {
  /** `NX5003`, or `not-found`, `invalid`, `too-deep`, `unavailable`. */
  readonly code: string;
  /** Whether a retry is useless. */
  readonly permanent: boolean;
}

/** What became of an invocation. */
export type Outcome<Result = unknown> =
  | { state: "running" }
  | { state: "succeeded"; value: Result }
  | { state: "failed"; error: CallError };

/** A value with its version: a number that no earlier value of the key had, and higher. */
export interface Entry<Value = unknown> {
  value: Value;
  version: number;
}

/** With `version`: only if the state has it (0: only if nothing is there). */
export interface Expect {
  version?: number | null;
}

/** State that outlives an invocation: values by key, and streams of events. Writes are durable when they return. */
export interface State {
  get<Value = unknown>(key: string): Value | undefined;
  getBytes(key: string): Uint8Array | undefined;
  entry<Value = unknown>(key: string): Entry<Value> | undefined;
  /** Gives the new version. Throws a `ConflictError` when another version was expected. */
  put(key: string, value: unknown, expect?: Expect): number;
  delete(key: string, expect?: Expect): void;
  list<Value = unknown>(
    prefix?: string,
    page?: { after?: string | null; max?: number },
  ): (Entry<Value> & { key: string })[];
  /** Appends events to a stream, all or none. Gives the version of the last one. */
  append(stream: string, events: unknown[], expect?: Expect): number;
  read<Data = unknown>(stream: string, page?: { after?: number; max?: number }): { version: number; data: Data }[];
  /** State that the functions of the project share under a name. */
  shared(name: string): State;
}

/** What the host knows about the running invocation, and what it offers. */
export interface Context {
  readonly invocationId: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  readonly function: string;
  readonly project: string;
  readonly traceparent: string;
  readonly deadline: Date;
  readonly env: Record<string, string | undefined>;
  readonly log: { trace: Log; debug: Log; info: Log; warn: Log; error: Log };
  /** Appends events to the log; they are durable when it returns. Gives their ids in the log. */
  emit(...events: (NewEvent | NewEvent[])[]): string[];
  /** The same for every attempt to handle the same event with this function. */
  readonly idempotencyKey: string;
  /** Tells those who watch how far the function is. */
  progress(percent: number | null, message?: string): void;
  /** Sleeps for milliseconds, in a durable function: it costs nothing meanwhile. */
  sleep(ms: number): void;
  /** Waits for a signal, in a durable function; `undefined` when `timeout` (milliseconds) has passed. */
  signal<Data = unknown>(name: string, options?: { timeout?: number }): Data | undefined;
  /** Calls another function of the project and waits for its result; throws a `CallError`. */
  call<Result = unknown>(name: string, input?: unknown): Result;
  /** Calls several, some at the same time. */
  callAll<Result = unknown>(calls: Iterable<[string, unknown]>): ({ value: Result } | { error: CallError })[];
  /** Starts an invocation that nobody waits for; it is durable when this returns. Gives its id. */
  start(name: string, input?: unknown, options?: { delay?: number; orderingKey?: string }): string;
  /** What became of an invocation. */
  outcome<Result = unknown>(invocation: string): Outcome<Result>;
  readonly state: State;
}
