// Reads what the manifest declares, whichever server a test puts beside it.
exports.secret = process.env.SESSION_SECRET;
