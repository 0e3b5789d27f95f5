"""What must be refused, and what must work, asked with the real boto3. Prints each case that is not so, and ends with their number."""

import base64
import hashlib
import os
import sys
import urllib.error
import urllib.request
import zlib

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ENDPOINT = os.environ["ENDPOINT"]
REGION = "eu-here-1"
SECRETS = {"ALL": "all-of-it", "MEDIA": "media-alone", "INBOX": "inbox-alone"}
failures = []


def client(key="ALL", secret=None, region=REGION, **config):
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret or SECRETS[key],
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, signature_version="s3v4", **config),
    )


def raw(method, url, data=None, headers=None):
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def signed(method, path, headers=None, data=b"", key="ALL", signer=None):
    """A request whose path goes out as it is, signed with the means of botocore."""
    request = AWSRequest(method=method, url=ENDPOINT + path, data=data, headers=headers or {})
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(data).hexdigest()

    class Verbatim(SigV4Auth):
        def _normalize_url_path(self, path):
            return path

        def payload(self, request):
            return request.headers["X-Amz-Content-SHA256"]

    (signer or Verbatim)(Credentials(key, SECRETS[key]), "s3", REGION).add_auth(request)
    return raw(method, request.url, data or None, dict(request.headers))


def address(method, path, expires=60, headers=None, key="ALL"):
    request = AWSRequest(method=method, url=ENDPOINT + path, headers=headers or {})
    S3SigV4QueryAuth(Credentials(key, SECRETS[key]), "s3", REGION, expires=expires).add_auth(request)
    return request.url


def check(name, got, *wanted):
    if got not in wanted:
        failures.append(name)
        print(f"FAILED {name}: {got!r}, not {wanted!r}")


def code(call, **arguments):
    try:
        return call(**arguments)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def name_of(call, **arguments):
    try:
        call(**arguments)
        return None
    except ClientError as error:
        return error.response["Error"]["Code"]


s3 = client()
media = client("MEDIA")
inbox = client("INBOX")
s3.put_object(Bucket="other", Key="top.txt", Body=b"secret of other")

# Keys that lead elsewhere where they are paths.
for path in ("/media/../other/top.txt", "/media/a/../../other/top.txt", "/media/a%00b"):
    check(f"GET {path}", signed("GET", path)[0], 400)
for path in ("/media/../other/evil.txt", "/media/../../s3outside/x", "/media/."):
    check(f"PUT {path}", signed("PUT", path, data=b"evil")[0], 400)
check("a key of 1,025 bytes", code(s3.put_object, Bucket="media", Key="k" * 1025, Body=b""), 400)
check("a key of 1,024 bytes", code(s3.put_object, Bucket="media", Key="k" * 1024, Body=b""), 200)
check("a key of 300 letters", code(s3.put_object, Bucket="media", Key="k" * 300, Body=b""), 200)
check("a/b.txt", code(s3.put_object, Bucket="media", Key="a/b.txt", Body=b"1"), 200)
check("a/b.txt/c", code(s3.put_object, Bucket="media", Key="a/b.txt/c", Body=b"2"), 200)
for key in ("caf\u00e9", "cafe\u0301", "a b+c&d=e?f#g%h", "\u65e5\u672c\u8a9e/\U0001f600", "<&>\"'", "a//b", "/lead", "trail/"):
    s3.put_object(Bucket="media", Key="names/" + key, Body=key.encode())
    check(f"key {key!r}", s3.get_object(Bucket="media", Key="names/" + key)["Body"].read(), key.encode())
listed = [line["Key"] for line in s3.list_objects_v2(Bucket="media", Prefix="names/")["Contents"]]
check("unicode is as it was", len(listed), 8)
check("in the order of bytes", listed, sorted(listed, key=str.encode))

# Addresses that somebody else was given.
form = {"content-type": "image/png", "content-length": "5"}
url = address("PUT", "/media/up.png", headers=form)
check("upload by an address", raw("PUT", url, b"12345", form)[0], 200)
check("another type", raw("PUT", url, b"12345", {**form, "content-type": "text/html"})[0], 403)
check("another length", raw("PUT", url, b"123456", {**form, "content-length": "6"})[0], 403)
check("turned into a copy", raw("PUT", url, b"12345", {**form, "x-amz-copy-source": "/other/top.txt"})[0], 403)
check("and nothing was copied", s3.get_object(Bucket="media", Key="up.png")["Body"].read(), b"12345")
for header in ("x-amz-acl", "x-amz-meta-a", "x-amz-tagging", "x-amz-content-sha256"):
    check(f"unsigned {header}", raw("PUT", url, b"12345", {**form, header: "private"})[0], 403)
check("a year", raw("GET", address("GET", "/media/up.png", expires=31_536_000))[0], 400)
check("30 days", raw("GET", address("GET", "/media/up.png", expires=2_592_000))[0], 400)
check("a second more than an hour", raw("GET", address("GET", "/media/up.png", expires=3601))[0], 400)
check("an hour", raw("GET", address("GET", "/media/up.png", expires=3600))[0], 200)
check("no time at all", raw("GET", address("GET", "/media/up.png", expires=0))[0], 400, 403)
check("dots in other letters", raw("GET", address("GET", "/media/../other/top.txt").replace("..", "%2e%2E"))[0], 400)
for some in ({}, {"content-type": "image/png"}, {"content-length": "5"}):
    check(f"an open upload, {some}", raw("PUT", address("PUT", "/media/open", headers=some), b"12345", form)[0], 403)
get = address("GET", "/media/up.png")
check("GET by an address", raw("GET", get)[0], 200)
check("as PUT", raw("PUT", get, b"x")[0], 403)
check("tampered", raw("GET", get[:-1] + ("0" if get[-1] != "0" else "1"))[0], 403)
check("of another key", raw("GET", get.replace("up.png", "a/b.txt"))[0], 403)
check("response headers that were not signed", raw("GET", get + "&response-content-type=text/html")[0], 403)
own = s3.generate_presigned_url("get_object", Params={"Bucket": "media", "Key": "up.png", "ResponseContentType": "text/x"}, ExpiresIn=60)
check("that were", raw("GET", own)[1]["content-type"], "text/x")
own = s3.generate_presigned_url("put_object", Params={"Bucket": "media", "Key": "b3", "ContentType": "text/a", "ContentLength": 3}, ExpiresIn=60)
check("boto3's own address", raw("PUT", own, b"abc", {"content-type": "text/a"})[0], 200)
stale = address("GET", "/media/up.png", expires=1)
import time
time.sleep(2.1)
check("expired", raw("GET", stale)[0], 403)

# Who may what.
check("nobody", raw("GET", ENDPOINT + "/media/up.png")[0], 403)
check("nobody, of nothing", raw("GET", ENDPOINT + "/media/nothing")[0], 403)
check("nobody, of no bucket", raw("GET", ENDPOINT + "/nowhere/nothing")[0], 403)
check("nobody lists", raw("GET", ENDPOINT + "/open")[0], 403)
check("nobody puts", raw("PUT", ENDPOINT + "/open/x", b"x")[0], 403)
s3.put_object(Bucket="open", Key="page.html", Body=b"hello", ContentType="text/html", CacheControl="max-age=9")
status, headers, body = raw("GET", ENDPOINT + "/open/page.html")
check("an open bucket", (status, body, headers["content-type"], headers["cache-control"]), (200, b"hello", "text/html", "max-age=9"))
check("is not sniffed", headers["x-content-type-options"], "nosniff")
check("overrides by nobody", raw("GET", ENDPOINT + "/open/page.html?response-content-type=a/b")[0], 400)
check("wrong secret", name_of(client("ALL", "wrong").list_objects_v2, Bucket="media"), "SignatureDoesNotMatch")
check("unknown key", name_of(client("NOBODY", "x").list_objects_v2, Bucket="media"), "InvalidAccessKeyId")
check("another region", code(client(region="us-west-2").list_objects_v2, Bucket="media"), 400)
for bucket in ("other", "nowhere"):
    for key in ("top.txt", "nothing"):
        check(f"{bucket}/{key} by a key that may not", name_of(media.get_object, Bucket=bucket, Key=key), "AccessDenied")
        check(f"delete {bucket}/{key}", name_of(media.delete_object, Bucket=bucket, Key=key), "AccessDenied")
    check(f"list {bucket}", name_of(media.list_objects_v2, Bucket=bucket), "AccessDenied")
    check(f"head {bucket}", code(media.head_bucket, Bucket=bucket), 403)
check("a copy of what one may not read", name_of(media.copy_object, Bucket="media", Key="x", CopySource="other/top.txt"), "AccessDenied")
check("a copy that one may", code(s3.copy_object, Bucket="media", Key="copied", CopySource="other/top.txt"), 200)
check("buckets of a key", [bucket["Name"] for bucket in media.list_buckets()["Buckets"]], ["media"])
check("a bucket that is granted and not there", name_of(s3.list_objects_v2, Bucket="gone"), "NoSuchBucket")
check("inbox puts", code(inbox.put_object, Bucket="media", Key="in/a", Body=b"x"), 200)
check("inbox does not read it", name_of(inbox.get_object, Bucket="media", Key="in/a"), "AccessDenied")
check("inbox does not delete it", name_of(inbox.delete_object, Bucket="media", Key="in/a"), "AccessDenied")
check("inbox puts elsewhere", name_of(inbox.put_object, Bucket="media", Key="inn", Body=b"x"), "AccessDenied")
check("inbox lists all", name_of(inbox.list_objects_v2, Bucket="media"), "AccessDenied")
check("inbox lists its own", code(inbox.list_objects_v2, Bucket="media", Prefix="out/"), 200)
answer = inbox.delete_objects(Bucket="media", Delete={"Objects": [{"Key": "in/a"}]})
check("inbox deletes many", answer["Errors"][0]["Code"], "AccessDenied")

# Conditions, ranges, metadata.
etag = s3.put_object(Bucket="media", Key="c", Body=b"0123456789", ContentType="text/plain", ContentEncoding="gzip",
                     ContentDisposition="attachment", ContentLanguage="de", Metadata={"colour": "blau"})["ETag"]
check("ETag is MD5", etag, '"' + hashlib.md5(b"0123456789").hexdigest() + '"')
check("GET If-None-Match", code(s3.get_object, Bucket="media", Key="c", IfNoneMatch=etag), 304)
check("GET If-Match", code(s3.get_object, Bucket="media", Key="c", IfMatch='"other"'), 412)
head = s3.head_object(Bucket="media", Key="c")
check("modified since", code(s3.get_object, Bucket="media", Key="c", IfModifiedSince=head["LastModified"]), 304)
check("unmodified since", code(s3.get_object, Bucket="media", Key="c", IfUnmodifiedSince=head["LastModified"].replace(year=2001)), 412)
check("metadata", (head["Metadata"], head["ContentLanguage"], head["ContentEncoding"], head["ContentLength"]), ({"colour": "blau"}, "de", "gzip", 10))
ranged = s3.get_object(Bucket="media", Key="c", Range="bytes=2-4")
check("range", (ranged["Body"].read(), ranged["ContentRange"]), (b"234", "bytes 2-4/10"))
check("suffix", s3.get_object(Bucket="media", Key="c", Range="bytes=-3")["Body"].read(), b"789")
check("range beyond", name_of(s3.get_object, Bucket="media", Key="c", Range="bytes=10-"), "InvalidRange")
check("PUT If-None-Match", name_of(s3.put_object, Bucket="media", Key="c", Body=b"x", IfNoneMatch="*"), "PreconditionFailed")
check("PUT If-None-Match, new", code(s3.put_object, Bucket="media", Key="c2", Body=b"x", IfNoneMatch="*"), 200)
check("PUT If-Match", name_of(s3.put_object, Bucket="media", Key="c", Body=b"x", IfMatch='"other"'), "PreconditionFailed")
check("PUT If-Match, right", code(s3.put_object, Bucket="media", Key="c", Body=b"x", IfMatch=etag), 200)
check("2 KiB of metadata and more", name_of(s3.put_object, Bucket="media", Key="m", Body=b"", Metadata={"a": "x" * 2048}), "MetadataTooLarge")
check("no object", name_of(s3.get_object, Bucket="media", Key="nothing"), "NoSuchKey")
check("delete of nothing", code(s3.delete_object, Bucket="media", Key="nothing"), 204)
replaced = s3.copy_object(Bucket="media", Key="c2", CopySource="media/c", MetadataDirective="REPLACE", ContentType="a/b")
check("copy with other metadata", s3.head_object(Bucket="media", Key="c2")["ContentType"], "a/b")
check("copy onto itself", name_of(s3.copy_object, Bucket="media", Key="c", CopySource="media/c"), "InvalidRequest")

# Digests of what is sent.
md5 = base64.b64encode(hashlib.md5(b"right").digest()).decode()
check("content-md5", signed("PUT", "/media/d", {"content-md5": md5}, b"right")[0], 200)
check("content-md5 of another", signed("PUT", "/media/d", {"content-md5": md5}, b"wrong")[0], 400)
crc = base64.b64encode(zlib.crc32(b"right").to_bytes(4, "big")).decode()
check("crc32", signed("PUT", "/media/d", {"x-amz-checksum-crc32": crc}, b"right")[0], 200)
check("crc32 of another", signed("PUT", "/media/d", {"x-amz-checksum-crc32": crc}, b"wrong")[0], 400)
check("a checksum that nobody knows", signed("PUT", "/media/d", {"x-amz-checksum-md6": crc}, b"right")[0], 501)
for algorithm in ("CRC32", "SHA1", "SHA256"):
    check(algorithm, code(s3.put_object, Bucket="media", Key="d", Body=b"abc", ChecksumAlgorithm=algorithm), 200)
    whole = s3.get_object(Bucket="media", Key="d", ChecksumMode="ENABLED")
    check(f"{algorithm} comes back", "Checksum" + algorithm in whole and whole["Body"].read() == b"abc", True)

# Lists.
for number in range(25):
    s3.put_object(Bucket="media", Key=f"page/{number // 5}/{number:02}", Body=b"")
pages = s3.get_paginator("list_objects_v2").paginate(Bucket="media", Prefix="page/", PaginationConfig={"PageSize": 7})
check("pages", len([line for page in pages for line in page["Contents"]]), 25)
for operation in ("list_objects_v2", "list_objects"):
    pages = list(s3.get_paginator(operation).paginate(Bucket="media", Prefix="page/", Delimiter="/", PaginationConfig={"PageSize": 2}))
    prefixes = [prefix["Prefix"] for page in pages for prefix in page.get("CommonPrefixes", [])]
    check(f"{operation} with a delimiter", prefixes, [f"page/{number}/" for number in range(5)])
after = s3.list_objects_v2(Bucket="media", Prefix="page/", StartAfter="page/4/22")
check("start-after", [line["Key"] for line in after["Contents"]], ["page/4/23", "page/4/24"])
deleted = s3.delete_objects(Bucket="media", Delete={"Objects": [{"Key": f"page/0/{number:02}"} for number in range(5)]})
check("delete many", len(deleted["Deleted"]), 5)
check("a token of another store", code(s3.list_objects_v2, Bucket="media", ContinuationToken="what"), 400)

# Parts.
big = os.urandom(12 << 20)
config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
s3.upload_fileobj(__import__("io").BytesIO(big), "media", "big", Config=config)
check("parts", s3.get_object(Bucket="media", Key="big")["Body"].read() == big, True)
check("ETag of parts", s3.head_object(Bucket="media", Key="big")["ETag"].endswith('-3"'), True)
upload = s3.create_multipart_upload(Bucket="media", Key="parts")["UploadId"]
part = s3.upload_part(Bucket="media", Key="parts", UploadId=upload, PartNumber=1, Body=b"one")
check("list of parts", [part["PartNumber"] for part in s3.list_parts(Bucket="media", Key="parts", UploadId=upload)["Parts"]], [1])
check("list of uploads", [one["Key"] for one in s3.list_multipart_uploads(Bucket="media")["Uploads"]], ["parts"])
check("not there before its end", name_of(s3.get_object, Bucket="media", Key="parts"), "NoSuchKey")
wrong = {"Parts": [{"PartNumber": 1, "ETag": '"wrong"'}]}
check("a part that is another", name_of(s3.complete_multipart_upload, Bucket="media", Key="parts", UploadId=upload, MultipartUpload=wrong), "InvalidPart")
copied = s3.upload_part_copy(Bucket="media", Key="parts", UploadId=upload, PartNumber=2, CopySource="media/big", CopySourceRange="bytes=0-9")
two = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}, {"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]}]}
check("a part that is too small", name_of(s3.complete_multipart_upload, Bucket="media", Key="parts", UploadId=upload, MultipartUpload=two), "EntityTooSmall")
check("a copy of a part of what one may not read", name_of(media.upload_part_copy, Bucket="media", Key="parts", UploadId=upload, PartNumber=3, CopySource="other/top.txt"), "AccessDenied")
check("abort", code(s3.abort_multipart_upload, Bucket="media", Key="parts", UploadId=upload), 204)
check("and again", name_of(s3.abort_multipart_upload, Bucket="media", Key="parts", UploadId=upload), "NoSuchUpload")
for algorithm, kind in (("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE")):
    upload = s3.create_multipart_upload(Bucket="media", Key="summed", ChecksumAlgorithm=algorithm, ChecksumType=kind)["UploadId"]
    pieces = [big[: 5 << 20], big[5 << 20 : 5_300_000]]
    sent = []
    for number, piece in enumerate(pieces, 1):
        part = s3.upload_part(Bucket="media", Key="summed", UploadId=upload, PartNumber=number, Body=piece, ChecksumAlgorithm=algorithm)
        sent.append({"PartNumber": number, "ETag": part["ETag"], "Checksum" + algorithm: part["Checksum" + algorithm]})
    wrong = [sent[0], {**sent[1], "Checksum" + algorithm: sent[0]["Checksum" + algorithm]}]
    check(f"{algorithm} {kind}, wrong", name_of(s3.complete_multipart_upload, Bucket="media", Key="summed", UploadId=upload, MultipartUpload={"Parts": wrong}), "InvalidPart")
    extra = {}
    if kind == "FULL_OBJECT":
        extra = {"ChecksumType": kind, "ChecksumCRC32": crc}
        check(f"{kind} of another", name_of(s3.complete_multipart_upload, Bucket="media", Key="summed", UploadId=upload, MultipartUpload={"Parts": sent}, **extra), "BadDigest")
        extra["ChecksumCRC32"] = base64.b64encode(zlib.crc32(big[:5_300_000]).to_bytes(4, "big")).decode()
    done = s3.complete_multipart_upload(Bucket="media", Key="summed", UploadId=upload, MultipartUpload={"Parts": sent}, **extra)
    check(f"{algorithm} {kind}", done["ChecksumType"], kind)
    check("complete again", code(s3.complete_multipart_upload, Bucket="media", Key="summed", UploadId=upload, MultipartUpload={"Parts": sent}), 200)
    check("of another key", name_of(s3.complete_multipart_upload, Bucket="media", Key="big", UploadId=upload, MultipartUpload={"Parts": sent}), "NoSuchUpload")
    whole = s3.get_object(Bucket="media", Key="summed", ChecksumMode="ENABLED")
    check(f"{algorithm} {kind} comes back", (whole["ChecksumType"], whole["Body"].read() == big[:5_300_000]), (kind, True))

# Over their quota, and what is not done here.
check("quota", name_of(s3.put_object, Bucket="small", Key="a", Body=b"x" * 100_001), "QuotaExceeded")
check("under it", code(s3.put_object, Bucket="small", Key="a", Body=b"x" * 100_000), 200)
check("one byte more", name_of(s3.put_object, Bucket="small", Key="b", Body=b"x"), "QuotaExceeded")
for call, arguments in (
    (s3.get_bucket_versioning, {}),
    (s3.get_bucket_acl, {}),
    (s3.get_bucket_policy, {}),
    (s3.get_object_tagging, {"Key": "c"}),
    (s3.put_object_acl, {"Key": "c", "ACL": "public-read"}),
    (s3.delete_bucket, {}),
):
    check(f"{call.__name__}", code(call, Bucket="media", **arguments), 501)
check("acl of an object", code(s3.put_object, Bucket="media", Key="c", Body=b"", ACL="public-read"), 501)
check("encryption that is not there", code(s3.put_object, Bucket="media", Key="c", Body=b"", ServerSideEncryption="AES256"), 501)
check("location", s3.get_bucket_location(Bucket="media")["LocationConstraint"], REGION)
check("head of a bucket", code(s3.head_bucket, Bucket="media"), 200)
check("a bucket that is there is not made", name_of(s3.create_bucket, Bucket="media", CreateBucketConfiguration={"LocationConstraint": REGION}), "BucketAlreadyOwnedByYou")

# Pages of other origins.
question = {"Origin": "https://shop.example", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
status, headers, _ = raw("OPTIONS", ENDPOINT + "/media/up.png", headers=question)
check("a page of the shop", (status, headers["access-control-allow-origin"], headers["access-control-allow-methods"]), (200, "https://shop.example", "PUT"))
for bucket, origin in (("media", "https://evil.example"), ("other", "https://shop.example"), ("nowhere", "https://shop.example")):
    check(f"a page of {origin}, {bucket}", raw("OPTIONS", f"{ENDPOINT}/{bucket}/x", headers={**question, "Origin": origin})[0], 403)
_, headers, _ = raw("GET", get, headers={"Origin": "https://shop.example"})
check("may read the answer", headers["access-control-allow-origin"], "https://shop.example")
_, headers, _ = raw("GET", get, headers={"Origin": "https://evil.example"})
check("and nobody else", headers["access-control-allow-origin"], None)

print(f"{len(failures)} failures")
sys.exit(bool(failures))
