import type { Metadata } from "next";
import Link from "next/link";
import { currentCaller } from "../caller.ts";
import { readEnvironment } from "../environment.ts";
import { money } from "../money.ts";
import { ProductPicture } from "../product-picture.tsx";
import { listProducts, type Product } from "../shop.ts";
import { Unavailable } from "../unavailable.tsx";

// Nothing of a shop may be frozen at build time, least of all its prices.
export const dynamic = "force-dynamic";

export function generateMetadata(): Metadata {
  return { alternates: { canonical: readEnvironment().PUBLIC_SITE_URL } };
}

export default async function HomePage() {
  const answer = await listProducts(await currentCaller());

  return (
    <>
      <section className="hero">
        <h1>
          UrbanCart, <span>for what the city wears out.</span>
        </h1>
        <p>Plain things, made to be carried, dropped, rained on and kept.</p>
      </section>
      {answer.outcome === "found" && answer.value.length > 0 ? <Shelf products={answer.value} /> : <Unavailable />}
    </>
  );
}

function Shelf({ products }: { products: Product[] }) {
  return (
    <ul className="shelf" data-state="available" aria-label="Products">
      {products.map((product) => (
        <li key={product.slug}>
          <article className="card">
            <ProductPicture product={product} sizes="(min-width: 60rem) 20rem, (min-width: 36rem) 45vw, 90vw" />
            <div className="card-text">
              <p className="category">{product.category}</p>
              <h2>
                <Link href={`/products/${product.slug}`}>{product.name}</Link>
              </h2>
              <p className="summary">{product.summary}</p>
              <p className="price">{money(product.price_cents, product.currency)}</p>
            </div>
          </article>
        </li>
      ))}
    </ul>
  );
}
