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
}
