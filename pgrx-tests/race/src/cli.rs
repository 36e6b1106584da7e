//! Command line.

use crate::faults::{Blow, Faults};

pub const USAGE: &str = "\
usage: raceguard-race --dsn DSN [options]
  --dsn DSN         database to work in, as a superuser (schemas race_* are made and dropped in it)
  --seconds N       time for all workloads together (default 60); with --self-test, for each test
  --seed S          where the random numbers start (default: the clock; always printed)
  --only NAME       this workload or self-test alone
  --rounds N        stop each workload after N rounds
  --kill-every N    kill -9 a random backend every N seconds on average, in place of the gentler
                    pg_terminate_backend (the server must run on this machine)
  --restart-every N restart the server every N seconds on average, without letting it shut down
                    (pg_ctl -m immediate; the server must run on this machine)
  --timeouts        most transactions have a statement_timeout of 1 to 50 ms, or a lock_timeout of 3 to 22
  --ddl             rebuild, widen, vacuum and reindex the tables all the time
  --starve-locks    fill the server's lock table again and again
  --self-test       run the broken guards that the harness has to catch
  --trace           with --self-test, print the interleaving that gave each one away
  --list            name the workloads and self-tests";

#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub dsn: String,
    pub seconds: f64,
    pub seed: u64,
    pub only: Option<String>,
    pub rounds: Option<u64>,
    pub faults: Faults,
    pub self_test: bool,
    pub trace: bool,
}

#[derive(Debug, PartialEq)]
pub enum Command {
    Help,
    List,
    Run(Options),
}

pub fn parse(args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut args = args;
    let mut dsn = None;
    let mut options = Options {
        dsn: String::new(),
        seconds: 60.0,
        seed: clock(),
        only: None,
        rounds: None,
        faults: Faults::NONE,
        self_test: false,
        trace: false,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--list" => return Ok(Command::List),
            "--self-test" => options.self_test = true,
            "--trace" => options.trace = true,
            "--dsn" => dsn = Some(value()?),
            "--only" => options.only = Some(value()?),
            "--seconds" => options.seconds = positive(&arg, &value()?)?,
            "--kill-every" => {
                options.faults.blow = Blow::Kill(positive(&arg, &value()?)?);
            }
            "--restart-every" => {
                options.faults.blow = Blow::Restart(positive(&arg, &value()?)?);
            }
            "--timeouts" => options.faults.timeouts = true,
            "--ddl" => options.faults.ddl = true,
            "--starve-locks" => options.faults.starve_locks = true,
            "--seed" => options.seed = whole(&arg, &value()?)?,
            "--rounds" => options.rounds = Some(whole(&arg, &value()?)?),
            _ => return Err(format!("unknown option \"{arg}\"")),
        }
    }
    options.dsn = dsn.ok_or("--dsn is missing")?;
    Ok(Command::Run(options))
}

fn positive(name: &str, text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number < 1e6 => Ok(number),
        _ => Err(format!("{name} must be a positive number, not \"{text}\"")),
    }
}

fn whole(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{name} must be a whole number, not \"{text}\""))
}

fn clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |t| t.as_millis() as u64 % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_string))
    }

    #[test]
    fn options_are_read() {
        let Ok(Command::Run(options)) = of("--dsn x --seconds 2.5 --seed 9 --only cap_3") else {
            panic!("not accepted");
        };
        assert_eq!((options.seconds, options.seed), (2.5, 9));
        assert_eq!(options.only.as_deref(), Some("cap_3"));
        assert_eq!(options.faults, Faults::NONE);
    }

    #[test]
    fn faults_are_read_as_they_are_printed() {
        let faults =
            Faults { blow: Blow::Restart(0.5), timeouts: true, ddl: true, starve_locks: true };
        let Ok(Command::Run(options)) = of(&format!("--dsn x{}", faults.options())) else {
            panic!("not accepted");
        };
        assert_eq!(options.faults, faults);
    }

    #[test]
    fn mistakes_are_named() {
        assert!(of("--seconds 5").unwrap_err().contains("--dsn"));
        assert!(of("--dsn x --seconds 0").unwrap_err().contains("--seconds"));
        assert!(of("--dsn x --seed -1").unwrap_err().contains("--seed"));
        assert!(of("--dsn x --only").unwrap_err().contains("--only"));
        assert!(of("--dsn x --what").unwrap_err().contains("--what"));
    }
}
