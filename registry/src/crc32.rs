//! CRC-32, of either polynomial that the registry needs.

/// A checksum being made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crc32 {
    table: &'static [u32; 256],
    state: u32,
}

impl Crc32 {
    /// The common one (IEEE 802.3).
    pub(crate) fn ieee() -> Self {
        const TABLE: [u32; 256] = table(0xedb8_8320);
        Self { table: &TABLE, state: !0 }
    }

    /// CRC-32C (Castagnoli, RFC 3720 appendix B.4), which etcd uses.
    pub(crate) fn castagnoli() -> Self {
        const TABLE: [u32; 256] = table(0x82f6_3b78);
        Self { table: &TABLE, state: !0 }
    }

    /// Takes in more bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state = (self.state >> 8) ^ self.table[usize::from((self.state as u8) ^ byte)];
        }
    }

    /// The checksum of all that was taken in.
    pub(crate) fn finish(self) -> u32 {
        !self.state
    }
}

/// What each byte does to a checksum with this (reflected) polynomial.
const fn table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = n as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 };
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_answer_the_check_values_of_their_standards() {
        for (mut crc, check) in [(Crc32::ieee(), 0xcbf4_3926), (Crc32::castagnoli(), 0xe306_9283)] {
            crc.write(b"1234");
            crc.write(b"56789");
            assert_eq!(crc.finish(), check);
        }
    }
}
