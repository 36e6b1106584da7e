//! What application SQL calls.

mod version;
