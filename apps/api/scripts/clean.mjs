// A file deleted from src must not live on in dist: tsc never removes what it no longer writes.
import { rmSync } from "node:fs";

rmSync(new URL("../dist", import.meta.url), { recursive: true, force: true });
