/** What the shop sells on its first day. */
import type { Product } from "../shop.ts";

export const SEED: Product[] = [
  {
    slug: "market-tote",
    name: "Market Tote",
    summary: "Heavy canvas, two handles, one big pocket.",
    description:
      "Eighteen-ounce cotton canvas that stands up on its own while you fill it. Stitched twice where it matters, washable, and large enough for a week of vegetables.",
    category: "Carry",
    price_cents: 3900,
    currency: "EUR",
  },
  {
    slug: "enamel-mug",
    name: "Enamel Mug",
    summary: "Chips with grace, never breaks.",
    description:
      "Steel under two coats of enamel, with a rolled rim that is kind to lips. Holds 350 ml of anything and goes straight onto the stove.",
    category: "Kitchen",
    price_cents: 1450,
    currency: "EUR",
  },
  {
    slug: "oak-board",
    name: "Oak Board",
    summary: "End-grain oak, kind to knives.",
    description:
      "End-grain blocks from offcuts of a floor maker, oiled and pressed. Knives stay sharp on it, and its cuts close again.",
    category: "Kitchen",
    price_cents: 5400,
    currency: "EUR",
  },
  {
    slug: "beeswax-candle",
    name: "Beeswax Candle",
    summary: "Forty quiet hours of light.",
    description:
      "Poured by hand from the wax of city bees, with a plain cotton wick. It smells of honey before it is lit, and of nothing after.",
    category: "Home",
    price_cents: 1900,
    currency: "EUR",
  },
  {
    slug: "wool-throw",
    name: "Wool Throw",
    summary: "Undyed wool from one small flock.",
    description:
      "Woven from undyed wool on a loom from 1958. 130 by 180 centimetres: enough for two on a sofa, or one on a balcony.",
    category: "Home",
    price_cents: 11900,
    currency: "EUR",
  },
  {
    slug: "herb-planter",
    name: "Herb Planter",
    summary: "Terracotta for a narrow sill.",
    description:
      "Unglazed terracotta with a saucer that fits, sized for the sills of old houses. Basil likes it; rosemary puts up with it.",
    category: "Garden",
    price_cents: 2800,
    currency: "EUR",
  },
  {
    slug: "bicycle-bell",
    name: "Bicycle Bell",
    summary: "One clear note, turned from brass.",
    description:
      "A dome of solid brass over a spring hammer. The note carries across a junction and still sounds like an apology.",
    category: "Street",
    price_cents: 2200,
    currency: "EUR",
  },
  {
    slug: "rain-umbrella",
    name: "Rain Umbrella",
    summary: "Eight ribs, bends instead of breaking.",
    description:
      "Fibreglass ribs that turn inside out and come back, a canopy of recycled cloth, and a beech handle that hangs over an arm.",
    category: "Street",
    price_cents: 4600,
    currency: "EUR",
  },
];
