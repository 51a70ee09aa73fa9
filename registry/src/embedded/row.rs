//! A version of a key as bytes, with a checksum over them and over the place where they belong.

use crate::crc32::Crc32;
use crate::memory::{Numbers, Version};
use crate::store::EventKind;

const CHECKSUM_BYTES: usize = 4;
/// Kind, create revision, version, lease, length of the key.
const HEAD_BYTES: usize = 1 + 8 + 8 + 8 + 4;

/// The bytes of a row: a checksum, a head of fixed size, key, value; numbers are little-endian.
pub(super) fn encode(version: &Version) -> Vec<u8> {
    let (key, value, numbers) = (version.key(), version.value(), version.numbers());
    let mut row = Vec::with_capacity(CHECKSUM_BYTES + HEAD_BYTES + key.len() + value.len());
    row.extend([0; CHECKSUM_BYTES]);
    row.push(match numbers.kind {
        EventKind::Put => 0,
        EventKind::Delete => 1,
    });
    row.extend(numbers.create_revision.to_le_bytes());
    row.extend(numbers.version.to_le_bytes());
    row.extend(numbers.lease.to_le_bytes());
    // Keys are far below 4 GiB: a request is at most 1.5 MiB.
    row.extend((key.len() as u32).to_le_bytes());
    row.extend(key);
    row.extend(value);
    let sum = checksum(numbers.mod_revision, numbers.sub, &row[CHECKSUM_BYTES..]);
    row[..CHECKSUM_BYTES].copy_from_slice(&sum.to_le_bytes());
    row
}

/// The version in a row, or what is wrong with it.
pub(super) fn decode(revision: i64, sub: u32, row: &[u8]) -> Result<Version, &'static str> {
    let (sum, body) = row.split_first_chunk::<CHECKSUM_BYTES>().ok_or("it is cut short")?;
    if u32::from_le_bytes(*sum) != checksum(revision, sub, body) {
        return Err("its checksum is wrong");
    }
    let (head, rest) = body.split_first_chunk::<HEAD_BYTES>().ok_or("it is cut short")?;
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        i64::from_le_bytes(bytes)
    };
    let key_bytes = u32::from_le_bytes([head[25], head[26], head[27], head[28]]) as usize;
    let (key, value) = rest.split_at_checked(key_bytes).ok_or("its key is cut short")?;
    let kind = match head[0] {
        0 => EventKind::Put,
        1 => EventKind::Delete,
        _ => return Err("it is of no known kind"),
    };
    let (create_revision, mod_revision, version, lease) = (number(1), revision, number(9), number(17));
    Ok(Version::new(Numbers { kind, sub, create_revision, mod_revision, version, lease }, key, value))
}

/// A checksum over a row's place and body.
fn checksum(revision: i64, sub: u32, body: &[u8]) -> u32 {
    let mut crc = Crc32::ieee();
    crc.write(&revision.to_le_bytes());
    crc.write(&sub.to_le_bytes());
    crc.write(body);
    crc.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        let numbers =
            Numbers { kind: EventKind::Put, sub: 2, create_revision: 3, mod_revision: 9, version: 4, lease: -7 };
        Version::new(numbers, b"key", b"value")
    }

    #[test]
    fn a_row_reads_back() {
        assert_eq!(decode(9, 2, &encode(&version())), Ok(version()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let row = encode(&version());
        for bit in 0..row.len() * 8 {
            let mut bad = row.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(9, 2, &bad).is_err(), "bit {bit}");
        }
        for length in 0..row.len() {
            assert!(decode(9, 2, &row[..length]).is_err(), "cut at {length}");
        }
        assert!(decode(9, 1, &row).is_err(), "at another place");
        assert!(decode(10, 2, &row).is_err(), "at another revision");
    }
}
