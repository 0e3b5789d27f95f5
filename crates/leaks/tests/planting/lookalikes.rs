//! What stands in repositories, looks random or bears the name of a secret, and opens nothing.

use super::example::{Dice, make};

/// Lines by the kind of file that they stand in; `{…}` parts are random, as in the examples of rules.
const LINES: &[(&str, &[&str])] = &[
    (
        "ids.json",
        &[
            r#"{"id": "{uuid}", "requestId": "{uuid}", "orderId": "{hex:24}"}"#,
            r#"{"commit": "{hex:40}", "etag": "{hex:32}", "digest": "sha256:{hex:64}"}"#,
            r#"{"ulid": "01{uppernum:24}", "cursor": "{b64:40}", "nextPage": "{b64:64}"}"#,
        ],
    ),
    (
        "package-lock.json",
        &[
            r#"      "resolved": "https://packages.internal/react/-/react-19.0.0.tgz","#,
            r#"      "integrity": "sha512-{b64:86}==","#,
            r#"    "node_modules/js-tokens": { "version": "4.0.0", "integrity": "sha512-{b64:86}==" },"#,
            r#"    "node_modules/token-types": { "version": "6.0.0" }"#,
        ],
    ),
    (
        "Cargo.lock",
        &[
            "checksum = \"{hex:64}\"",
            "name = \"secrecy\"",
            "source = \"git+https://git.internal/x?rev={hex:8}#{hex:40}\"",
        ],
    ),
    (
        "yarn.lock",
        &[
            "tokenizer@^1.0.0:",
            "  resolved \"https://packages.internal/tokenizer/-/tokenizer-1.0.0.tgz#{hex:40}\"",
            "  integrity sha512-{b64:86}==",
        ],
    ),
    ("go.sum", &["example.internal/tokens v1.2.3 h1:{b64:43}=", "example.internal/tokens v1.2.3/go.mod h1:{b64:43}="]),
    (
        "auth.ts",
        &[
            "const token = process.env.SESSION_TOKEN;",
            "const secret = process.env.PAYMENT_SECRET_KEY2 ?? '';",
            "const apiKey = config.get('payment.apiKey');",
            "const password = await promptForPassword({ message: 'Password:' });",
            "headers: { Authorization: `Bearer ${accessToken}` },",
            "if (token === undefined) throw new Error('token is missing');",
            "const accessToken = response.data.accessToken2;",
            "export const TOKEN_EXPIRY_SECONDS = 3600;",
            "const tokens = tokenize(source, { ecmaVersion: 2024 });",
            "type Credentials = { username: string; password: string };",
            "password: z.string().min(8).max(128),",
            "const secretName = 'my-app-tls-secret2';",
            "const key = `user:${id}:token`;",
            "import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';",
            "expect(hash('password123')).toBe('{hex:64}');",
            "const csrfToken = document.querySelector('meta[name=csrf-token]');",
            "const API_KEY_HEADER = 'X-Api-Key';",
            "passwordHash: await bcrypt.hash(password, 12),",
            "const url = `mongodb://${user}:${password}@${host}/shop`;",
            "const url = 'redis://:' + encodeURIComponent(password) + '@' + host;",
        ],
    ),
    (
        ".env.example",
        &[
            "STRIPE_SECRET_KEY=sk_live_your_key_here",
            "STRIPE_SECRET_KEY=sk_test_xxxxxxxxxxxxxxxxxxxxxxxx",
            "SESSION_SECRET=change-me-to-a-long-random-string",
            "JWT_SECRET=<32 random bytes>",
            "DATABASE_URL=postgres://user:password@localhost:5432/shop",
            "MONGODB_URI=mongodb://root:example@localhost:27017",
            "REDIS_URL=redis://:password@localhost:6379",
            "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "API_KEY=",
            "API_KEY=your-api-key-1234",
            "SECRET_TOKEN=${SECRET_TOKEN}",
            "SMTP_PASSWORD=********",
        ],
    ),
    (
        "values.yaml",
        &[
            "    secretKeyRef: { name: shop-secrets1, key: session-secret }",
            "  existingSecret: shop-credentials-v2",
            "  passwordSecretName: db-password-2026",
            "  image: registry.internal/shop@sha256:{hex:64}",
            "  tokenReviewUrl: https://cluster.internal/apis/authentication.k8s.io/v1/tokenreviews",
            "  token: {{ .Values.api.token | quote }}",
            "  adminPassword: \"{{ randAlphaNum 32 }}\"",
            "  annotations: { checksum/config: {hex:64} }",
        ],
    ),
    (
        "deploy.yml",
        &[
            "      token: ${{ secrets.DEPLOY_TOKEN }}",
            "      - uses: actions/checkout@{hex:40}",
            "        env: { NPM_TOKEN: '${{ secrets.NPM_TOKEN }}' }",
            "      key: ${{ runner.os }}-node-${{ hashFiles('package-lock.json') }}",
        ],
    ),
    (
        "main.tf",
        &[
            "  token     = var.cloudflare_api_token",
            "  password  = random_password.database.result",
            "  secret_id = aws_secretsmanager_secret.shop.id",
            "  api_key   = data.vault_generic_secret.shop.data[\"api_key\"]",
        ],
    ),
    (
        "en.json",
        &[
            r#"{"login": {"password": "Enter your password", "token": "Paste the 6-digit token from your phone"}}"#,
            r#"{"forgotPassword": "Forgot-your-password?", "secretQuestion": "Your secret question"}"#,
            r#"{"apiKey": "API key", "passwordTooShort": "At least 12 characters"}"#,
        ],
    ),
    (
        "login.html",
        &[
            r#"<input type="password" name="password" autocomplete="current-password" minlength="12">"#,
            r#"<meta name="csrf-token" content="">"#,
            r#"<script src="/assets/app.{hex:8}.js" integrity="sha384-{b64:64}"></script>"#,
            r#"<img src="data:image/png;base64,iVBORw0KGgo{b64:300}">"#,
        ],
    ),
    (
        "README.md",
        &[
            "Set `SESSION_SECRET` to the output of `openssl rand -hex 32`.",
            "curl -H \"Authorization: Bearer $TOKEN\" https://api.internal/v1/orders",
            "curl -u \"$USER:$PASSWORD\" https://api.internal/",
            "Keys of the live mode begin with `sk_live_`, those of the test mode with `sk_test_`.",
            "The token is read from `/run/secrets/api_token2` when `API_TOKEN_FILE` is set.",
            "git clone https://<user>:<token>@git.internal/shop.git",
            "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore.",
            "Fixed in {hex:40} and {hex:7}, see also {uuid}.",
        ],
    ),
    (
        "keys.pub",
        &[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{b64:43} anna@shop",
            "-----BEGIN PUBLIC KEY-----\n{b64:64}\n{b64:64}\n-----END PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----\n{b64:64}\n{b64:64}\n{b64:64}\n-----END CERTIFICATE-----",
            "age1{lowernum:58}",
            "RWQ{b64:53}",
        ],
    ),
    (
        "styles.css",
        &[
            ".a{color:#{hex:6}}.b{background:url(data:font/woff2;base64,d09GMgABAAAAA{b64:400})}",
            "/*# sourceMappingURL=app.{hex:16}.css.map */",
        ],
    ),
    (
        "access.log",
        &[
            r#"10.0.0.7 - - [23/Nov/2026:10:00:00 +0000] "GET /orders/{hex:24}?page=2 HTTP/1.1" 200 512 "-" "Mozilla/5.0" {uuid}"#,
            r#"{"level":"info","traceId":"{hex:32}","spanId":"{hex:16}","msg":"token refreshed","userId":"{uuid}"}"#,
            "INFO password changed for user {uuid}",
        ],
    ),
    (
        "schema.sql",
        &[
            "  password_hash text NOT NULL CHECK (length(password_hash) = 60),",
            "INSERT INTO migrations VALUES ('20260101_add_token_column', '{hex:64}');",
            "CREATE INDEX idx_api_key_prefix ON api_keys (prefix);",
        ],
    ),
    (
        "settings.py",
        &[
            "PASSWORD_HASHERS = ['django.contrib.auth.hashers.Argon2PasswordHasher']",
            "SECRET_KEY = os.environ['DJANGO_SECRET_KEY']",
            "AUTH_TOKEN_CLASSES = ('rest_framework_simplejwt.tokens.AccessToken',)",
            "AWS_SECRET_ACCESS_KEY = env.str('AWS_SECRET_ACCESS_KEY')",
        ],
    ),
    (
        "main.rs",
        &[
            "let secret = Secret::new(std::env::var(\"SESSION_SECRET\")?);",
            "pub const TOKEN_BYTES: usize = 32;",
            "let token = tokens.next_token().ok_or(Fault::EndOfInput)?;",
            "    let key: [u8; 32] = hkdf(&secret, b\"roadbed session v1\");",
        ],
    ),
];

/// Every line, `rounds` times with other random parts, as files.
pub fn files(rounds: usize, dice: &mut Dice) -> Vec<(String, String)> {
    (0..rounds)
        .flat_map(|round| LINES.iter().map(move |(name, lines)| (round, name, lines)))
        .map(|(round, name, lines)| {
            let text: Vec<String> = lines.iter().map(|line| make(line, dice)).collect();
            (format!("clean-{round}/{name}"), text.join("\n") + "\n")
        })
        .collect()
}
