//! Lists in pages, with an opaque cursor.

use proto::Failure;
use serde::Serialize;
use utoipa::ToSchema;

/// Items a page holds unless the caller asks for another number.
pub(crate) const SIZE: u32 = 50;
/// The most items a page holds; asking for more is not an error.
pub(crate) const SIZE_MAX: u32 = 200;

/// Some items, and where the next ones are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Send it as `page_token` for the next page; empty at the end.
    pub(crate) next_page_token: String,
}

impl<T> Page<T> {
    /// Everything at once.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next_page_token: String::new() }
    }
}

/// The size to use for the one asked for.
pub(crate) fn size(asked: Option<u32>) -> u32 {
    asked.unwrap_or(SIZE).clamp(1, SIZE_MAX)
}

/// The number in a cursor of ours; none at the start.
pub(crate) fn number(token: Option<&str>) -> Result<Option<i64>, Failure> {
    match token {
        None | Some("") => Ok(None),
        Some(token) => token.parse().map(Some).map_err(|_| {
            Failure::invalid("page_token", "page_token is not one that this server handed out")
        }),
    }
}
