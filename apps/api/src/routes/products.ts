import { Problem } from "../http/problem.ts";
import type { Route } from "../http/router.ts";
import type { Catalogue } from "../shop.ts";

export function productRoutes(catalogue: Catalogue): Route[] {
  return [
    {
      method: "GET",
      path: "/products",
      handler: async (exchange) => exchange.reply(200, { products: await catalogue.list() }),
    },
    {
      method: "GET",
      path: "/products/:slug",
      handler: async (exchange) => {
        const product = await catalogue.find(exchange.param("slug"));
        if (product === undefined) throw new Problem(404, `there is no product "${exchange.param("slug")}"`);
        exchange.reply(200, product);
      },
    },
  ];
}
