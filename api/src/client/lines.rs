//! A body of JSON lines, whatever its chunks are.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::ApiError;
use crate::v2::WatchLine;

/// The longest line that is believed: a snapshot of 100,000 units has some 60 MB.
const MAX_LINE: usize = 512 << 20;

/// Splits a body into lines. Blank ones are keep-alives, and left out.
#[derive(Debug, Default)]
struct Splitter {
    rest: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
}

impl Splitter {
    /// Takes the next chunk; its whole lines are then in `lines`.
    fn push(&mut self, chunk: &[u8]) {
        let mut parts = chunk.split(|&byte| byte == b'\n');
        // There is always a first part, and what follows the last line break is the beginning of a line.
        self.rest.extend_from_slice(parts.next().unwrap_or_default());
        for part in parts {
            let line = std::mem::replace(&mut self.rest, part.to_vec());
            if !line.iter().all(u8::is_ascii_whitespace) {
                self.lines.push_back(line);
            }
        }
    }
}

/// The lines of a watch. Ends with an error when the body does: a watch has no end of its own.
pub(super) fn watch_lines<B>(body: B, endpoint: String) -> impl Stream<Item = Result<WatchLine, ApiError>>
where
    B: Stream<Item = Result<Bytes, ApiError>>,
{
    let begin = (Box::pin(body), Splitter::default(), endpoint);
    stream::try_unfold(begin, |(mut body, mut splitter, endpoint)| async move {
        loop {
            if let Some(line) = splitter.lines.pop_front() {
                let line = parse(&line, &endpoint)?;
                return Ok(Some((line, (body, splitter, endpoint))));
            }
            match body.next().await.transpose()? {
                Some(chunk) => splitter.push(&chunk),
                None => {
                    return Err(ApiError::Broken { endpoint, reason: "fleetd ended the stream".to_owned() });
                }
            }
            if splitter.rest.len() > MAX_LINE {
                return Err(bad(&endpoint, format!("a line of more than {MAX_LINE} bytes")));
            }
        }
    })
    .into_stream()
}

fn parse(line: &[u8], endpoint: &str) -> Result<WatchLine, ApiError> {
    serde_json::from_slice(line).map_err(|error| bad(endpoint, error.to_string()))
}

fn bad(endpoint: &str, reason: String) -> ApiError {
    ApiError::BadAnswer { endpoint: endpoint.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_do_not_depend_on_chunks() {
        let text = b"\n{\"a\":1}\n\n  \n{\"b\":2}\nrest";
        for size in 1..=text.len() {
            let mut splitter = Splitter::default();
            text.chunks(size).for_each(|chunk| splitter.push(chunk));
            assert_eq!(splitter.lines, [b"{\"a\":1}".to_vec(), b"{\"b\":2}".to_vec()], "chunks of {size}");
            assert_eq!(splitter.rest, b"rest");
        }
    }
}
