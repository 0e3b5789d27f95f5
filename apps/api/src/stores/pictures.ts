/** Pictures of products: kept in object storage, which browsers send them to, and delivered by the infrastructure in any size. */
import { randomUUID } from "node:crypto";
import { AwsClient } from "aws4fetch";
import { within } from "../deadline.ts";
import { type Pictures, StoreUnavailable } from "../shop.ts";

/** What object storage signs for where nobody says a region. */
const REGION = "us-east-1";
/** Long enough for a telephone on a train. */
const OFFER_SECONDS = 600;
// A picture of 20 megabytes is decoded in some seconds.
const CHECK_TIMEOUT_MS = 15_000;
const OPERATION_TIMEOUT_MS = 5_000;

export interface PictureStorage {
  /** Where this process speaks S3. */
  endpoint: string;
  /** Where browsers do. */
  publicEndpoint: string;
  /** Where pictures are delivered. */
  url: string;
  /** The same, for this process. */
  internalUrl: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
}

export function createPictures(storage: PictureStorage): Pictures {
  const { accessKeyId, secretAccessKey, bucket } = storage;
  const client = new AwsClient({ accessKeyId, secretAccessKey, service: "s3", region: REGION, retries: 0 });

  const reach = async (timeout: number, operation: () => Promise<Response>): Promise<Response> => {
    try {
      const response = await within(timeout, operation);
      if (response.status >= 500) throw new Error(`it answered ${response.status}`);
      return response;
    } catch (error) {
      throw new StoreUnavailable("object storage", error);
    }
  };

  return {
    offer: async (slug, type, bytes) => {
      const key = `products/${slug}/${randomUUID().replaceAll("-", "")}`;
      const url = new URL(`/${bucket}/${key}`, storage.publicEndpoint);
      url.searchParams.set("X-Amz-Expires", String(OFFER_SECONDS));
      const headers = { "content-type": type, "content-length": String(bytes) };
      // Type and length are signed: nobody sends another thing with it, or more.
      const signed = await client.sign(url.toString(), {
        method: "PUT",
        headers,
        aws: { signQuery: true, allHeaders: true },
      });
      return { key, url: signed.url, headers: { "content-type": type } };
    },

    isPicture: async (key) => {
      // Whoever delivers it decodes it: what does not become a picture there is none.
      const url = new URL(`/${bucket}/${key}`, storage.internalUrl);
      url.searchParams.set("w", "160");
      const response = await reach(CHECK_TIMEOUT_MS, () => fetch(url, { headers: { accept: "image/jpeg" } }));
      await response.body?.cancel();
      return response.ok && (response.headers.get("content-type") ?? "").startsWith("image/");
    },

    remove: async (key) => {
      const url = new URL(`/${bucket}/${key}`, storage.endpoint);
      const response = await reach(OPERATION_TIMEOUT_MS, () => client.fetch(url.toString(), { method: "DELETE" }));
      await response.body?.cancel();
    },

    urlOf: (key) => new URL(`/${bucket}/${key}`, storage.url).toString(),
  };
}
