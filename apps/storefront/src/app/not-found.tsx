import Link from "next/link";

export default function NotFound() {
  return (
    <section className="notice" data-state="missing">
      <h1>This is not on our shelves</h1>
      <p>The page or the product you asked for does not exist, or not any more.</p>
      <Link className="button" href="/">
        See all products
      </Link>
    </section>
  );
}
