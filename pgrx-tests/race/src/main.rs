use raceguard_race::{cli, suite};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse(std::env::args().skip(1)) {
        Ok(cli::Command::Help) => {
            println!("{}", cli::USAGE);
            ExitCode::SUCCESS
        }
        Ok(cli::Command::List) => {
            suite::list();
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Run(options)) => match suite::run(&options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("raceguard-race: {error}");
                ExitCode::from(2)
            }
        },
        Err(error) => {
            eprintln!("raceguard-race: {error}\n{}", cli::USAGE);
            ExitCode::from(2)
        }
    }
}
