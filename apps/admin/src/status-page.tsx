import { useCallback } from "react";
import type { Config } from "./config.ts";
import { type Fetching, useLoading } from "./loading.ts";
import { FailedNotice, Notice } from "./notice.tsx";
import { fetchStatus, type Status, type StoreHealth } from "./shop.ts";
import { duration } from "./words.ts";

const POLL_MS = 5_000;

const VERDICTS: Record<Status["status"], string> = {
  ready: "All systems ready",
  unready: "The API cannot take traffic",
  draining: "This instance is being replaced",
};

export function StatusPage({ config }: { config: Config }) {
  const fetching: Fetching<Status> = useCallback((signal) => fetchStatus(config.PUBLIC_API_URL, signal), [config]);
  const [status, retry] = useLoading(fetching, POLL_MS);
  const latest = status.state === "loaded" ? status.value : status.state === "failed" ? status.last : undefined;

  return (
    <>
      <div className="page-head">
        <h1>System status</h1>
        <p>Asked every {POLL_MS / 1_000} seconds</p>
      </div>
      {status.state === "loading" && <Notice state="loading" title="Asking the API…" />}
      {status.state === "failed" && (
        <FailedNotice title="The API does not answer" message={status.message} onRetry={retry} />
      )}
      {latest && <StatusCards status={latest} isStale={status.state === "failed"} />}
    </>
  );
}

function StatusCards({ status, isStale }: { status: Status; isStale: boolean }) {
  return (
    <section
      className={isStale ? "status stale" : "status"}
      data-state={isStale ? "stale" : status.status}
      aria-label="Status of the API"
    >
      <p className={`verdict ${isStale ? "unknown" : status.status}`}>
        {isStale ? "Last answer, no longer certain" : VERDICTS[status.status]}
      </p>
      <div className="cards">
        <Store name="MongoDB" purpose="catalogue and orders" health={status.mongodb} />
        <Store name="Redis" purpose="carts" health={status.redis} />
        <dl className="card facts">
          <div>
            <dt>Release</dt>
            <dd>
              <code>{status.release}</code>
            </dd>
          </div>
          <div>
            <dt>Instance</dt>
            <dd>
              <code>{status.instance}</code>
            </dd>
          </div>
          <div>
            <dt>Environment</dt>
            <dd>{status.environment}</dd>
          </div>
          <div>
            <dt>Up for</dt>
            <dd>{duration(status.uptime_seconds)}</dd>
          </div>
        </dl>
      </div>
    </section>
  );
}

function Store({ name, purpose, health }: { name: string; purpose: string; health: StoreHealth }) {
  return (
    <div className="card store" data-store={name.toLowerCase()} data-ok={health.ok}>
      <h2>{name}</h2>
      <p>{purpose}</p>
      {/* The word says it too: colour alone is lost on some eyes. */}
      <p className={health.ok ? "health up" : "health down"}>
        {health.ok ? `Up, answered in ${health.ms} ms` : "Down"}
      </p>
    </div>
  );
}
