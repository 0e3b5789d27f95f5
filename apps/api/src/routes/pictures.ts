import type { Exchange } from "../http/exchange.ts";
import { Problem } from "../http/problem.ts";
import type { Route } from "../http/router.ts";
import { isSameSecret } from "../secrets.ts";
import type { Catalogue, Pictures } from "../shop.ts";

/** What a browser can show and the infrastructure decode. */
const TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif"];
/** As roadbed.toml says of the bucket. */
const MOST_BYTES = 20 * 1024 * 1024;

/** A picture goes from the browser to object storage, by an address that is signed here; then it is shown. */
export function pictureRoutes(catalogue: Catalogue, pictures: Pictures, uploadToken: string | undefined): Route[] {
  const admit = (exchange: Exchange) => {
    const claimed = /^Bearer (.+)$/u.exec(exchange.header("authorization") ?? "")?.[1];
    if (uploadToken === undefined || claimed === undefined || !isSameSecret(claimed, uploadToken)) {
      throw new Problem(401, "pictures are changed by who has the key for it", { "www-authenticate": "Bearer" });
    }
  };
  const known = async (exchange: Exchange) => {
    const slug = exchange.param("slug");
    const product = await catalogue.find(slug);
    if (product === undefined) throw new Problem(404, `there is no product "${slug}"`);
    return product;
  };

  return [
    {
      method: "POST",
      path: "/products/:slug/picture",
      handler: async (exchange) => {
        admit(exchange);
        const { slug } = await known(exchange);
        const { type, bytes } = await exchange.json();
        if (typeof type !== "string" || !TYPES.includes(type)) {
          throw new Problem(422, `a picture is one of ${TYPES.join(", ")}`);
        }
        if (typeof bytes !== "number" || !Number.isInteger(bytes) || bytes < 1 || bytes > MOST_BYTES) {
          throw new Problem(422, `a picture has from 1 to ${MOST_BYTES} bytes`);
        }
        exchange.reply(200, await pictures.offer(slug, type, bytes));
      },
    },
    {
      method: "PUT",
      path: "/products/:slug/picture",
      handler: async (exchange) => {
        admit(exchange);
        const { slug, picture } = await known(exchange);
        const { key } = await exchange.json();
        if (typeof key !== "string" || !new RegExp(`^products/${slug}/[0-9a-f]{32}$`, "u").test(key)) {
          throw new Problem(422, "the key is none that was offered for this product");
        }
        if (!(await pictures.isPicture(key))) {
          await pictures.remove(key);
          throw new Problem(422, "what was sent is no picture");
        }
        await catalogue.setPicture(slug, key);
        if (picture !== undefined && picture !== key) await pictures.remove(picture);
        exchange.reply(200, { url: pictures.urlOf(key) });
      },
    },
  ];
}
