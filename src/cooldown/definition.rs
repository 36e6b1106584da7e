//! A cooldown as it is asked for.

/// A cooldown as the owner asked for it, texts in Postgres's canonical form.
pub struct Cooldown {
    pub key: String,
    pub at: String,
    pub period: String,
    pub max_rows: i32,
    pub predicate: Option<String>,
    pub own_past: bool,
    pub guard: String,
}

impl Cooldown {
    /// The trigger's arguments.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec![self.key.clone(), format!("at={}", self.at), format!("period={}", self.period)];
        if self.max_rows != 1 {
            arguments.push(format!("max_rows={}", self.max_rows));
        }
        arguments.extend(self.predicate.as_ref().map(|p| format!("predicate={p}")));
        if self.own_past {
            arguments.push("own_past=true".to_owned());
        }
        arguments
    }

    /// The predicate as a condition; TRUE without one.
    pub fn condition(&self) -> &str {
        self.predicate.as_deref().unwrap_or("TRUE")
    }
}
