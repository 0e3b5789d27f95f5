"""Pictures by an encoder that is not ours, into the folder that is named."""

import pathlib
import struct
import sys
import zlib

from PIL import Image

folder = pathlib.Path(sys.argv[1])
RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 160, 60), (30, 60, 200), (250, 250, 250)


def quarters(width, height):
    picture = Image.new("RGB", (width, height))
    for colour, at in ((RED, (0, 0)), (GREEN, (width // 2, 0)), (BLUE, (0, height // 2)), (WHITE, (width // 2, height // 2))):
        picture.paste(Image.new("RGB", (width // 2, height // 2), colour), at)
    return picture


upright = quarters(1200, 800)
upright.save(folder / "quarters.jpg", quality=92)
upright.save(folder / "progressive.jpg", quality=92, progressive=True, subsampling=0)
upright.save(folder / "quarters.png")
upright.save(folder / "quarters.webp", quality=90)
upright.convert("L").save(folder / "grey.jpg", quality=92)
upright.convert("CMYK").save(folder / "cmyk.jpg", quality=95)

# Stored so that it is upright once it is turned as the number says.
stored = {1: None, 2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM, 5: Image.TRANSPOSE,
          6: Image.ROTATE_90, 7: Image.TRANSVERSE, 8: Image.ROTATE_270}
for number, method in stored.items():
    exif = Image.Exif()
    exif[0x0112] = number
    exif[0x010E] = "a secret place"
    turned = upright if method is None else upright.transpose(method)
    turned.save(folder / f"turned{number}.jpg", quality=92, exif=exif)
    if number == 6:
        turned.save(folder / "turned6.webp", quality=90, exif=exif)
        turned.save(folder / "turned6.png", exif=exif)

for name, size in (("odd", (333, 217)), ("thin", (2000, 1)), ("dot", (1, 1))):
    Image.new("RGB", size, RED).save(folder / f"{name}.jpg", quality=92)

frames = [Image.new("RGB", (300, 200), colour) for colour in (RED, BLUE)]
frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:], duration=100, loop=0)
frames[0].save(folder / "animated.webp", save_all=True, append_images=frames[1:], duration=100, loop=0, lossless=True)
frames[0].save(folder / "animated.png", save_all=True, append_images=frames[1:], duration=100, loop=0)

half = Image.new("RGBA", (300, 200), (*BLUE, 0))
half.paste(Image.new("RGBA", (150, 200), (*RED, 255)), (0, 0))
half.save(folder / "half.png")
half.save(folder / "half.webp", lossless=True)
half.convert("P").save(folder / "palette.png", transparency=0)
Image.new("I;16", (64, 64), 40000).save(folder / "deep.png")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


# 100 megapixels in a hundred kilobytes.
(folder / "bomb.png").write_bytes(png(10_000, 10_000, chunk(b"IDAT", zlib.compress(b"\0" * 100_010_000, 1))))
# A small picture with a profile, and one with a text, of 200 megabytes in 200 kilobytes.
pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 64) * 64))
large = zlib.compress(b"\0" * 200_000_000, 1)
(folder / "profile-bomb.png").write_bytes(png(64, 64, chunk(b"iCCP", b"icc\0\0" + large), pixels))
(folder / "text-bomb.png").write_bytes(png(64, 64, chunk(b"zTXt", b"text\0\0" + large), pixels))
# It says that it is larger than it is.
(folder / "liar.png").write_bytes(png(4000, 4000, pixels))
