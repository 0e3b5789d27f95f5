import { useCallback, useState } from "react";
import type { Config } from "./config.ts";
import { type Fetching, useLoading } from "./loading.ts";
import { FailedNotice, Notice } from "./notice.tsx";
import { PictureField } from "./picture-field.tsx";
import { fetchProducts, type Product } from "./shop.ts";
import { money } from "./words.ts";

export function ProductsPage({ config }: { config: Config }) {
  const fetching: Fetching<Product[]> = useCallback((signal) => fetchProducts(config.PUBLIC_API_URL, signal), [config]);
  const [products, retry] = useLoading(fetching);

  return (
    <>
      <div className="page-head">
        <h1>Products</h1>
        {products.state === "loaded" && <p>{products.value.length} in the catalogue</p>}
      </div>
      {products.state === "loading" && <Notice state="loading" title="Loading the catalogue…" />}
      {products.state === "failed" && (
        <FailedNotice title="The catalogue could not be loaded" message={products.message} onRetry={retry} />
      )}
      {products.state === "loaded" && products.value.length === 0 && (
        <Notice state="empty" title="No products yet">
          <p>The catalogue is empty. Products appear here as soon as the API has them.</p>
        </Notice>
      )}
      {products.state === "loaded" && products.value.length > 0 && (
        <ProductTable products={products.value} config={config} onChange={retry} />
      )}
    </>
  );
}

interface Table {
  products: Product[];
  config: Config;
  onChange: () => void;
}

function ProductTable({ products, config, onChange }: Table) {
  const siteUrl = config.PUBLIC_SITE_URL;
  const [key, setKey] = useState("");
  return (
    <section className="table-frame" data-state="loaded" aria-label="Products">
      <label className="key">
        Key for pictures
        <input type="password" autoComplete="off" value={key} onChange={(event) => setKey(event.target.value)} />
      </label>
      <table>
        <thead>
          <tr>
            <th scope="col">Picture</th>
            <th scope="col">Product</th>
            <th scope="col">Category</th>
            <th scope="col">Slug</th>
            <th scope="col" className="number">
              Price
            </th>
          </tr>
        </thead>
        <tbody>
          {products.map((product) => (
            <tr key={product.slug}>
              <td>
                <PictureField product={product} apiUrl={config.PUBLIC_API_URL} uploadKey={key} onChange={onChange} />
              </td>
              <td>
                <a href={`${siteUrl}/products/${product.slug}`}>{product.name}</a>
                <p>{product.summary}</p>
              </td>
              <td>
                <span className="tag">{product.category}</span>
              </td>
              <td>
                <code>{product.slug}</code>
              </td>
              <td className="number">{money(product.price_cents, product.currency)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
