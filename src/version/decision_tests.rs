use super::*;
use crate::guard::outcome::Mode;
use crate::version::rule::{parse, BadArgument, ClientSends, Options, Unstated};
use proptest::prelude::*;

const NEXT: ClientSends = ClientSends::Next;
const CURRENT: ClientSends = ClientSends::Current;

#[test]
fn the_table_of_the_contract() {
    use Stated::*;
    use Verdict::*;
    for (sends, stated, verdict) in [
        (NEXT, Nothing, Pass),
        (NEXT, Value(Some(7)), Stale),
        (NEXT, Value(Some(8)), Pass),
        (NEXT, Value(Some(9)), Stale),
        (NEXT, Value(None), Stale),
        (CURRENT, Nothing, Pass),
        (CURRENT, Value(Some(7)), Pass),
        (CURRENT, Value(Some(8)), Stale),
        (CURRENT, Value(Some(6)), Stale),
        (CURRENT, Value(None), Stale),
    ] {
        assert_eq!(
            judge(sends, Unstated::Allow, Some(7), 8, stated),
            verdict,
            "{sends:?} {stated:?}"
        );
    }
}

#[test]
fn an_unstated_version_is_judged_by_its_option() {
    for (unstated, verdict) in [
        (Unstated::Allow, Verdict::Pass),
        (Unstated::Warn, Verdict::NoneStated),
        (Unstated::Reject, Verdict::NoneStated),
    ] {
        assert_eq!(judge(NEXT, unstated, Some(7), 8, Stated::Nothing), verdict);
    }
}

#[test]
fn options_are_read_in_any_order() {
    let options = parse(
        ["v", "mode=observe", "ignore=a", "client_sends=current", "unstated=warn"].into_iter(),
    );
    assert_eq!(
        options,
        Ok(Options {
            column: "v",
            client_sends: CURRENT,
            unstated: Unstated::Warn,
            mode: Mode::Observe
        })
    );
    assert_eq!(parse([].into_iter()), Err(BadArgument::NoColumn));
    assert_eq!(
        parse(["v", "client_sends=last"].into_iter()),
        Err(BadArgument::Unknown("client_sends=last"))
    );
    assert_eq!(parse(["v", "ignore="].into_iter()), Err(BadArgument::Unknown("ignore=")));
}

proptest! {
    /// Exactly one stated value passes, whatever the convention.
    #[test]
    fn only_one_value_passes(old in any::<i32>(), sent in any::<i32>(), next_style in any::<bool>()) {
        let (old, sent) = (old as i64, sent as i64);
        let sends = if next_style { NEXT } else { CURRENT };
        let right = if next_style { old + 1 } else { old };
        let verdict = judge(sends, Unstated::Allow, Some(old), old + 1, Stated::Value(Some(sent)));
        prop_assert_eq!(verdict == Verdict::Pass, sent == right);
    }
}
