//! The demo's server, connections to it, and why the demo could not go on.

use std::fmt;
use std::sync::{Arc, Mutex};

use postgres::{Client, Config, NoTls};

use crate::reply::Refusal;

pub type Result<T> = std::result::Result<T, Failure>;

/// Why the demo, as opposed to a statement in it, cannot go on.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub fn new(text: impl Into<String>) -> Self {
        Failure(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Failure(Refusal::from(db).to_string()),
            None => Failure(with_cause(&error)),
        }
    }
}

/// The driver's own text leaves out why: "error connecting to server".
fn with_cause(error: &postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure(error.to_string())
    }
}

/// The throwaway cluster's address.
pub struct Server {
    config: Config,
}

impl Server {
    pub fn from_environment() -> Result<Self> {
        let dsn = std::env::var("RACEGUARD_DEMO_DSN").map_err(|_| {
            Failure::new("RACEGUARD_DEMO_DSN is not set; \"make demo\" starts a throwaway cluster and sets it")
        })?;
        let config = dsn.parse().map_err(|error| {
            let cause = with_cause(&error);
            Failure(format!("RACEGUARD_DEMO_DSN is not a connection string: {cause}"))
        })?;
        Ok(Server { config })
    }

    /// A session that works in `schema`. The timeout only bounds a hang: no statement of the demo
    /// takes a tenth of it.
    pub fn connect(&self, schema: &str, name: &str) -> Result<Client> {
        self.open(self.config.clone().application_name(name), schema)
    }

    /// A session whose NOTICEs are kept.
    pub fn connect_listening(
        &self,
        schema: &str,
        name: &str,
        heard: Arc<Mutex<Vec<String>>>,
    ) -> Result<Client> {
        let mut config = self.config.clone();
        config.application_name(name).notice_callback(move |notice| {
            if let Ok(mut heard) = heard.lock() {
                heard.push(format!("{}: {}", notice.severity(), notice.message()));
            }
        });
        self.open(&config, schema)
    }

    fn open(&self, config: &Config, schema: &str) -> Result<Client> {
        let mut client = config.connect(NoTls).map_err(|error| {
            Failure(format!("cannot connect to the demo's cluster: {}", Failure::from(error)))
        })?;
        client.batch_execute(&format!(
            "SET statement_timeout = '10s'; SET search_path = {schema}, public"
        ))?;
        Ok(client)
    }

    /// Makes the extension and says what the demo runs on.
    pub fn greeting(&self) -> Result<String> {
        let mut client = self.connect("public", "raceguard demo")?;
        client.batch_execute(
            "SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS raceguard",
        )?;
        let row = client
            .query_one("SELECT current_setting('server_version'), raceguard.version()", &[])?;
        let (postgres, raceguard): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(format!("PostgreSQL {postgres}, raceguard {raceguard}"))
    }
}
