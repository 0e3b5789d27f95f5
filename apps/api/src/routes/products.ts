import { Problem } from "../http/problem.ts";
import type { Route } from "../http/router.ts";
import type { Catalogue, Pictures, Product } from "../shop.ts";

export function productRoutes(catalogue: Catalogue, pictures: Pictures): Route[] {
  // Whoever shows a product wants the address of its picture, not the name that it has in the storage.
  const shown = ({ picture, ...product }: Product) =>
    picture === undefined ? product : { ...product, picture: { url: pictures.urlOf(picture) } };
  return [
    {
      method: "GET",
      path: "/products",
      handler: async (exchange) => exchange.reply(200, { products: (await catalogue.list()).map(shown) }),
    },
    {
      method: "GET",
      path: "/products/:slug",
      handler: async (exchange) => {
        const product = await catalogue.find(exchange.param("slug"));
        if (product === undefined) throw new Problem(404, `there is no product "${exchange.param("slug")}"`);
        exchange.reply(200, shown(product));
      },
    },
  ];
}
