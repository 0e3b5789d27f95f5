/** What went wrong, in the form of RFC 9457. Thrown by routes, written by the application. */

const TITLES = {
  400: "Bad Request",
  401: "Unauthorized",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
} as const;

export type ProblemStatus = keyof typeof TITLES;

export class Problem extends Error {
  readonly status: ProblemStatus;
  readonly headers: Record<string, string>;

  /** `detail` is shown to strangers. */
  constructor(status: ProblemStatus, detail: string, headers: Record<string, string> = {}) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.headers = headers;
  }

  body(requestId: string): Record<string, unknown> {
    return {
      // about:blank: the status says it all, there is no page to read about the kind of problem.
      type: "about:blank",
      title: TITLES[this.status],
      status: this.status,
      detail: this.message,
      request_id: requestId,
    };
  }
}
