import type { Metadata } from "next";
import Link from "next/link";
import { notFound } from "next/navigation";
import { cache } from "react";
import { AddToBasket } from "../../../add-to-basket.tsx";
import { currentCaller } from "../../../caller.ts";
import { readEnvironment } from "../../../environment.ts";
import { money } from "../../../money.ts";
import { ProductPicture } from "../../../product-picture.tsx";
import { findProduct } from "../../../shop.ts";
import { Unavailable } from "../../../unavailable.tsx";

export const dynamic = "force-dynamic";

interface Props {
  params: Promise<{ slug: string }>;
}

// The title and the page ask for the same product; within one request the api is asked once.
const productOf = cache(async (slug: string) => findProduct(await currentCaller(), slug));

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const { slug } = await params;
  const answer = await productOf(slug);
  if (answer.outcome !== "found") return {};
  return {
    title: answer.value.name,
    description: answer.value.summary,
    alternates: { canonical: `${readEnvironment().PUBLIC_SITE_URL}/products/${answer.value.slug}` },
  };
}

// No loading.tsx beside this page: it would send a 200 before we know whether the product exists.
export default async function ProductPage({ params }: Props) {
  const answer = await productOf((await params).slug);
  if (answer.outcome === "missing") notFound();
  if (answer.outcome === "unavailable") return <Unavailable />;

  const product = answer.value;
  return (
    <article className="product" data-state="available">
      <ProductPicture product={product} sizes="(min-width: 48rem) 32rem, 90vw" />
      <div className="product-text">
        <Link className="back" href="/">
          All products
        </Link>
        <p className="category">{product.category}</p>
        <h1>{product.name}</h1>
        <p className="price">{money(product.price_cents, product.currency)}</p>
        <p className="description">{product.description}</p>
        <AddToBasket slug={product.slug} apiUrl={readEnvironment().PUBLIC_API_URL} />
      </div>
    </article>
  );
}
