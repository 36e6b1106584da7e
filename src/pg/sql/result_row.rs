//! Rows of a result: each value in its text form, read as what the statement makes it.

use crate::pg::base::error::Report;
use crate::pg::base::memory::own;
use crate::pg::base::sqlstate;
use pgrx::pg_sys::Oid;

/// The rows of a result.
pub type Rows = Vec<ResultRow>;

/// One row of a result.
pub struct ResultRow(Vec<Option<String>>);

impl ResultRow {
    pub(super) fn new(cells: Vec<Option<String>>) -> ResultRow {
        ResultRow(cells)
    }

    /// The value of a column, counted from 0. It is an error if the column is not there or no value of
    /// the type that is asked for; NULL is a value of an `Option`.
    pub fn get<'a, T: FromCell<'a>>(&'a self, column: usize) -> Result<T, Report> {
        let cell = self.0.get(column).map(Option::as_deref);
        let value = match cell {
            Some(Some(text)) => T::of_text(text)?,
            Some(None) => T::OF_NULL,
            None => None,
        };
        value.ok_or_else(|| unreadable(column, cell.flatten()))
    }

    /// All values in their text form, `None` for NULL.
    pub fn into_texts(self) -> Vec<Option<String>> {
        self.0
    }
}

#[cold]
fn unreadable(column: usize, text: Option<&str>) -> Report {
    Report::error(
        sqlstate::INTERNAL,
        format_args!("raceguard cannot read column {} of a result", column + 1),
    )
    .detail(format_args!("It is {}.", text.unwrap_or("NULL, or not there")))
    .hint(format_args!("This is a bug in raceguard."))
}

/// What a value can be read as.
pub trait FromCell<'a>: Sized {
    /// What NULL is, if that is a value.
    const OF_NULL: Option<Self> = None;

    /// `None` if the text is no such value.
    fn of_text(text: &'a str) -> Result<Option<Self>, Report>;
}

impl<'a, T: FromCell<'a>> FromCell<'a> for Option<T> {
    const OF_NULL: Option<Option<T>> = Some(None);

    fn of_text(text: &'a str) -> Result<Option<Option<T>>, Report> {
        Ok(T::of_text(text)?.map(Some))
    }
}

impl<'a> FromCell<'a> for &'a str {
    fn of_text(text: &'a str) -> Result<Option<&'a str>, Report> {
        Ok(Some(text))
    }
}

impl FromCell<'_> for String {
    fn of_text(text: &str) -> Result<Option<String>, Report> {
        own(text).map(Some)
    }
}

impl FromCell<'_> for bool {
    fn of_text(text: &str) -> Result<Option<bool>, Report> {
        Ok(match text {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        })
    }
}

impl FromCell<'_> for Oid {
    fn of_text(text: &str) -> Result<Option<Oid>, Report> {
        Ok(u32::of_text(text)?.map(Oid::from))
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl FromCell<'_> for $number {
            fn of_text(text: &str) -> Result<Option<$number>, Report> {
                Ok(text.parse().ok())
            }
        }
    )*};
}
numbers!(i16, u16, u32, i64, usize);

#[cfg(test)]
mod tests {
    use super::FromCell;

    fn read<'a, T: FromCell<'a>>(text: &'a str) -> Option<T> {
        T::of_text(text).ok().flatten()
    }

    #[test]
    fn a_text_that_is_no_such_value_is_not_read_as_another() {
        assert_eq!(read::<i64>("-42"), Some(-42));
        for text in ["", "1.5", "many", "9223372036854775808"] {
            assert_eq!(read::<i64>(text), None, "{text}");
            assert_eq!(read::<Option<i64>>(text), None, "{text}");
        }
        assert_eq!(read::<bool>("t"), Some(true));
        assert_eq!(read::<bool>("true"), None);
    }

    #[test]
    fn null_is_a_value_only_where_it_may_be() {
        assert_eq!(<i64 as FromCell>::OF_NULL, None);
        assert_eq!(<Option<i64> as FromCell>::OF_NULL, Some(None));
    }
}
