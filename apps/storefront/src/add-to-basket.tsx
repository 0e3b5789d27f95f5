"use client";

import { useState } from "react";

type State = { kind: "idle" } | { kind: "adding" } | { kind: "added"; quantity: number } | { kind: "failed" };

interface Cart {
  items: { slug: string; quantity: number }[];
}

/** Talks to the public api from the browser: the basket's cookie belongs to the api's host. */
export function AddToBasket({ slug, apiUrl }: { slug: string; apiUrl: string }) {
  const [state, setState] = useState<State>({ kind: "idle" });

  async function add() {
    setState({ kind: "adding" });
    try {
      setState({ kind: "added", quantity: await addOne(apiUrl, slug) });
    } catch {
      setState({ kind: "failed" });
    }
  }

  return (
    <div className="basket">
      <button className="button" type="button" onClick={add} disabled={state.kind === "adding"}>
        {state.kind === "adding" ? "Adding…" : "Add to basket"}
      </button>
      <p role="status">
        {state.kind === "added" && `In your basket: ${state.quantity}`}
        {state.kind === "failed" && "That did not work. Please try again."}
      </p>
    </div>
  );
}

/** The new quantity. The api takes the wanted quantity and not "one more", so that a repeated request adds nothing. */
async function addOne(apiUrl: string, slug: string): Promise<number> {
  const before = quantityOf(await send(`${apiUrl}/cart`, {}), slug);
  const cart = await send(`${apiUrl}/cart/items/${encodeURIComponent(slug)}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ quantity: before + 1 }),
  });
  return quantityOf(cart, slug);
}

async function send(url: string, init: RequestInit): Promise<Cart> {
  const response = await fetch(url, { ...init, credentials: "include" });
  if (!response.ok) throw new Error(`the api answered ${response.status}`);
  return response.json();
}

function quantityOf(cart: Cart, slug: string): number {
  return cart.items.find((item) => item.slug === slug)?.quantity ?? 0;
}
