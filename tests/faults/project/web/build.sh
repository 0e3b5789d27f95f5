mkdir -p dist && cp server.js dist/
