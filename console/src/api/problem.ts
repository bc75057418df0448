import type { components } from "./schema";

type Problem = components["schemas"]["Problem"];

/** What the server refused, or that it was not reached: always with a reason, mostly with a next step. */
export class ApiError extends Error {
  readonly status: number;
  readonly title: string;
  /** A stable code with a page: `NX3001`. */
  readonly code?: string;
  readonly hint?: string;
  readonly requestId?: string;
  readonly invocation?: string;

  constructor(status: number, problem: Partial<Problem>) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.title = problem.title ?? "The server could not do that";
    if (problem.code) this.code = problem.code;
    if (problem.hint) this.hint = problem.hint;
    if (problem.request_id) this.requestId = problem.request_id;
    if (problem.invocation_id) this.invocation = problem.invocation_id;
  }

  /** The page that explains the code. */
  get help(): string | undefined {
    return this.code ? `/docs/errors/${this.code}` : undefined;
  }

  get isUnauthenticated(): boolean {
    return this.status === 401;
  }

  get isMissing(): boolean {
    return this.status === 404;
  }
}

/** The server did not answer at all. */
export class UnreachableError extends Error {
  constructor(cause: unknown) {
    super("The server does not answer. It may be starting again, or the network is gone.", { cause });
    this.name = "UnreachableError";
  }
}

/** Whatever an exception is, as text for people. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
