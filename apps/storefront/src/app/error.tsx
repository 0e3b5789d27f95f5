"use client";

export default function ErrorPage({ error, reset }: { error: Error & { digest?: string }; reset: () => void }) {
  return (
    <section className="notice" data-state="error" role="alert">
      <h1>Something broke on our side</h1>
      <p>The fault has been logged{error.digest ? ` as ${error.digest}` : ""}. Trying again often helps.</p>
      <button className="button" type="button" onClick={reset}>
        Try again
      </button>
    </section>
  );
}
