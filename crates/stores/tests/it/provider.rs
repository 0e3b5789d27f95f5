//! Somebody else's servers: started by the test, with TLS of an authority of their own and an administrator with a password.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use certificates::{Authority, Purpose, Subject};
use host::clock::{Clock, SystemClock};
use mongodb::bson::doc;
use mongodb::options::{ClientOptions, Credential, ServerAddress, Tls, TlsOptions};
use redis::aio::MultiplexedConnection;
use secrets::Secret;
use stores::External;
use stores::engines::Located;
use stores::external::Dialect;
use stores::redis::{Door, Identity};
use tempfile::TempDir;

/// In two pieces: what an environment keeps as a secret is looked for in its project, and that may be this repository.
pub(crate) const PASSWORD: &str = concat!("the-providers-own", "-0123456789");

/// A mongod of somebody else.
pub(crate) struct Provider {
    child: Child,
    pub(crate) port: u16,
    /// Last: the process must be gone before its folder is.
    folder: TempDir,
}

/// How a server stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    InASet,
    Alone,
}

impl Provider {
    /// `engine` is a mongod.
    pub(crate) async fn start(engine: &Located, stands: Stands) -> Self {
        let folder = tempfile::Builder::new().prefix("a provider's ").tempdir().unwrap();
        let port = host::socket::free_port().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        make_certificate(folder.path());
        write("key", "cHJvdmlkZXI=");
        std::fs::set_permissions(path("key"), std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
        std::fs::create_dir(path("data")).unwrap();
        let text = |name: &str| path(name).to_string_lossy().into_owned();
        let mut args: Vec<String> = ["--bind_ip", "127.0.0.1", "--tlsMode", "requireTLS"].map(str::to_owned).to_vec();
        args.extend(["--wiredTigerCacheSizeGB", "0.25", "--tlsAllowConnectionsWithoutCertificates"].map(str::to_owned));
        args.extend(["--nounixsocket", "--oplogSize", "64", "--port"].map(str::to_owned));
        args.extend([port.to_string(), "--dbpath".to_owned(), text("data")]);
        args.extend([
            "--tlsCertificateKeyFile".to_owned(),
            text("server.pem"),
            "--tlsCAFile".to_owned(),
            text("ca.pem"),
        ]);
        match stands {
            Stands::InASet => {
                args.extend(["--replSet".to_owned(), "theirs".to_owned(), "--keyFile".to_owned(), text("key")])
            }
            Stands::Alone => args.push("--auth".to_owned()),
        }
        let log = std::fs::File::create(path("log")).unwrap();
        let child = Command::new(&engine.program)
            .args(args)
            .env_clear()
            .envs(&engine.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let provider = Self { child, port, folder };
        provider.make_administrator(stands).await;
        provider
    }

    async fn make_administrator(&self, stands: Stands) {
        let give_up = Instant::now() + Duration::from_secs(60);
        while host::socket::is_port_free(self.port) {
            assert!(Instant::now() < give_up, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let first = self.client(None).database("admin");
        if stands == Stands::InASet {
            let host = format!("127.0.0.1:{}", self.port);
            let config = doc! { "_id": "theirs", "members": [{ "_id": 0, "host": host }] };
            first.run_command(doc! { "replSetInitiate": config }).await.unwrap();
        }
        let create =
            doc! { "createUser": "admin", "pwd": PASSWORD, "roles": ["root"], "mechanisms": ["SCRAM-SHA-256"] };
        while let Err(error) = first.run_command(create.clone()).await {
            assert!(Instant::now() < give_up, "{error}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// As the manifest names it.
    pub(crate) fn external(&self) -> External {
        External { ca: Some(self.ca()), dialect: Dialect::Plain }
    }

    /// Its address, as somebody is told it.
    pub(crate) fn address(&self) -> String {
        self.address_of("admin", PASSWORD)
    }

    pub(crate) fn address_of(&self, user: &str, password: &str) -> String {
        format!("mongodb://{user}:{password}@localhost:{}/admin?tls=true", self.port)
    }

    /// Straight through the driver, as its administrator.
    pub(crate) fn admin(&self) -> mongodb::Client {
        let credential = Credential::builder().username("admin".to_owned()).password(PASSWORD.to_owned());
        self.client(Some(credential.source("admin".to_owned()).build()))
    }

    fn client(&self, credential: Option<Credential>) -> mongodb::Client {
        let options = ClientOptions::builder()
            .hosts(vec![ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(self.port) }])
            .direct_connection(true)
            .tls(Tls::Enabled(TlsOptions::builder().ca_file_path(self.ca()).build()))
            .credential(credential)
            .build();
        mongodb::Client::with_options(options).unwrap()
    }

    /// As an app connects: by its address, and by the authorities that it was told to trust.
    pub(crate) async fn as_app(&self, url: &Secret) -> Result<mongodb::Client, mongodb::error::Error> {
        let mut options = ClientOptions::parse(url.expose()).await?;
        assert!(matches!(options.tls, Some(Tls::Enabled(_))), "the address asks for TLS");
        options.tls = Some(Tls::Enabled(TlsOptions::builder().ca_file_path(self.ca()).build()));
        options.server_selection_timeout = Some(Duration::from_secs(5));
        mongodb::Client::with_options(options)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A redis-server of somebody else.
pub(crate) struct RedisProvider {
    child: Child,
    pub(crate) port: u16,
    folder: TempDir,
}

impl RedisProvider {
    /// `engine` is a redis-server; `more` goes to its configuration.
    pub(crate) async fn start(engine: &Located, more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("a-provider").tempdir().unwrap();
        let port = host::socket::free_port().unwrap();
        make_certificate(folder.path());
        let of = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(folder.path().join("users.acl"), format!("user default on >{PASSWORD} ~* &* +@all\n")).unwrap();
        let text = format!(
            "port 0\ntls-port {port}\nbind 127.0.0.1\ndir {dir}\ntls-cert-file {pem}\ntls-key-file {pem}\ntls-ca-cert-file {ca}\n\
             tls-auth-clients no\naclfile {users}\nmaxmemory 64mb\nmaxmemory-policy noeviction\nappendonly yes\n{more}\n",
            dir = folder.path().display(),
            pem = of("server.pem"),
            ca = of("ca.pem"),
            users = of("users.acl"),
        );
        std::fs::write(folder.path().join("redis.conf"), text).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(&engine.program);
        command.arg(of("redis.conf")).env_clear().envs(&engine.env);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let provider = Self { child, port, folder };
        let give_up = Instant::now() + Duration::from_secs(30);
        while host::socket::is_port_free(port) {
            let log = || std::fs::read_to_string(provider.folder.path().join("log")).unwrap();
            assert!(Instant::now() < give_up, "{}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        provider
    }

    pub(crate) fn external(&self) -> External {
        External { ca: Some(self.folder.path().join("ca.pem")), dialect: Dialect::Plain }
    }

    pub(crate) fn address(&self) -> String {
        format!("rediss://:{PASSWORD}@localhost:{}", self.port)
    }

    /// Logs in there.
    pub(crate) async fn enter(&self, name: &str, password: &str) -> redis::RedisResult<MultiplexedConnection> {
        let ca = std::fs::read_to_string(self.folder.path().join("ca.pem")).unwrap();
        let password = Secret::new(password.to_owned());
        let door = Door::trusting(&ca, Arc::new(SystemClock), self.port);
        door.enter(Identity::User { name, password: &password }).await
    }

    pub(crate) async fn admin(&self) -> MultiplexedConnection {
        self.enter("default", PASSWORD).await.unwrap()
    }

    /// As an app connects.
    pub(crate) async fn by(&self, url: &Secret) -> redis::RedisResult<MultiplexedConnection> {
        let (login, place) = url.expose().strip_prefix("rediss://").unwrap().rsplit_once('@').unwrap();
        assert_eq!(place, format!("localhost:{}", self.port));
        let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let (name, password) = login.split_once(':').unwrap();
        self.enter(&plain(name), &plain(password)).await
    }
}

impl Drop for RedisProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `server.pem`, and `ca.pem` by which it is believed.
fn make_certificate(folder: &Path) {
    let now = SystemClock.now();
    let day = Duration::from_secs(24 * 3600);
    let authority = Authority::make("A provider", now, day * 30).unwrap();
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let subject = Subject {
        common_name: "db.provider.example",
        organization: None,
        hosts: &hosts,
        purposes: &[Purpose::Server, Purpose::Client],
    };
    let leaf = authority.issue(&subject, now, day).unwrap();
    std::fs::write(folder.join("ca.pem"), &authority.certificate_pem).unwrap();
    std::fs::write(folder.join("server.pem"), format!("{}{}", *leaf.key_pem, leaf.chain_pem)).unwrap();
}
