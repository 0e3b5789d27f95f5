// Loaded by Node before the app: takes the variables that whoever started the container says on its standard input, so that they are
// in no configuration that `docker inspect` shows. Only the first process is told to; what it starts inherits them as any variable.
"use strict";
if (process.env.ROADBED_GIVEN === "stdin") {
    delete process.env.ROADBED_GIVEN;
    let given;
    try {
        given = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    } catch {
        // Whoever was to say them died: who comes next starts it again. 75 is EX_TEMPFAIL.
        process.stderr.write("roadbed: the variables did not arrive\n");
        process.exit(75);
    }
    Object.assign(process.env, given);
}
