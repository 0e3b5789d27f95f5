/** A photograph in the size that the screen wants. Drawn until there is one: a ground in the colour of the category, and the product's outline in two tones. */
import type { ReactNode } from "react";
import type { Product } from "./shop.ts";

const GROUNDS: Record<string, string> = {
  Carry: "#e3dccb",
  Kitchen: "#d6e0da",
  Home: "#ecdccb",
  Garden: "#dce3cd",
  Street: "#d5dde5",
};

const DRAWINGS: Record<string, ReactNode> = {
  "market-tote": (
    <>
      <path d="M132 92c0-40 56-40 56 0" fill="none" stroke="#8a7a56" strokeWidth="7" strokeLinecap="round" />
      <path d="M108 88h104l10 92a8 8 0 0 1-8 8H106a8 8 0 0 1-8-8z" fill="#f6f0e1" />
      <path d="M103 134h114l5 46a8 8 0 0 1-8 8H106a8 8 0 0 1-8-8z" fill="#1f5c4a" />
    </>
  ),
  "enamel-mug": (
    <>
      <path d="M196 104h14a24 24 0 0 1 0 54h-16" fill="none" stroke="#2c4f73" strokeWidth="9" />
      <path d="M110 84h92l-5 92a12 12 0 0 1-12 12h-58a12 12 0 0 1-12-12z" fill="#fbfaf6" />
      <rect x="104" y="78" width="104" height="11" rx="5.5" fill="#2c4f73" />
    </>
  ),
  "oak-board": (
    <>
      <rect x="90" y="62" width="140" height="126" rx="16" fill="#c79a62" />
      <path d="M90 104h140M90 146h140M136 62v42M186 104v42M130 146v42" stroke="#a97c46" strokeWidth="4" />
      <circle cx="208" cy="84" r="9" fill="#d6e0da" />
    </>
  ),
  "beeswax-candle": (
    <>
      <path d="M160 46c16 20 12 34 0 36-12-2-16-16 0-36z" fill="#e8963e" />
      <path d="M160 80v16" stroke="#4a3a22" strokeWidth="4" strokeLinecap="round" />
      <rect x="132" y="94" width="56" height="94" rx="8" fill="#f0c15d" />
      <path d="M132 118c12 10 20-8 30 2s16 4 26-2v-16a8 8 0 0 0-8-8h-40a8 8 0 0 0-8 8z" fill="#f7d588" />
    </>
  ),
  "wool-throw": (
    <>
      <path d="M88 84q72-26 144 0v88q-72-22-144 0z" fill="#f5efe4" />
      <path
        d="M88 104q72-26 144 0M88 118q72-25 144 0M88 148q72-22 144 0"
        fill="none"
        stroke="#a8694a"
        strokeWidth="6"
      />
      <path
        d="M94 172v18M112 168v18M130 165v18M148 164v18M166 164v18M184 165v18M202 167v18M222 171v18"
        stroke="#d9cdb8"
        strokeWidth="4"
        strokeLinecap="round"
      />
    </>
  ),
  "herb-planter": (
    <>
      <path
        d="M160 122c-4-40-34-44-46-40 0 22 18 40 46 40zm0 0c4-50 32-62 50-56 2 30-18 56-50 56zm0 0c-12-34-2-58 6-68 14 16 12 50-6 68z"
        fill="#4f7d4a"
      />
      <path d="M98 120h124l-10 60a10 10 0 0 1-10 8h-84a10 10 0 0 1-10-8z" fill="#c2693f" />
      <rect x="92" y="114" width="136" height="18" rx="6" fill="#d47d52" />
    </>
  ),
  "bicycle-bell": (
    <>
      <path d="M96 156a64 64 0 0 1 128 0z" fill="#d9ab4a" />
      <path d="M116 148a46 46 0 0 1 34-38" fill="none" stroke="#f2d48b" strokeWidth="8" strokeLinecap="round" />
      <rect x="88" y="156" width="144" height="12" rx="6" fill="#a87c26" />
      <path d="M160 168v16" stroke="#3d4147" strokeWidth="14" />
      <circle cx="160" cy="88" r="8" fill="#a87c26" />
    </>
  ),
  "rain-umbrella": (
    <>
      <path d="M160 60v116a14 14 0 0 0 28 0" fill="none" stroke="#8b5e34" strokeWidth="7" strokeLinecap="round" />
      <path d="M84 130a76 76 0 0 1 152 0q-19-16-38 0-19-16-38 0-19-16-38 0-19-16-38 0z" fill="#2c4f73" />
      <path d="M122 130q4-52 38-76 34 24 38 76-19-16-38 0-19-16-38 0z" fill="#3f6a96" />
    </>
  ),
};

const PARCEL = (
  <>
    <rect x="102" y="84" width="116" height="104" rx="8" fill="#c79a62" />
    <path d="M102 116h116M160 84v104" stroke="#a97c46" strokeWidth="6" />
  </>
);

/** Widths that the infrastructure delivers, see [services.media] in roadbed.toml. */
const WIDTHS = [320, 640, 960, 1280];

interface Props {
  product: Pick<Product, "slug" | "name" | "category" | "picture">;
  /** How wide it is shown, as `sizes` of HTML says it. */
  sizes: string;
}

export function ProductPicture({ product, sizes }: Props) {
  const { slug, name, category, picture } = product;
  if (picture) {
    const srcSet = WIDTHS.map((width) => `${picture.url}?w=${width} ${width}w`).join(", ");
    return (
      // biome-ignore lint/performance/noImgElement: its variants are made by the infrastructure, not a second time by Next.js
      <img className="picture" src={`${picture.url}?w=640`} srcSet={srcSet} sizes={sizes} alt={name} decoding="async" />
    );
  }
  return (
    <svg className="picture" viewBox="0 0 320 240" aria-hidden="true">
      <rect width="320" height="240" fill={GROUNDS[category] ?? "#e4e1da"} />
      <ellipse cx="160" cy="192" rx="88" ry="9" fill="#1f2421" opacity="0.12" />
      {DRAWINGS[slug] ?? PARCEL}
    </svg>
  );
}
