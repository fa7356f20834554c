//! Keyset pagination: a query reads the rows after the last row of the previous page. Every page costs the same, and rows
//! that are added or deleted between two requests cause neither duplicates nor gaps.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use super::{BoundedInt, Fields, FromFields, Patch};
use crate::error::{Code, Error};
use crate::secret::{Purpose, ServerSecret, constant_time_eq};

const DEFAULT_LIMIT: i64 = 25;
const MAX_LIMIT: i64 = 100;
/// A cursor carries a MAC that is truncated to this length.
const MAC_BYTES: usize = 16;

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries of this page.
    pub data: Vec<T>,
    /// The `cursor` of the next page; null on the last page.
    pub next_cursor: Option<String>,
}

/// The parameters of every list.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Maximum number of entries to return.
    #[param(required = false, value_type = i64, minimum = 1, maximum = 100, default = 25)]
    pub limit: i64,
    /// The `next_cursor` of the previous page; without it the list begins at its first entry.
    #[param(required = false, nullable = false)]
    pub cursor: Option<String>,
}

impl FromFields for PageQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let limit = fields.take::<Patch<BoundedInt<1, MAX_LIMIT>>>("limit");
        let cursor = fields.take::<Option<String>>("cursor");
        Some(Self {
            limit: limit?.set().map_or(DEFAULT_LIMIT, BoundedInt::get),
            cursor: cursor?,
        })
    }
}

/// Writes and reads the cursors of one list. A cursor is the key of the last entry of a page with a MAC over that key and the
/// name of the list. The name contains the sort, the filters and the owner, so that a cursor is valid for one list only.
pub struct Cursors<'a> {
    secret: &'a ServerSecret,
    list: String,
}

impl<'a> Cursors<'a> {
    pub fn new(secret: &'a ServerSecret, list: impl Into<String>) -> Self {
        Self {
            secret,
            list: list.into(),
        }
    }

    fn mac(&self, key: &[u8]) -> Vec<u8> {
        self.secret
            .mac(Purpose::Cursor, &[self.list.as_bytes(), key])
            .into_iter()
            .take(MAC_BYTES)
            .collect()
    }

    /// The key of the last entry of the previous page; `None` for the first page.
    ///
    /// # Errors
    /// `invalid_cursor` for a cursor of another list.
    pub fn read<K: DeserializeOwned>(&self, cursor: Option<&str>) -> Result<Option<K>, Error> {
        let Some(cursor) = cursor else { return Ok(None) };
        let invalid = || Error::new(Code::InvalidCursor);
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
        let (mac, key) = bytes.split_at_checked(MAC_BYTES).ok_or_else(invalid)?;
        if !constant_time_eq(mac, &self.mac(key)) {
            return Err(invalid());
        }
        serde_json::from_slice(key).map(Some).map_err(|_| invalid())
    }

    /// Makes a page of `limit` entries. Queries read `limit + 1` rows: the extra row means that there is another page.
    pub fn page<R, K: Serialize>(&self, mut rows: Vec<R>, limit: i64, key: impl Fn(&R) -> K) -> Result<Page<R>, Error> {
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = match rows.last() {
            Some(last) if more => {
                let key = serde_json::to_vec(&key(last)).map_err(Error::internal)?;
                Some(URL_SAFE_NO_PAD.encode([self.mac(&key), key].concat()))
            }
            _ => None,
        };
        Ok(Page {
            data: rows,
            next_cursor,
        })
    }
}

impl<T> Page<T> {
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            data: self.data.into_iter().map(convert).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_valid_for_its_own_list_only() {
        let secret = ServerSecret::new(&[7; 32]);
        let cursors = Cursors::new(&secret, "keys of a");
        let page = cursors.page(vec![3, 2, 1], 2, |row| *row).unwrap();
        assert_eq!(page.data, [3, 2]);
        let cursor = page.next_cursor.unwrap();
        assert_eq!(cursors.read::<i32>(Some(&cursor)).unwrap(), Some(2));
        assert!(Cursors::new(&secret, "keys of b").read::<i32>(Some(&cursor)).is_err());
        assert!(
            Cursors::new(&ServerSecret::new(&[8; 32]), "keys of a")
                .read::<i32>(Some(&cursor))
                .is_err()
        );
        for wrong in ["", "x", "AAAA", "é", &cursor[..cursor.len() - 2]] {
            assert!(cursors.read::<i32>(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let secret = ServerSecret::new(&[7; 32]);
        let page = Cursors::new(&secret, "l").page(vec![2, 1], 2, |row| *row).unwrap();
        assert_eq!((page.data.len(), page.next_cursor), (2, None));
    }
}
