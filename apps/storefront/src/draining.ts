/** Whether this process is about to end. On the global object, since Next bundles whoever says so apart from whoever asks. */
const DRAINING = Symbol.for("urbancart.storefront.draining");

const processWide = globalThis as typeof globalThis & { [DRAINING]?: boolean };

export function beginDraining(): void {
  processWide[DRAINING] = true;
}

export function isDraining(): boolean {
  return processWide[DRAINING] === true;
}
