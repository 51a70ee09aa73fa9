//! Connections of Go's clients, with an authority that HTTP/2 allows.
//!
//! For some calls (`etcdctl endpoint status` and `hashkv`, `defrag`) etcd's Go client gives the whole endpoint as the
//! `:authority` of its requests, `http://127.0.0.1:2379`; over a unix socket it is the socket's path. No authority has a
//! slash, and the HTTP/2 library here ends such a stream with a protocol error before anybody is asked. A connection
//! passes through here first, and other signs stand for slashes and colons: nobody reads the authority, and of the same
//! length in both encodings they leave frames and the compression's table as the client believes them to be.

mod huffman;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// What a client sends before its first frame.
const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;
/// The type of the frame that begins a request.
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// The largest frame that the server allows; a larger one ends the connection.
const MAX_FRAME_BYTES: usize = 16 * 1024;
/// `:authority` in the compression's static table.
const AUTHORITY: usize = 1;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Mended<T> {
    inner: T,
    frames: Frames,
    chunk: Box<[u8]>,
    /// What has been read and mended, up to `given` handed on already.
    ready: Vec<u8>,
    given: usize,
}

impl<T> Mended<T> {
    pub(super) fn new(inner: T) -> Self {
        let chunk = vec![0; MAX_FRAME_BYTES].into_boxed_slice();
        Self { inner, frames: Frames::default(), chunk, ready: Vec::new(), given: 0 }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Mended<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.given == this.ready.len() {
            this.ready.clear();
            this.given = 0;
            let mut chunk = ReadBuf::new(&mut this.chunk);
            match Pin::new(&mut this.inner).poll_read(context, &mut chunk) {
                Poll::Ready(Ok(())) if chunk.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => this.frames.pass(chunk.filled(), &mut this.ready),
                other => return other,
            }
        }
        let count = out.remaining().min(this.ready.len() - this.given);
        out.put_slice(&this.ready[this.given..this.given + count]);
        this.given += count;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Mended<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

impl<T: Connected> Connected for Mended<T> {
    type ConnectInfo = T::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.inner.connect_info()
    }
}

/// Where in a client's frames the next byte belongs.
#[derive(Debug, Default)]
struct Frames {
    preface: usize,
    head: Vec<u8>,
    /// What is still to come of a frame that is passed on as it is.
    left: usize,
    /// A frame that is held until all of it is there, and how long it will be.
    held: Option<(Vec<u8>, usize)>,
}

impl Frames {
    /// Takes what a client sent; what can be passed on is added to `out`.
    fn pass(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            let wanted = match &self.held {
                _ if self.preface < PREFACE_BYTES => PREFACE_BYTES - self.preface,
                Some((frame, length)) => length - frame.len(),
                None if self.left > 0 => self.left,
                None => FRAME_HEAD_BYTES - self.head.len(),
            };
            let (part, rest) = input.split_at(wanted.min(input.len()));
            input = rest;
            if self.preface < PREFACE_BYTES {
                self.preface += part.len();
                out.extend(part);
            } else if let Some((mut frame, length)) = self.held.take() {
                frame.extend(part);
                if frame.len() == length {
                    mend(self.head[4], &mut frame);
                    out.append(&mut frame);
                    self.head.clear();
                } else {
                    self.held = Some((frame, length));
                }
            } else if self.left > 0 {
                self.left -= part.len();
                out.extend(part);
            } else {
                self.begin(part, out);
            }
        }
    }

    fn begin(&mut self, part: &[u8], out: &mut Vec<u8>) {
        self.head.extend(part);
        if self.head.len() < FRAME_HEAD_BYTES {
            return;
        }
        out.extend(&self.head);
        let length = usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2]);
        if self.head[3] == HEADERS && (1..=MAX_FRAME_BYTES).contains(&length) {
            self.held = Some((Vec::with_capacity(length), length));
        } else {
            self.left = length;
            self.head.clear();
        }
    }
}

/// Takes slashes out of the authority of a request, if it has any.
fn mend(flags: u8, frame: &mut [u8]) {
    let mut at = usize::from(flags & PADDED != 0) + if flags & PRIORITY == 0 { 0 } else { 5 };
    while let Some(first) = frame.get(at).copied() {
        let (bits, literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let Some((name, next)) = integer(frame, at, bits) else { return };
        at = next;
        if !literal {
            continue;
        }
        if name == 0 {
            let Some((_, _, end)) = string(frame, at) else { return };
            at = end;
        }
        let Some((huffman, start, end)) = string(frame, at) else { return };
        if name == AUTHORITY {
            take_slashes(huffman, &mut frame[start..end]);
        }
        at = end;
    }
}

fn take_slashes(huffman: bool, value: &mut [u8]) {
    if huffman {
        huffman::take_slashes(value);
    } else if value.contains(&b'/') {
        for sign in value {
            *sign = match *sign {
                b'/' => b'-',
                b':' => b'B',
                other => other,
            };
        }
    }
}

/// A number that begins in the last bits of a byte, and where the next thing begins.
fn integer(bytes: &[u8], at: usize, bits: u32) -> Option<(usize, usize)> {
    let mask = (1 << bits) - 1;
    let mut value = usize::from(*bytes.get(at)?) & mask;
    let mut next = at + 1;
    if value < mask {
        return Some((value, next));
    }
    for shift in [0, 7, 14] {
        let byte = usize::from(*bytes.get(next)?);
        value += (byte & 0x7f) << shift;
        next += 1;
        if byte < 0x80 {
            return Some((value, next));
        }
    }
    None
}

/// Whether a string is in Huffman code, where it begins, and where it ends.
fn string(bytes: &[u8], at: usize) -> Option<(bool, usize, usize)> {
    let huffman = bytes.get(at)? & 0x80 != 0;
    let (length, start) = integer(bytes, at, 7)?;
    (start + length <= bytes.len()).then_some((huffman, start, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request whose authority is written like this, between other fields, then other frames.
    fn sent(authority: &[u8], huffman: u8) -> Vec<u8> {
        let mut block = vec![0x83, 0x86, 0x45, 0x02, b'/', b'x', 0x41, huffman | authority.len() as u8];
        block.extend(authority);
        block.extend([0x00, 0x01, b'k', 0x07]);
        block.extend(b"http://");
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0, block.len() as u8, HEADERS, 4, 0, 0, 0, 1]);
        bytes.extend(block);
        bytes.extend([0, 0, 7, 0, 1, 0, 0, 0, 1]);
        bytes.extend(b"http://");
        bytes
    }

    /// What comes out when the bytes come in parts of this size.
    fn passed(bytes: &[u8], part: usize) -> Vec<u8> {
        let mut frames = Frames::default();
        let mut out = Vec::new();
        bytes.chunks(part).for_each(|part| frames.pass(part, &mut out));
        out
    }

    #[test]
    fn slashes_are_taken_out_however_the_bytes_come() {
        for part in [1, 2, 7, 30, 1000] {
            for (with, without) in [("http://127.0.0.1:2379", "httpB--127.0.0.1B2379"), ("/run/a.sock", "-run-a.sock")]
            {
                let got = passed(&sent(with.as_bytes(), 0), part);
                assert_eq!(got, sent(without.as_bytes(), 0), "in parts of {part}");
            }
            let got = passed(&sent(&huffman::tests::PATH, 0x80), part);
            assert_eq!(got, sent(&huffman::tests::WITHOUT_SLASHES, 0x80), "in parts of {part}");
        }
    }

    #[test]
    fn everything_else_is_left_as_it_is() {
        for authority in [b"127.0.0.1:2379".as_slice(), b"localhost", b"httpx:1"] {
            let bytes = sent(authority, 0);
            assert_eq!(passed(&bytes, 3), bytes);
        }
        // No request at all.
        let noise: Vec<u8> = (0..2000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let got = passed(&noise, 11);
        assert!(noise.starts_with(&got[..PREFACE_BYTES + FRAME_HEAD_BYTES]));
    }
}
