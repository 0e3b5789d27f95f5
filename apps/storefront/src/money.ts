const formats = new Map<string, Intl.NumberFormat>();

/** 3900, "EUR" -> "€39.00" */
export function money(cents: number, currency: string): string {
  // Making a formatter costs far more than using it.
  const format = formats.get(currency) ?? new Intl.NumberFormat("en-IE", { style: "currency", currency });
  formats.set(currency, format);
  return format.format(cents / 100);
}
