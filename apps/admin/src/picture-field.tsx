import { type ChangeEvent, useState } from "react";
import { type Product, sendPicture } from "./shop.ts";

interface Props {
  product: Product;
  apiUrl: string;
  /** Without it nothing is sent. */
  uploadKey: string;
  onChange: () => void;
}

export function PictureField({ product, apiUrl, uploadKey, onChange }: Props) {
  const [state, setState] = useState<"idle" | "sending" | { failed: string }>("idle");

  async function send(event: ChangeEvent<HTMLInputElement>) {
    const input = event.target;
    const file = input.files?.[0];
    if (!file) return;
    setState("sending");
    try {
      await sendPicture(apiUrl, uploadKey, product.slug, file);
      setState("idle");
      onChange();
    } catch (error) {
      setState({ failed: error instanceof Error ? error.message : String(error) });
    } finally {
      // The same file may be chosen again after a failure.
      input.value = "";
    }
  }

  return (
    <div className="picture-field" data-slug={product.slug}>
      {product.picture && <img src={`${product.picture.url}?w=160`} alt={product.name} width="80" loading="lazy" />}
      <label>
        {state === "sending" ? "Sending…" : product.picture ? "Replace" : "Choose"}
        <input
          type="file"
          accept="image/jpeg,image/png,image/webp,image/gif"
          aria-label={`Picture of ${product.name}`}
          disabled={uploadKey === "" || state === "sending"}
          onChange={send}
        />
      </label>
      {typeof state === "object" && <p role="alert">{state.failed}</p>}
    </div>
  );
}
