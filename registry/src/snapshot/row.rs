//! Rows of etcd's tables.

use etcd_client::proto::{PbKeyValue, PbLeaseGrantRequest};
use tonic_prost::prost::Message;

use crate::memory::{Numbers, Version};
use crate::store::EventKind;

/// A revision as etcd writes it: the revision, a line, and the place within it.
pub(super) const REVISION_BYTES: usize = 17;

/// The mark of a deletion behind a version's revision.
const TOMBSTONE: u8 = b't';

/// A version's name in etcd's table `key`: its revision, and a mark if it is a deletion.
pub(crate) fn name(revision: i64, sub: u32, kind: EventKind) -> Vec<u8> {
    let mut name = revision.to_be_bytes().to_vec();
    name.push(b'_');
    name.extend(i64::from(sub).to_be_bytes());
    if kind == EventKind::Delete {
        name.push(TOMBSTONE);
    }
    name
}

/// A version in that table: `mvccpb.KeyValue`; of a deletion, the key alone.
pub(crate) fn encode(version: &Version) -> Vec<u8> {
    let (key, value, numbers) = (version.key(), version.value(), version.numbers());
    let mut row = Vec::with_capacity(key.len() + value.len() + 64);
    bytes_field(&mut row, 1, key);
    if numbers.kind == EventKind::Put {
        number_field(&mut row, 2, numbers.create_revision);
        number_field(&mut row, 3, numbers.mod_revision);
        number_field(&mut row, 4, numbers.version);
        bytes_field(&mut row, 5, value);
        number_field(&mut row, 6, numbers.lease);
    }
    row
}

/// A lease in the table `lease`: name and `leasepb.Lease`.
pub(super) fn encode_lease(id: i64, ttl: i64) -> (Vec<u8>, Vec<u8>) {
    let mut row = Vec::new();
    number_field(&mut row, 1, id);
    number_field(&mut row, 2, ttl);
    (id.to_be_bytes().to_vec(), row)
}

/// A revision and the place within it.
pub(super) fn decode_revision(bytes: &[u8]) -> Option<(i64, u32)> {
    let (revision, rest) = bytes.split_first_chunk::<8>()?;
    let (line, rest) = rest.split_first()?;
    let (sub, rest) = rest.split_first_chunk::<8>()?;
    let revision = i64::from_be_bytes(*revision);
    // The last ones have no successor; no etcd gets there.
    let good = *line == b'_' && rest.is_empty() && (1..i64::MAX / 2).contains(&revision);
    Some((revision, u32::try_from(i64::from_be_bytes(*sub)).ok()?)).filter(|_| good)
}

/// The version in a row, or what is wrong with it.
pub(super) fn decode(name: &[u8], row: &[u8]) -> Result<Version, String> {
    let (revision, kind) = match name.strip_suffix(&[TOMBSTONE]) {
        Some(revision) if name.len() > REVISION_BYTES => (revision, EventKind::Delete),
        _ => (name, EventKind::Put),
    };
    let (revision, sub) = decode_revision(revision).ok_or("a version's name is no revision")?;
    let row = PbKeyValue::decode(row).map_err(|error| format!("a version of revision {revision}: {error}"))?;
    if kind == EventKind::Delete {
        return Ok(Version::deletion(revision, sub, &row.key));
    }
    let PbKeyValue { create_revision, mod_revision, version, lease, .. } = row;
    if mod_revision != revision || !(1..=revision).contains(&create_revision) || version < 1 {
        return Err(format!("a version of revision {revision} says that it is of revision {mod_revision}"));
    }
    let numbers = Numbers { kind, sub, create_revision, mod_revision, version, lease };
    Ok(Version::new(numbers, &row.key, &row.value))
}

/// Id and time to live of a lease, or what is wrong with it.
pub(super) fn decode_lease(row: &[u8]) -> Result<(i64, i64), String> {
    // etcd's request for a lease has the same two numbers, the other way round.
    let PbLeaseGrantRequest { ttl: id, id: ttl } =
        PbLeaseGrantRequest::decode(row).map_err(|error| format!("a lease: {error}"))?;
    if id == 0 || !(1..=crate::memory::MAX_TTL).contains(&ttl) {
        return Err(format!("a lease with id {id} and a time to live of {ttl} s"));
    }
    Ok((id, ttl))
}

fn number_field(row: &mut Vec<u8>, field: u8, value: i64) {
    if value != 0 {
        row.push(field << 3);
        varint(row, value.cast_unsigned());
    }
}

fn bytes_field(row: &mut Vec<u8>, field: u8, value: &[u8]) {
    if !value.is_empty() {
        row.push(field << 3 | 2);
        varint(row, value.len() as u64);
        row.extend(value);
    }
}

fn varint(row: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        row.push(value as u8 | 0x80);
        value >>= 7;
    }
    row.push(value as u8);
}
