//! The Huffman code of HTTP/2's header compression, as far as signs have to be told apart in it.

/// `/` and `-`, of six bits each.
const SLASH: Sign = Sign { code: 0b01_1000, bits: 6 };
const DASH: u8 = 0b01_0110;
/// `:` and `B`, of seven.
const COLON: Sign = Sign { code: 0b101_1100, bits: 7 };
const LETTER: u8 = 0b101_1101;

/// A sign as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sign {
    code: u8,
    bits: usize,
}

/// Puts other signs for slashes and colons, if there is a slash.
pub(super) fn take_slashes(value: &mut [u8]) {
    if !signs(value).any(|(_, sign)| sign == SLASH) {
        return;
    }
    let found: Vec<(usize, Sign)> = signs(value).collect();
    for (at, sign) in found {
        match sign {
            SLASH => write(value, at, sign.bits, DASH),
            COLON => write(value, at, sign.bits, LETTER),
            _ => {}
        }
    }
}

/// The signs and where they begin, up to the end or to one that no address has.
fn signs(value: &[u8]) -> impl Iterator<Item = (usize, Sign)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        // Shorter codes are smaller ones.
        let next = byte(value, at);
        let bits = match next {
            _ if next >> 3 < 0b0_1010 => 5,
            _ if next >> 2 < 0b10_1110 => 6,
            _ if next >> 1 < 0b111_1100 => 7,
            _ if next < 0b1111_1110 => 8,
            // A rare one, or the ones that fill the last byte.
            _ => return None,
        };
        let begin = at;
        at += bits;
        (at <= value.len() * 8).then_some((begin, Sign { code: next >> (8 - bits), bits }))
    })
}

/// The eight bits that begin with a bit; ones beyond the end.
fn byte(value: &[u8], at: usize) -> u8 {
    let get = |index: usize| u16::from(value.get(index).copied().unwrap_or(0xff));
    let both = get(at / 8) << 8 | get(at / 8 + 1);
    (both >> (8 - at % 8)) as u8
}

fn write(value: &mut [u8], at: usize, bits: usize, code: u8) {
    for bit in 0..bits {
        let mask = 0x80 >> ((at + bit) % 8);
        let byte = &mut value[(at + bit) / 8];
        if code >> (bits - 1 - bit) & 1 == 1 { *byte |= mask } else { *byte &= !mask }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `/tmp/cap.sock`, as etcd's Go client sends it.
    pub(in super::super) const PATH: [u8; 10] = [0x61, 0x34, 0xd6, 0xc1, 0x07, 0x5a, 0xe8, 0x39, 0x3a, 0xff];
    /// `-tmp-cap.sock`.
    pub(in super::super) const WITHOUT_SLASHES: [u8; 10] = [0x59, 0x34, 0xd6, 0xb1, 0x07, 0x5a, 0xe8, 0x39, 0x3a, 0xff];
    /// `unix:///tmp/cap.sock`, likewise.
    const ENDPOINT: [u8; 15] =
        [0xb6, 0xa3, 0x79, 0xb8, 0xc3, 0x0c, 0x26, 0x9a, 0xd8, 0x20, 0xeb, 0x5d, 0x07, 0x27, 0x5f];

    fn count(value: &[u8], wanted: Sign) -> usize {
        signs(value).filter(|(_, sign)| *sign == wanted).count()
    }

    #[test]
    fn slashes_and_colons_become_other_signs_of_the_same_length() {
        let mut value = PATH;
        take_slashes(&mut value);
        assert_eq!(value, WITHOUT_SLASHES);
        let mut value = ENDPOINT;
        assert_eq!((signs(&value).count(), count(&value, SLASH), count(&value, COLON)), (20, 4, 1));
        take_slashes(&mut value);
        assert_eq!((signs(&value).count(), count(&value, SLASH), count(&value, COLON)), (20, 0, 0));
        assert_eq!(count(&value, Sign { code: DASH, bits: 6 }), 4);
    }

    /// Of `127.0.0.1:2379` even the colon stays.
    #[test]
    fn what_has_no_slash_is_left_as_it_is() {
        let address = [0x08, 0x9d, 0x5c, 0x0b, 0x81, 0x70, 0xdc, 0x0b, 0xa6, 0x5d, 0x7f];
        let mut value = address;
        take_slashes(&mut value);
        assert_eq!(value, address);
        let noise: Vec<u8> = (0..200_u8).map(|n| n.wrapping_mul(151)).collect();
        let mut value = noise.clone();
        take_slashes(&mut value);
        assert_eq!(value.len(), noise.len());
    }
}
