// AWS's own SDK, as an app would use it: puts, gets, streams of unknown length, and an address for somebody else's upload.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Readable } from "node:stream";

const require = createRequire(`${process.env.PACKAGES}/`);
const { DeleteObjectsCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } = require("@aws-sdk/client-s3");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const settings = {
  endpoint: process.env.ENDPOINT,
  region: "eu-here-1",
  forcePathStyle: true,
  credentials: { accessKeyId: "MEDIA", secretAccessKey: "media-alone" },
};
const s3 = new S3Client(settings);
const Bucket = "media";

await s3.send(new PutObjectCommand({ Bucket, Key: "js/a", Body: "hello", ContentType: "text/plain", Metadata: { colour: "blue" } }));
const got = await s3.send(new GetObjectCommand({ Bucket, Key: "js/a" }));
assert.equal(await got.Body.transformToString(), "hello");
assert.deepEqual([got.ContentType, got.Metadata.colour], ["text/plain", "blue"]);

// A stream has no checksum beforehand: it comes behind the content, in chunks.
const large = Buffer.alloc(300_000, "0123456789");
await s3.send(new PutObjectCommand({ Bucket, Key: "js/stream", Body: Readable.from([large]), ContentLength: large.length }));
const back = await s3.send(new GetObjectCommand({ Bucket, Key: "js/stream" }));
assert.deepEqual(Buffer.from(await back.Body.transformToByteArray()), large);

// Without a checksum of what is not known yet, and with type and length signed.
const signer = new S3Client({ ...settings, requestChecksumCalculation: "WHEN_REQUIRED" });
const upload = new PutObjectCommand({ Bucket, Key: "js/up", ContentType: "image/png", ContentLength: 5 });
const url = await getSignedUrl(signer, upload, { expiresIn: 60, signableHeaders: new Set(["content-type", "content-length"]) });
const put = (body, type) => fetch(url, { method: "PUT", body, headers: { "content-type": type } });
assert.equal((await put("12345", "text/html")).status, 403);
assert.equal((await put("123456", "image/png")).status, 403);
assert.equal((await put("12345", "image/png")).status, 200);
const open = await getSignedUrl(signer, upload, { expiresIn: 60 });
assert.equal((await fetch(open, { method: "PUT", body: "12345" })).status, 403);
const read = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: "js/up" }), { expiresIn: 60 });
assert.equal(await (await fetch(read)).text(), "12345");

const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "js/" }));
assert.deepEqual(Contents.map((one) => one.Key), ["js/a", "js/stream", "js/up"]);
const gone = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: Contents.map(({ Key }) => ({ Key })) } }));
assert.equal(gone.Deleted.length, 3);
