//! The names of Citus's shards and of what belongs to them: the logical object's, an underscore, and the shard's number.
//! Of a name that would become too long the beginning is kept, followed by a hash of all of it.

use super::ffi;
use core::ffi::c_int;
use pgrx::pg_sys;

const LONGEST: usize = pg_sys::NAMEDATALEN as usize - 1;

/// An underscore and eight digits of the hash.
const HASHED: usize = 9;

/// The number at the end of a shard's name.
pub fn number(name: &str) -> Option<i64> {
    let (before, digits) = name.rsplit_once('_')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    (is_number && !before.is_empty() && !digits.starts_with('0')).then(|| digits.parse().ok())?
}

/// Whether a name is that of the shard's counterpart of a logical object. A plain frame.
pub fn is(name: &str, logical: &str, shard: i64) -> bool {
    fits(name, logical, shard, |text| {
        // SAFETY: reads as many bytes as there are.
        unsafe { ffi::hash_bytes(text.as_ptr(), text.len() as c_int) }
    })
}

/// Whether a name without the shard's number may be the beginning of a longer one, with a hash.
pub fn may_be_hashed(name: &str) -> bool {
    let hash = name.len().checked_sub(HASHED).and_then(|at| name.get(at..));
    hash.and_then(|hash| hash.strip_prefix('_'))
        .is_some_and(|hash| hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn fits(name: &str, logical: &str, shard: i64, hash: impl FnOnce(&str) -> u32) -> bool {
    let Some(before) = name.rsplit_once('_').filter(|_| number(name) == Some(shard)) else {
        return false;
    };
    let (before, digits) = before;
    if logical.len() + 1 + digits.len() <= LONGEST {
        return before == logical;
    }
    let Some((kept, hashed)) = before.rsplit_once('_') else { return false };
    // No more of the beginning is cut off than has to be, up to a whole sign.
    let room = LONGEST.saturating_sub(HASHED + 1 + digits.len());
    let end = (0..=room.min(logical.len())).rev().find(|end| logical.is_char_boundary(*end));
    end.is_some_and(|end| kept == &logical[..end]) && hashed == format_hash(hash(logical)).as_str()
}

/// Eight hexadecimal digits, without an allocation.
struct Digits([u8; 8]);

impl Digits {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn format_hash(hash: u32) -> Digits {
    let digit = |n: usize| b"0123456789abcdef"[(hash >> (28 - 4 * n) & 15) as usize];
    Digits(core::array::from_fn(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_at_the_end() {
        for (name, number_of) in [
            ("orders_102008", Some(102008)),
            ("a_b_7", Some(7)),
            ("orders", None),
            ("orders_", None),
            ("_102008", None),
            ("orders_0102008", None),
            ("orders_10x", None),
            ("orders_-1", None),
            ("orders_99999999999999999999", None),
        ] {
            assert_eq!(number(name), number_of, "{name}");
        }
    }

    #[test]
    fn a_shards_name_is_that_of_its_table() {
        let no_hash = |_: &str| unreachable!();
        assert!(fits("orders_102008", "orders", 102008, no_hash));
        assert!(fits("o_1_102008", "o_1", 102008, no_hash));
        assert!(!fits("orders_102008", "orders", 102009, no_hash));
        assert!(!fits("order_102008", "orders", 102008, no_hash));
        assert!(!fits("orders", "orders", 102008, no_hash));
    }

    #[test]
    fn a_long_name_is_hashed() {
        // 56 signs are one too many beside "_102008".
        let just = "a".repeat(56);
        assert!(fits(&format!("{just}_102008"), &just, 102008, |_| unreachable!()));
        let long = "a".repeat(57);
        let name = format!("{}_0badcafe_102008", "a".repeat(47));
        assert!(fits(&name, &long, 102008, |_| 0x0bad_cafe));
        assert!(!fits(&name, &long, 102008, |_| 0x1bad_cafe));
        let other = format!("{}_0badcafe_102008", "a".repeat(46));
        assert!(!fits(&other, &long, 102008, |_| 0x0bad_cafe));
        assert!(may_be_hashed(&format!("{}_0badcafe", "a".repeat(47))));
        assert!(
            !may_be_hashed(&just) && !may_be_hashed("_badcafe") && !may_be_hashed("ab_0badcafg")
        );
        // A sign of two bytes that would be cut in half goes.
        let signs = "ä".repeat(30);
        let name = format!("{}_0badcafe_102008", "ä".repeat(23));
        assert!(fits(&name, &signs, 102008, |_| 0x0bad_cafe));
    }
}
