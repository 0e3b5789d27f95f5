// Chooses a picture in the admin as a person does, and looks at what the admin and the storefront show then.
import { createRequire } from "node:module";

const { PLAYWRIGHT, BROWSER, ADMIN, STOREFRONT, UPLOAD_KEY } = process.env;
const { chromium } = createRequire(import.meta.url)(PLAYWRIGHT);

const browser = await chromium.launch({
  executablePath: BROWSER,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--disable-background-networking"],
});
try {
  // The environment's own authority is no concern of this test.
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();

  await page.goto(ADMIN);
  const picture = await page.evaluate(async () => {
    const canvas = document.createElement("canvas");
    canvas.width = 1000;
    canvas.height = 750;
    const pen = canvas.getContext("2d");
    const ground = pen.createLinearGradient(0, 0, 1000, 750);
    ground.addColorStop(0, "#2c4f73");
    ground.addColorStop(1, "#fbfaf6");
    pen.fillStyle = ground;
    pen.fillRect(0, 0, 1000, 750);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    return [...new Uint8Array(await blob.arrayBuffer())];
  });
  await page.getByLabel("Key for pictures").fill(UPLOAD_KEY);
  const field = page.locator('.picture-field[data-slug="enamel-mug"]');
  await field.locator("input").setInputFiles({ name: "mug.png", mimeType: "image/png", buffer: Buffer.from(picture) });
  const shown = field.locator("img");
  const failed = field.getByRole("alert");
  await shown.or(failed).waitFor({ timeout: 60_000 });
  if (await failed.count()) throw new Error(await failed.textContent());
  await shown.evaluate((image) => image.decode());
  const admin = { width: await shown.evaluate((image) => image.naturalWidth) };

  const delivered = [];
  page.on("response", (response) => delivered.push(response));
  await page.goto(`${STOREFRONT}/products/enamel-mug`);
  const image = page.locator("img.picture");
  await image.evaluate((image) => image.decode());
  const address = await image.evaluate((image) => image.currentSrc);
  const response = delivered.find((response) => response.url() === address);
  const headers = await response.allHeaders();
  const storefront = {
    address,
    width: Number(new URL(address).searchParams.get("w")),
    type: headers["content-type"],
    sniff: headers["x-content-type-options"],
  };
  console.log(JSON.stringify({ admin, storefront }));
} finally {
  await browser.close();
}
