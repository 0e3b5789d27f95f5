import type { ReactNode } from "react";

export function Notice({ state, title, children }: { state: string; title: string; children?: ReactNode }) {
  return (
    <section className="notice" data-state={state} role={state === "failed" ? "alert" : "status"}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

export function FailedNotice({ title, message, onRetry }: { title: string; message: string; onRetry: () => void }) {
  return (
    <Notice state="failed" title={title}>
      <p>{message}</p>
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </Notice>
  );
}
