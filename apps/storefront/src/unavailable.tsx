/** The shop without its api. Answered with 200: the visitor is told the truth, and the edge must not take us out for another's fault. */
export function Unavailable() {
  return (
    <section className="notice" data-state="unavailable" role="status">
      <h2>The shelves are being restocked</h2>
      <p>We cannot show our products right now. Nothing is lost; please look again in a minute.</p>
      {/* A form without an action asks for the page it stands on, scripts or not. */}
      <form>
        <button className="button" type="submit">
          Try again
        </button>
      </form>
    </section>
  );
}
