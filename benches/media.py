#!/usr/bin/env python3
"""Pictures per core beside sharp (libvips), in one run: a JPEG of 12 megapixels to 640 and 1600 pixels, as JPEG and as WebP.

    cargo build --profile dist -p roadbed-media --example media
    python3 benches/media.py [--program FILE] [--picture FILE] [--rounds N] [--times N]

sharp comes from npm into the cache folder. Both decode, resize with Lanczos and encode in one thread (libvips' own cache off), the same
quality, colour of half the width and height, optimised Huffman tables. What is counted is time of the processor, user and system, of
N pictures in a process that is warm; rounds are shuffled. The bar is 1.2 times sharp's pictures per core. The last columns say what
was paid for it: bytes, and the distance (PSNR, more is better) to the same picture resized by libvips without loss.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
QUALITY = 75

SHARP = """
const sharp = require('sharp');
const fs = require('fs');
sharp.concurrency(1);
sharp.cache(false);
const make = (file, width, format, quality) => sharp(file).rotate().resize(width)[format]({ quality }).toBuffer();
const tasks = {
  // Blots of every size with the grain of a sensor: about as many bytes as a photograph.
  async picture(file) {
    let seed = 7;
    const next = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32;
    const layer = async (width, height, swing) => {
      const data = Uint8Array.from({ length: width * height * 3 }, () => 128 + (next() - 0.5) * swing);
      return sharp(data, { raw: { width, height, channels: 3 } }).resize(4000, 3000, { kernel: 'cubic', fit: 'fill' }).png().toBuffer();
    };
    const layers = [];
    for (const [width, swing] of [[16, 200], [80, 140], [400, 70], [1000, 40], [4000, 16]]) {
      layers.push(await layer(width, width * 3 / 4, swing));
    }
    const [first, ...rest] = layers;
    const composed = await sharp(first).composite(rest.map(input => ({ input, blend: 'overlay' }))).png({ compressionLevel: 0 }).toBuffer();
    await sharp(composed).jpeg({ quality: 88 }).toFile(file);
  },
  async render(file, width, format, quality, times, output) {
    let made = await make(file, +width, format, +quality);
    const before = process.cpuUsage();
    for (let i = 0; i < +times; i++) made = await make(file, +width, format, +quality);
    const used = process.cpuUsage(before);
    fs.writeFileSync(output, made);
    console.log((used.user + used.system) / 1000 / +times);
  },
  async distance(file, width, output) {
    // Decoded whole first, so that nothing is scaled on load.
    const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
    const whole = await sharp(data, { raw: info }).resize(+width).raw().toBuffer();
    const made = await sharp(output).removeAlpha().raw().toBuffer();
    let sum = 0;
    for (let i = 0; i < whole.length; i++) sum += (whole[i] - made[i]) ** 2;
    console.log(10 * Math.log10(255 ** 2 / (sum / whole.length)));
  },
};
tasks[process.argv[2]](...process.argv.slice(3)).catch(error => { console.error(error); process.exit(1); });
"""


def sharp_folder():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "roadbed/benches/sharp"
    if not (cache / "node_modules/sharp").is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(cache), "sharp@0.35"], check=True)
    return cache


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=str(REPOSITORY / "target/dist/examples/media"))
    parser.add_argument("--picture", help="a JPEG of one's own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=10)
    asked = parser.parse_args()
    folder = sharp_folder()
    script = folder / "bench.cjs"
    script.write_text(SHARP)

    def sharp(*args):
        return subprocess.run(["node", str(script), *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout

    def ours(*args):
        return subprocess.run([asked.program, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout

    with tempfile.TemporaryDirectory() as place:
        picture = asked.picture or f"{place}/picture.jpg"
        if not asked.picture:
            sharp("picture", picture)
        version = json.loads((folder / "node_modules/sharp/package.json").read_text())["version"]
        print(f"{os.path.getsize(picture):,} bytes of JPEG; sharp {version}\n")
        print("| to | sharp, ms of the processor | ours | pictures per core | bytes, sharp and ours | PSNR, sharp and ours |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for width in (640, 1600):
            for form in ("jpeg", "webp"):
                found = {"sharp": [], "ours": []}
                for _ in range(asked.rounds):
                    parts = [("sharp", sharp), ("ours", ours)]
                    random.shuffle(parts)
                    for name, run in parts:
                        said = run("render", picture, width, form, QUALITY, asked.times, f"{place}/{name}")
                        found[name].append(float(said))
                theirs, mine = (statistics.median(found[name]) for name in ("sharp", "ours"))
                sizes = [os.path.getsize(f"{place}/{name}") for name in ("sharp", "ours")]
                distances = [float(sharp("distance", picture, width, f"{place}/{name}")) for name in ("sharp", "ours")]
                print(
                    f"| {width} {form} | {theirs:.1f} | {mine:.1f} | {theirs / mine:.2f} x | {sizes[0]:,} / {sizes[1]:,} "
                    f"| {distances[0]:.1f} / {distances[1]:.1f} dB |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
