//! The token that asks for the next page of a list.

use std::fmt;
use std::str::FromStr;

/// URL-safe base64 with padding, in order of value.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Two little-endian numbers of 16 bits.
const BYTES: usize = 4;
/// What those four bytes become.
const CHARACTERS: usize = 8;

/// Which page of a list: fleet's own encoding, two little-endian 16-bit numbers in URL-safe base64.
///
/// ```
/// use fleet_api::v1::PageToken;
///
/// let token = PageToken { limit: 100, page: 2 };
/// assert_eq!(token.to_string(), "ZAACAA==");
/// assert_eq!("ZAACAA==".parse(), Ok(token));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// How many entries a page has.
    pub limit: u16,
    /// Which page, from 1.
    pub page: u16,
}

/// Why a text is no page token, for an answer with status 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageTokenError {
    /// It is not base64.
    #[error("illegal base64 data at input byte {0}")]
    Base64(usize),
    /// It is base64 of something else.
    #[error("page token has the wrong length")]
    Length,
    /// Its limit is not the server's.
    #[error("token limit must be {0}")]
    Limit(u16),
    /// Pages count from 1.
    #[error("token page must be greater than zero")]
    Page,
}

impl PageToken {
    /// The first page.
    pub fn first(limit: u16) -> Self {
        Self { limit, page: 1 }
    }

    /// Reads a token that has to have the server's own limit.
    pub fn parse(text: &str, limit: u16) -> Result<Self, PageTokenError> {
        let token: Self = text.parse()?;
        if token.limit != limit {
            return Err(PageTokenError::Limit(limit));
        }
        if token.page == 0 {
            return Err(PageTokenError::Page);
        }
        Ok(token)
    }

    /// The entries of a list of `total` that this page holds, and the token of the next page if more follow.
    ///
    /// Beyond the last page the range is empty. Unlike fleet's, a full last page has no empty one after it, and page
    /// numbers end before they wrap.
    pub fn window(self, total: usize) -> (std::ops::Range<usize>, Option<Self>) {
        let limit = usize::from(self.limit);
        let start = (usize::from(self.page).saturating_sub(1) * limit).min(total);
        let end = (start + limit).min(total);
        let next = (end < total).then(|| self.page.checked_add(1)).flatten().map(|page| Self { page, ..self });
        (start..end, next)
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [l0, l1] = self.limit.to_le_bytes();
        let [p0, p1] = self.page.to_le_bytes();
        let bits = u32::from_be_bytes([0, l0, l1, p0]);
        let mut text: String = (0..4).rev().map(|i| character(bits >> (6 * i))).collect();
        text.push(character(u32::from(p1) >> 2));
        text.push(character(u32::from(p1) << 4));
        text.push_str("==");
        f.pad(&text)
    }
}

fn character(bits: u32) -> char {
    char::from(ALPHABET[(bits & 0x3f) as usize])
}

impl FromStr for PageToken {
    type Err = PageTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim_end_matches('=');
        let padding = text.len() - digits.len();
        let mut bytes = Vec::with_capacity(BYTES);
        let (mut bits, mut held) = (0_u32, 0);
        for (at, c) in digits.bytes().enumerate() {
            let value = ALPHABET
                .iter()
                .position(|&known| known == c)
                .and_then(|value| u32::try_from(value).ok())
                .ok_or(PageTokenError::Base64(at))?;
            bits = bits << 6 | value;
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held & 0xff) as u8);
            }
        }
        if !text.len().is_multiple_of(4) || padding > 2 {
            return Err(PageTokenError::Base64(text.len()));
        }
        match (text.len(), bytes.as_slice()) {
            (CHARACTERS, &[l0, l1, p0, p1]) => {
                Ok(Self { limit: u16::from_le_bytes([l0, l1]), page: u16::from_le_bytes([p0, p1]) })
            }
            _ => Err(PageTokenError::Length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_reads_back() {
        let numbers = [0, 1, 2, 63, 64, 100, 255, 256, 4095, 40_000, u16::MAX];
        for limit in numbers {
            for page in numbers {
                let token = PageToken { limit, page };
                assert_eq!(token.to_string().parse(), Ok(token), "{token}");
            }
        }
    }

    #[test]
    fn the_server_checks_what_it_is_given() {
        let cases = [
            ("ZAACAA==", Ok(PageToken { limit: 100, page: 2 })),
            ("ZAAAAA==", Err(PageTokenError::Page)),
            ("MgABAA==", Err(PageTokenError::Limit(100))),
            ("toobadno!", Err(PageTokenError::Base64(8))),
            ("ZAAC", Err(PageTokenError::Length)),
            ("ZAACAA", Err(PageTokenError::Base64(6))),
            ("é", Err(PageTokenError::Base64(0))),
            ("", Err(PageTokenError::Length)),
        ];
        for (text, expected) in cases {
            assert_eq!(PageToken::parse(text, 100), expected, "{text:?}");
        }
    }

    #[test]
    fn windows_cover_a_list_once() {
        for total in [0, 1, 2, 3, 4, 5, 6, 7] {
            let (mut covered, mut token) = (Vec::new(), Some(PageToken::first(3)));
            while let Some(page) = token {
                let (range, next) = page.window(total);
                assert!(!range.is_empty() || total == 0, "an empty page of {total}");
                covered.extend(range);
                token = next;
            }
            assert_eq!(covered, (0..total).collect::<Vec<_>>());
        }
    }

    #[test]
    fn pages_neither_wrap_nor_overrun() {
        let last = PageToken { limit: 1, page: u16::MAX };
        assert_eq!(last.window(70_000), (65_534..65_535, None));
        assert_eq!(PageToken { limit: 3, page: 9 }.window(4), (4..4, None));
    }
}
