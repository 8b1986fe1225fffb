//! [`Chunk`]: many items of a stream in one row.

use taskcore::Payload;

/// Some items, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The index of the first one.
    pub(super) first: i64,
    pub(super) count: i64,
    /// As in the table.
    pub(super) items: Vec<u8>,
}

/// Packs items, in chunks of a size that a reader may read whole.
pub(super) fn pack(first: i64, items: &[Payload]) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for (index, item) in (first..).zip(items) {
        let has_room = |chunk: &&mut Chunk| chunk.items.len() + LENGTH + item.len() <= CHUNK_BYTES;
        let chunk = match chunks.last_mut().filter(has_room) {
            Some(chunk) => chunk,
            None => {
                chunks.push(Chunk { first: index, count: 0, items: Vec::new() });
                chunks.last_mut().expect("one was just pushed")
            }
        };
        // SQLite refuses values of a quarter of this.
        let length = u32::try_from(item.len()).unwrap_or(u32::MAX);
        chunk.items.extend_from_slice(&length.to_be_bytes());
        chunk.items.extend_from_slice(item.as_slice());
        chunk.count += 1;
    }
    chunks
}

/// The items of a row, in order. What was cut off by somebody is left out.
pub(super) fn unpack(mut bytes: &[u8]) -> impl Iterator<Item = Payload> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (item, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(Payload::from(item.to_vec()))
    })
}

/// Bytes before each item.
const LENGTH: usize = 4;

/// A larger item has a chunk of its own.
const CHUNK_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back_in_order_from_chunks_of_a_bounded_size() {
        let sizes = [0, 1, 40_000, 20_000, 12_000, 3, 100_000, 0];
        let items: Vec<Payload> = sizes.map(|size| Payload::from(vec![7; size])).to_vec();
        let chunks = pack(5, &items);
        let found: Vec<_> = chunks.iter().map(|chunk| (chunk.first, chunk.count)).collect();
        assert_eq!(found, [(5, 2), (7, 1), (8, 3), (11, 1), (12, 1)]);
        let unpacked: Vec<_> = chunks.iter().flat_map(|chunk| unpack(&chunk.items)).collect();
        assert_eq!(unpacked, items);
    }

    #[test]
    fn nothing_is_no_chunk_and_foreign_bytes_are_no_item() {
        assert_eq!(pack(0, &[]), []);
        assert_eq!(unpack(&[0, 0, 1]).count(), 0);
        assert_eq!(unpack(&[0, 0, 0, 9, 1]).count(), 0);
    }
}
