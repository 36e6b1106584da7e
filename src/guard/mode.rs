//! The argument of a guard's triggers that says whether it refuses or only logs.
//!
//! It stands in the triggers as `mode=observe`; without it a guard enforces.

use crate::guard::outcome::Mode;

/// How the argument begins.
const ARGUMENT: &str = "mode=";

impl Mode {
    /// What calls may ask for.
    pub const NAMES: [&'static str; 2] = ["enforce", "observe"];

    pub const fn name(self) -> &'static str {
        match self {
            Mode::Enforce => Mode::NAMES[0],
            Mode::Observe => Mode::NAMES[1],
        }
    }

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Mode> {
        [Mode::Enforce, Mode::Observe].into_iter().find(|mode| mode.name() == name)
    }

    /// The mode that one of a trigger's arguments says; `None` if it says something else. Plain frames.
    pub fn of_argument(argument: &str) -> Option<Mode> {
        argument.strip_prefix(ARGUMENT).and_then(Mode::named)
    }

    /// The argument for this mode; the default has none.
    pub fn argument(self) -> Option<String> {
        (self != Mode::Enforce).then(|| format!("{ARGUMENT}{}", self.name()))
    }

    /// The mode that a trigger's arguments say. The first one is a column or a key.
    pub fn of_arguments(arguments: &[String]) -> Mode {
        arguments.iter().skip(1).find_map(|a| Mode::of_argument(a)).unwrap_or(Mode::Enforce)
    }

    /// A trigger's arguments as they are in this mode.
    pub fn in_arguments(self, arguments: &[String]) -> Vec<String> {
        let others = arguments.iter().enumerate();
        let others = others.filter(|(i, a)| *i == 0 || Mode::of_argument(a).is_none());
        others.map(|(_, a)| a.clone()).chain(self.argument()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn the_default_has_no_argument() {
        let observed = Mode::Observe.in_arguments(&of(&["k", "at=t"]));
        assert_eq!(observed, of(&["k", "at=t", "mode=observe"]));
        assert_eq!(Mode::of_arguments(&observed), Mode::Observe);
        assert_eq!(Mode::Enforce.in_arguments(&observed), of(&["k", "at=t"]));
        assert_eq!(Mode::Enforce.in_arguments(&of(&["k", "mode=enforce"])), of(&["k"]));
    }

    #[test]
    fn the_first_argument_is_never_the_mode() {
        let arguments = of(&["mode=observe"]);
        assert_eq!(Mode::of_arguments(&arguments), Mode::Enforce);
        assert_eq!(Mode::Observe.in_arguments(&arguments), of(&["mode=observe", "mode=observe"]));
    }

    #[test]
    fn other_texts_are_no_mode() {
        assert_eq!(Mode::of_argument("mode=off"), None);
        assert_eq!(Mode::of_argument("observe"), None);
    }
}
